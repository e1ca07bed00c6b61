"""How well a detector tells bona fide from spoofed speech: over all trials, per attack, and where it errs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from adaspec.config import Config
from adaspec.evaluation.reports.spoofing_figures import (
    draw_attacks,
    draw_calibration,
    draw_costs,
    draw_det,
    draw_scores,
)
from adaspec.evaluation.scores.detection import (
    AsvErrors,
    ErrorCurve,
    asv_errors,
    calibration_scores,
    eer_in_steps,
    error_curve,
    tandem_cost,
)
from adaspec.runtime.files import write_csv
from adaspec.runtime.seeding import generator
from adaspec.tables import BONAFIDE, SPOOF
from adaspec.tables.score_files import ASV_KEYS, read_asv_scores, read_scores, write_scores

__all__ = ["SpoofingDetection", "asv_errors_of", "is_spoofing", "log_odds", "report", "trial_scores"]

Array = npt.NDArray[Any]
CHUNK = 2**22  # resampled trials at a time
FEW_SPEAKERS = 10  # fewer are too few to resample
SAME_SYSTEM = {"A16": "A04", "A19": "A06"}  # in ASVspoof 2019 LA: X. Wang et al., 2020, table 1
ATTACK_COLUMNS = ["attack", "seen", "n_trials", "eer", "eer_ci_low", "eer_ci_high", "p_fa_at_threshold"]
SMALLEST = float(np.finfo(np.float32).tiny)


def is_spoofing(labels: list[str]) -> bool:
    """Whether the classes are bona fide and spoofed speech."""
    return sorted(labels) == [BONAFIDE, SPOOF]


def log_odds(p_bonafide: Array, p_spoof: Array) -> Array:
    """Score of a trial: the logarithm of the odds that it is bona fide."""
    return np.log(np.maximum(p_bonafide, SMALLEST, dtype=np.float64)) - np.log(
        np.maximum(p_spoof, SMALLEST, dtype=np.float64)
    )


def asv_errors_of(asv_scores: pd.DataFrame | None, config: Config) -> AsvErrors | None:
    """ASV error rates as configured, else from the data set's ASV scores; None where it has none."""
    if config.evaluate.asv_error_rates is not None:
        return AsvErrors(*config.evaluate.asv_error_rates)
    if asv_scores is None or asv_scores.empty:
        return None
    return _asv_errors(asv_scores)


def _asv_errors(asv_scores: pd.DataFrame) -> AsvErrors:
    return asv_errors(*(asv_scores.loc[asv_scores["key"] == key, "score"].to_numpy() for key in ASV_KEYS))


def report(scores: Path, asv_scores: Path | None, threshold_from: Path | None, n_bootstrap: int) -> str:
    """What a detector's score file says, as text.

    Parameters
    ----------
    scores : Path
        Read by `read_scores`.
    asv_scores : Path or None
        Read by `read_asv_scores`; without it there is no t-DCF.
    threshold_from : Path or None
        Score file whose EER sets the threshold; without it the threshold is 0.
    n_bootstrap : int
        Resamples.
    """
    parts = [read_scores(scores).assign(role="test")]
    if threshold_from is not None:
        parts.append(read_scores(threshold_from).assign(role="validation"))
    trials = pd.concat(parts, ignore_index=True).assign(fold=1, speaker="")
    asv = None if asv_scores is None else _asv_errors(read_asv_scores(asv_scores))
    detection = SpoofingDetection(trials.rename(columns={"file": "path"}), None, asv, n_bootstrap=n_bootstrap, seed=0)
    return "\n".join(detection.lines())


def trial_scores(curve: ErrorCurve, asv: AsvErrors | None) -> dict[str, Array]:
    """EER, AUC and, where ASV errors are known, the minimum t-DCF of a curve: (...) each."""
    scores = {"eer": curve.eer(), "auc": curve.auc()}
    if asv is not None:
        scores["min_tdcf_2019"] = tandem_cost(curve, asv, "2019").min(axis=-1)
        scores["min_tdcf_2021"] = tandem_cost(curve, asv, "2021").min(axis=-1)
    return scores


def _file_names(trials: pd.DataFrame) -> pd.Series:
    """Names for score files: those of the files, longer ones where they would not tell trials apart."""
    names = trials["path"].map(lambda path: Path(path).stem)
    if pd.concat([trials[["fold", "role"]], names], axis=1).duplicated().any():
        names = trials["path"]
    names = names.str.replace(r"\s", "_", regex=True)
    return names if trials["fold"].nunique() == 1 else "fold-" + trials["fold"].astype(str) + "/" + names


