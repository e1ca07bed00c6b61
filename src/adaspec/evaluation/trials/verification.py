"""Scores of a run's verification trials under spoofing: of each system alone, and of blends chosen on validation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from adaspec.evaluation.bootstrap import drawn_by_speaker, resampled_means, trial_draw
from adaspec.evaluation.scores.contract import Array
from adaspec.evaluation.scores.error_curve import error_curve
from adaspec.evaluation.scores.speaker_aware import KINDS, SCORES, SPOOF, TARGET, t_eer, verified
from adaspec.evaluation.summary import DECIMALS, Summary, summarise
from adaspec.evaluation.trials.blends import BLENDS, can_calibrate
from adaspec.evaluation.trials.decision import Decision
from adaspec.evaluation.trials.detector import SAME_SYSTEM
from adaspec.evaluation.trials.speaker_aware import ALONE, TITLES, attack_key, verified_trials
from adaspec.evaluation.trials.text import shown, told
from adaspec.runtime.files import write_csv
from adaspec.runtime.seeding import generator
from adaspec.runtime.table import TableForm, format_rows
from adaspec.tables.verification_files import ASV_SCORE, CM_SCORE

__all__ = ["BLENDED", "VerificationScores"]

BLENDED = "blended"  # column of the chosen blend's scores


class VerificationScores:
    """Scores of all folds' verification trials.

    Parameters
    ----------
    trials : DataFrame
        As in `Evidence`.
    costs : str
        Key of `COSTS`, of the a-DCF.
    cohort : int
        Nearest training speakers that verification scores were normalised by.
    seen : set of str
        Attacks that were trained on.
    n_bootstrap, seed : int
        Resamples for the intervals, and what they are drawn from.

    Attributes
    ----------
    chosen : dict of int to str
        Fold -> the blend with the lowest SASV-EER on its validation trials, on which calibrated blends are fitted too;
        "sum" without such trials.
    test : dict of int to DataFrame
        Fold -> its test trials, with a column for each blend and `BLENDED`.
    by_speaker : bool
        Whether intervals resample claimed speakers, as there are ten or more in each fold; else trials, within each
        kind and attack.
    thresholds : dict of int to float
        Fold -> score of its blend at which it decides: that of the SASV-EER on validation trials, or 0 without any.
    rates : dict of str to float
        Kind -> share of its test trials that is accepted there, mean over folds.
    systems : dict of str to Summary
        `ALONE`, the blends and `BLENDED` -> score -> mean, std over folds, and its 95 % interval.
    attacks : DataFrame
        `attack`, `seen` (yes, no), `n_trials` and the SPF-EER of each system of `ALONE` and of the chosen blend, with
        the interval of the latter.
    summary : Summary
        Scores of the chosen blend, and the t-EER of the two systems.
    """

    def __init__(
        self, trials: pd.DataFrame, costs: str, *, cohort: int, seen: set[str], n_bootstrap: int, seed: int
    ) -> None:
        self.costs, self.cohort, self.n_bootstrap, self.seed = costs, cohort, n_bootstrap, seed
        self.seen = seen | {name for name, same in SAME_SYSTEM.items() if same in seen}
        trials = trials.drop(columns="label").rename(columns={"key": "label"})
        self.chosen: dict[int, str] = {}
        self.thresholds: dict[int, float] = {}
        self.test: dict[int, pd.DataFrame] = {}
        self.validation: dict[int, pd.DataFrame] = {}
        for number, rows in trials.groupby("fold"):
            fold = int(str(number))
            parts = {str(role): own.reset_index(drop=True) for role, own in rows.groupby("role")}
            known = parts.get("validation")
            if known is not None and set(known["label"]) == set(KINDS):
                self.validation[fold] = known
            self._blend(fold, parts["test"])
        self.by_speaker = drawn_by_speaker(self.test.values())
        columns = [*ALONE, *(name for name in BLENDS if all(name in rows for rows in self.test.values())), BLENDED]
        self.names = sorted(
            {attack for rows in self.test.values() for attack in rows.loc[rows["label"] == SPOOF, "attack"]}
        )
        found = {name: self._summarised(name) for name in columns}
        self.systems = {name: {key: own[key] for key in SCORES} for name, own in found.items()}
        self.attacks = pd.DataFrame([self._attack(name, found) for name in self.names]).round(DECIMALS)
        self.rates = {kind: float(np.mean([self._accepted(fold, kind) for fold in self.test])) for kind in KINDS}
        tandem = [
            t_eer(rows[ASV_SCORE].to_numpy(), rows[CM_SCORE].to_numpy(), rows["label"].to_numpy())
            for rows in self.test.values()
        ]
        self.summary: Summary = self.systems[BLENDED] | {"t_eer": {"mean": round(float(np.mean(tandem)), DECIMALS)}}

    def _blend(self, fold: int, test: pd.DataFrame) -> None:
        """Choose the blend and its threshold on validation trials, and score test trials with every blend."""
        known, own, eers = self.validation.get(fold), {}, {}
        calibrates = known is not None and can_calibrate(known)
        names = [name for name, blend in BLENDS.items() if calibrates or not blend.calibrated]
        if known is not None:
            kinds = known["label"].to_numpy()
            for name in names:
                own[name] = BLENDS[name](known, known)
                eers[name] = float(verified(own[name], kinds).only("sasv_eer").values()["sasv_eer"])
        self.chosen[fold] = min(eers, key=eers.__getitem__) if eers else "sum"
        found = {name: BLENDS[name](test, known) for name in names}
        self.test[fold] = test.assign(**found, **{BLENDED: found[self.chosen[fold]]})
        self.thresholds[fold] = 0.0
        if known is not None:
            self.thresholds[fold] = error_curve(own[self.chosen[fold]], kinds == TARGET).eer_threshold()

    def blend(self, fold: int, trials: pd.DataFrame) -> Array:
        """Scores of the blend that was chosen for a fold, of any trials with both scores."""
        return BLENDS[self.chosen[fold]](trials, self.validation.get(fold))

    def decision(self, fold: int) -> Decision | None:
        """How a fold decides; None where no validation trials chose that."""
        known = self.validation.get(fold)
        return None if known is None else Decision(self.chosen[fold], self.thresholds[fold], self.cohort, known)

    def _summarised(self, name: str) -> Summary:
        folds = []
        for fold, rows in self.test.items():
            # The same draw for every system, so that differences are paired.
            rng = generator(self.seed, "bootstrap verification", str(fold))
            scored = verified_trials(rows[name].to_numpy(), rows, self.costs)
            folds.append((scored, trial_draw(rows, rng, by_speaker=self.by_speaker)))
        values = [{key: float(value) for key, value in scored.values().items()} for scored, _ in folds]
        return summarise(values, resampled_means(folds, self.n_bootstrap))

    def _accepted(self, fold: int, kind: str) -> float:
        rows = self.test[fold]
        return float((rows.loc[rows["label"] == kind, BLENDED] >= self.thresholds[fold]).mean())

    def _attack(self, attack: str, found: dict[str, Summary]) -> dict[str, object]:
        n_trials = sum(int((rows["attack"] == attack).sum()) for rows in self.test.values())
        row: dict[str, object] = {
            "attack": attack,
            "seen": "yes" if attack in self.seen else "no",
            "n_trials": n_trials,
        }
        key = attack_key(attack)
        row |= {f"spf_eer_{name}": found[name][key]["mean"] for name in (*ALONE, BLENDED)}
        return row | {f"spf_eer_{end}": found[BLENDED][key][end] for end in ("ci_low", "ci_high")}

    def write(self, folder: Path) -> None:
        """Write the systems' scores, those per attack, and the trials, which `adaspec score --sasv` reads."""
        rows = [
            {"system": name, "score": key, **values}
            for name, own in self.systems.items()
            for key, values in own.items()
        ]
        write_csv(folder / "verification.csv", pd.DataFrame(rows))
        write_csv(folder / "verification_attacks.csv", self.attacks)
        columns = ["fold", "clip_id", "speaker", "label", "attack", *self.systems]
        write_csv(folder / "verification_trials.csv", pd.concat(self.test.values())[columns])

    def lines(self) -> list[str]:
        """What a terminal shows."""
        rows = [["speaker verification", *TITLES.values()]]
        for name, own in self.systems.items():
            if name == BLENDED:
                continue
            chosen = " *" if name in self.chosen.values() else ""
            cells = [f"{shown(title, own[key]['mean'])} ({told(title, own[key])})" for key, title in TITLES.items()]
            rows.append([ALONE.get(name, name) + chosen, *cells])
        resampled = "claimed speakers" if self.by_speaker else "trials"
        title = TITLES["spf_eer"]
        of_attacks = [["attack", "seen", *(f"{title[:-3]} of {ALONE[name]}" for name in ALONE), "of the blend *, %"]]
        for row in self.attacks.to_dict("records"):
            cells = [shown(title, row[f"spf_eer_{name}"]) for name in (*ALONE, BLENDED)]
            of_attacks.append([str(row["attack"]), str(row["seen"]), *cells])
        n_trials = pd.concat(self.test.values())["label"].value_counts()
        counted = ", ".join(f"{n_trials[kind]} {kind}" for kind in KINDS)
        chosen = "chosen on validation trials"
        if len(self.validation) < len(self.test):
            chosen = "not chosen: a fold has no validation trials of all kinds, and so no threshold but 0"
        accepted = ", ".join(f"{100 * rate:.1f} % {kind}" for kind, rate in self.rates.items())
        return [
            *format_rows(rows, TableForm.TEXT),
            f"* {chosen}; {counted}; in brackets: 95 %, {resampled} resampled",
            "",
            *format_rows(of_attacks, TableForm.TEXT),
            "",
            f"the blend at its threshold accepts {accepted}",
        ]