class SpoofingDetection:
    """Scores of all folds' trials, their summary, tables and figures.

    Parameters
    ----------
    trials : DataFrame
        `fold`, `role` (validation or test), `path`, `label`, `attack`, `speaker`, `score`.
    seen : set of str or None
        Attacks that were trained on; None where that is not known. `SAME_SYSTEM` counts as seen with its namesake.
    asv : AsvErrors or None
        For the t-DCF.
    n_bootstrap, seed : int
        Resamples for the intervals, and what they are drawn from.

    Attributes
    ----------
    folds : dict of int to dict
        Fold -> score -> value. The threshold is that of the EER on the fold's validation trials, or 0 without any.
    intervals : dict of str to (low, high)
        95 % of resampled test trials, or of resampled speakers where there are ten or more in each fold.
    attacks : DataFrame
        `ATTACK_COLUMNS`, of test trials against all bona fide ones; means over folds. The last rows are seen and unseen
        attacks together, and all.
    """

    def __init__(
        self, trials: pd.DataFrame, seen: set[str] | None, asv: AsvErrors | None, *, n_bootstrap: int, seed: int
    ) -> None:
        trials = trials.assign(file=_file_names(trials))
        self.trials, self.asv, self.seed, self.n_resamples = trials, asv, seed, n_bootstrap
        self.test = {int(str(fold)): rows for fold, rows in trials[trials["role"] == "test"].groupby("fold")}
        self.validation = trials[trials["role"] == "validation"]
        self.by_speaker = all(rows["speaker"].nunique() >= FEW_SPEAKERS for rows in self.test.values())
        self.thresholds = {fold: self._threshold(fold) for fold in self.test}
        self.folds = {fold: self._scores(fold, rows) for fold, rows in self.test.items()}
        self.intervals = self._interval(list(self.test.values()))
        if seen is not None:
            seen = seen | {name for name, same in SAME_SYSTEM.items() if same in seen}
        self.attacks = self._per_attack(seen)

    def _threshold(self, fold: int) -> float:
        rows = self.validation[self.validation["fold"] == fold]
        if rows["label"].nunique() < 2:
            return 0.0
        return error_curve(rows["score"].to_numpy(), (rows["label"] == BONAFIDE).to_numpy()).eer_threshold()

    def _scores(self, fold: int, rows: pd.DataFrame) -> dict[str, float]:
        scores, is_bonafide = rows["score"].to_numpy(), (rows["label"] == BONAFIDE).to_numpy()
        found = {name: float(value) for name, value in trial_scores(error_curve(scores, is_bonafide), self.asv).items()}
        found["eer_in_steps"] = eer_in_steps(scores, is_bonafide)
        found |= calibration_scores(1 / (1 + np.exp(-np.clip(scores, -80, 80))), is_bonafide)
        threshold = self.thresholds[fold]
        p_fa, p_miss = (scores[~is_bonafide] >= threshold).mean(), (scores[is_bonafide] < threshold).mean()
        found |= {"threshold": threshold, "p_fa_at_threshold": float(p_fa), "p_miss_at_threshold": float(p_miss)}
        found["balanced_accuracy_at_threshold"] = float(1 - (p_fa + p_miss) / 2)
        validation = self.validation[self.validation["fold"] == fold]
        if validation["label"].nunique() == 2:
            curve = error_curve(validation["score"].to_numpy(), (validation["label"] == BONAFIDE).to_numpy())
            found["validation_eer"] = float(curve.eer())
        return {name: round(value, 6) for name, value in found.items()}

    def _resamples(self, rows: pd.DataFrame, rng: np.random.Generator) -> Iterator[Array]:
        """How often each trial counts in each resample: (some resamples, n_trials), until there are enough.

        Trials are drawn anew within bona fide and within spoofed ones, speakers with all their trials.
        """
        n_trials = len(rows)
        size = max(1, CHUNK // n_trials)
        if self.by_speaker:
            units = [pd.factorize(rows["speaker"])[0]]
        else:
            units = [np.flatnonzero(rows["label"] == label) for label in (BONAFIDE, SPOOF)]
        for start in range(0, self.n_resamples, size):
            n_now = min(size, self.n_resamples - start)
            counts = np.zeros((n_now, n_trials))
            if self.by_speaker:
                n_speakers = units[0].max() + 1
                drawn = rng.multinomial(n_speakers, np.full(n_speakers, 1 / n_speakers), size=n_now)
                counts[:] = drawn[:, units[0]]
            else:
                for members in units:
                    counts[:, members] = rng.multinomial(
                        len(members), np.full(len(members), 1 / len(members)), size=n_now
                    )
            yield counts

    def _interval(self, folds: list[pd.DataFrame]) -> dict[str, tuple[float, float]]:
        """95 % percentile interval of each score's mean over folds."""
        rng = generator(self.seed, "bootstrap trials")
        sums: dict[str, Array] = {}
        for rows in folds:
            scores, is_bonafide = rows["score"].to_numpy(), (rows["label"] == BONAFIDE).to_numpy()
            parts: dict[str, list[Array]] = {}
            for counts in self._resamples(rows, rng):
                both = (counts * is_bonafide).any(axis=1) & (counts * ~is_bonafide).any(axis=1)
                curve = error_curve(scores, is_bonafide, counts[both])
                for name, values in trial_scores(curve, self.asv).items():
                    padded = np.full(len(counts), np.nan)  # a resample of speakers may hold one kind of trial only
                    padded[both] = values
                    parts.setdefault(name, []).append(padded)
            for name, chunks in parts.items():
                sums[name] = sums.get(name, 0) + np.concatenate(chunks) / len(folds)
        return {name: tuple(np.nanpercentile(values, [2.5, 97.5]).tolist()) for name, values in sums.items()}

    def _per_attack(self, seen: set[str] | None) -> pd.DataFrame:
        names = sorted(set().union(*(set(rows["attack"]) for rows in self.test.values())) - {"-"})
        groups = [(name, [name]) for name in names]
        if seen is not None:
            groups += [("seen", [name for name in names if name in seen])]
            groups += [("unseen", [name for name in names if name not in seen])]
        groups += [("all", names)]
        table = []
        for title, members in groups:
            folds = [
                rows[rows["attack"].isin(["-", *members])]
                for rows in self.test.values()
                if rows["attack"].isin(members).any()
            ]
            if not folds:
                continue
            eers, errors = [], []
            for rows in folds:
                scores, is_bonafide = rows["score"].to_numpy(), (rows["label"] == BONAFIDE).to_numpy()
                eers.append(float(error_curve(scores, is_bonafide).eer()))
                errors.append((scores[~is_bonafide] >= self.thresholds[int(rows["fold"].iloc[0])]).mean())
            low, high = self._interval(folds)["eer"]
            told = "-" if seen is None or title not in names else "yes" if title in seen else "no"
            n_trials = sum((rows["label"] == SPOOF).sum() for rows in folds)
            table.append((title, told, n_trials, np.mean(eers), low, high, np.mean(errors)))
        return pd.DataFrame(table, columns=ATTACK_COLUMNS).round(6)

    def summary(self) -> dict[str, dict[str, float]]:
        """Score -> mean, std (over folds), ci_low, ci_high."""
        told: dict[str, dict[str, float]] = {}
        for name in next(iter(self.folds.values())):
            values = np.array([scores[name] for scores in self.folds.values() if name in scores])
            told[name] = {"mean": round(float(values.mean()), 6)}
            if len(values) > 1:
                told[name]["std"] = round(float(values.std(ddof=1)), 6)
            if name in self.intervals:
                low, high = self.intervals[name]
                told[name] |= {"ci_low": round(low, 6), "ci_high": round(high, 6)}
        return told

    def write(self, folder: Path) -> None:
        """Write attacks.csv and the score files."""
        write_csv(folder / "attacks.csv", self.attacks)
        write_scores(folder / "scores_validation.txt", self.validation)
        write_scores(folder / "scores.txt", pd.concat(self.test.values()))

    def draw(self, folder: Path) -> None:
        """Draw distributions, DET curves, costs, calibration and the attacks."""
        test = pd.concat(self.test.values())
        draw_scores(test, self.thresholds, folder / "scores.png")
        draw_det(list(self.test.values()), folder / "det.png")
        draw_costs(list(self.test.values()), self.thresholds, self.asv, folder / "costs.png")
        draw_calibration(test, folder / "calibration.png")
        draw_attacks(self.attacks, folder / "attacks.png")

    def lines(self) -> list[str]:
        """The scores for a terminal."""
        summary = self.summary()
        unit = "speakers" if self.by_speaker else "trials"
        lines = [f"{'':20}{'mean':>8}   95 % ({unit} resampled)"]
        for name, title in (
            ("eer", "EER"),
            ("eer_in_steps", "EER, in steps"),
            ("min_tdcf_2019", "min t-DCF, 2019"),
            ("min_tdcf_2021", "min t-DCF, 2021"),
            ("auc", "AUC"),
            ("balanced_accuracy_at_threshold", "balanced accuracy *"),
        ):
            if name not in summary:
                continue
            values = summary[name]
            interval = f"{values['ci_low']:.3f} to {values['ci_high']:.3f}" if "ci_low" in values else ""
            lines.append(f"{title:20}{values['mean']:>8.3f}   {interval}".rstrip())
        told = ", ".join(f"{threshold:.3g}" for threshold in self.thresholds.values())
        source = "that of the EER on validation clips" if len(self.validation) else "without validation clips"
        lines.append(f"* at the threshold {told}, {source}")
        if summary["eer"]["mean"] > 0.5:
            lines.append("warning: an EER above 50 %: bona fide trials score lower than spoofed ones")
        lines += ["", f"{'attack':8}{'seen':>6}{'trials':>8}{'EER':>8}   95 %"]
        for row in self.attacks.to_dict("records"):
            told = f"{row['attack']:8}{row['seen']:>6}{row['n_trials']:>8}{row['eer']:>8.3f}"
            lines.append(f"{told}   {row['eer_ci_low']:.3f} to {row['eer_ci_high']:.3f}")
        return lines
