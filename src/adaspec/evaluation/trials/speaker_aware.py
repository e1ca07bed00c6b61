"""What a file of verification trials under spoofing says: scores of each system alone and of their blend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from adaspec.errors import InputError
from adaspec.evaluation.bootstrap import drawn_by_speaker, resampled_values, trial_draw
from adaspec.evaluation.scores.contract import Array, Scored
from adaspec.evaluation.scores.detection import detected, stepped
from adaspec.evaluation.scores.likelihood import likelihoods
from adaspec.evaluation.scores.speaker_aware import (
    COSTS,
    KINDS,
    SCORES,
    SPOOF,
    Verification,
    spf_eer_of,
    t_eer,
    verified,
)
from adaspec.evaluation.summary import interval
from adaspec.evaluation.trials.blends import BLENDS
from adaspec.evaluation.trials.text import TITLES as DETECTOR_TITLES
from adaspec.evaluation.trials.text import shown, told
from adaspec.runtime.seeding import generator
from adaspec.runtime.table import TableForm, format_rows
from adaspec.tables.score_files import UNKNOWN
from adaspec.tables.verification_files import ASV_SCORE, CM_SCORE, SCORE, read_verification

__all__ = [
    "ALONE",
    "TITLES",
    "SpeakerAwareReport",
    "attack_key",
    "report",
    "verified_trials",
]

Values = Mapping[str, Mapping[str, float]]  # score -> value, ci_low, ci_high

TITLES = {"sv_eer": "SV-EER, %", "spf_eer": "SPF-EER, %", "sasv_eer": "SASV-EER, %", "a_dcf": "a-DCF"}
CM_TITLES = {name: DETECTOR_TITLES[name] for name in ("eer", "eer_in_steps", "min_dcf", "act_dcf", "cllr")}
ALONE = {ASV_SCORE: "verification alone", CM_SCORE: "countermeasure alone"}


@dataclass(frozen=True)
class SpeakerAwareReport:
    """Scores of one file.

    Attributes
    ----------
    name : str
        What the trials' score is: that of the file, or a blend.
    costs : str
        Key of `COSTS`.
    n_trials : dict of str to int
        By kind.
    by_speaker : bool
        Whether intervals resample claimed speakers, as there are ten or more; else trials, within each kind and attack.
    systems : mapping of str to mapping
        `ASV_SCORE` and `CM_SCORE` where the file has them, then `name` -> score -> value, ci_low, ci_high.
    attacks : mapping of str to mapping
        SPF-EER of each attack, where the file tells attacks.
    tandem : float or None
        The t-EER of the two scores.
    countermeasure : dict of str to float
        Scores of the countermeasure: targets and nontargets against spoofs; empty where the file has one score.
    """

    name: str
    costs: str
    n_trials: dict[str, int]
    by_speaker: bool
    systems: Mapping[str, Values]
    attacks: Values
    tandem: float | None
    countermeasure: dict[str, float]

    def json(self) -> dict[str, Any]:
        """All of it; the scores of `name` at the top."""
        found: dict[str, Any] = {"score": self.name, "costs": self.costs, "n_trials": self.n_trials}
        found |= self.systems[self.name]
        if self.tandem is not None:
            found["t_eer"] = self.tandem
        found |= {name: values for name, values in self.systems.items() if name != self.name}
        if self.countermeasure:
            found["countermeasure"] = self.countermeasure
        return found | ({"attacks": self.attacks} if self.attacks else {})

    def text(self, form: TableForm) -> str:
        """For reading."""
        resampled = "claimed speakers" if self.by_speaker else "trials"
        counted = ", ".join(f"{count} {kind}" for kind, count in self.n_trials.items())
        rows = [["", *TITLES.values()]]
        for name, values in self.systems.items():
            cells = [
                f"{shown(title, values[key]['value'])} ({told(title, values[key])})" for key, title in TITLES.items()
            ]
            rows.append([ALONE.get(name, name), *cells])
        lines = [f"trials: {counted}; costs: {self.costs}; in brackets: 95 %, {resampled} resampled", ""]
        lines += format_rows(rows, form)
        if self.tandem is not None:
            lines += ["", f"t-EER of the two scores: {100 * self.tandem:.2f} %"]
        if self.countermeasure:
            figures = ", ".join(f"{title} {shown(title, self.countermeasure[key])}" for key, title in CM_TITLES.items())
            lines.append(f"countermeasure, target and nontarget against spoof: {figures}")
        if self.attacks:
            title = TITLES["spf_eer"]
            rows = [["attack", title, "95 %"]]
            rows += [[name, shown(title, each["value"]), told(title, each)] for name, each in self.attacks.items()]
            lines += ["", *format_rows(rows, form)]
        return "\n".join(lines)


def report(
    path: Path, blend: str | None = None, fitted_on: Path | None = None, costs: str = "default", n_bootstrap: int = 1000
) -> SpeakerAwareReport:
    """Read and score trials.

    Parameters
    ----------
    path : Path
        Read by `read_verification`.
    blend : str or None
        Key of `BLENDS`; by default the sum. For files with two scores.
    fitted_on : Path or None
        Trials that a calibrated blend is fitted on, such as those of dev.
    costs : str
        Key of `COSTS`.
    n_bootstrap : int
        Resamples.

    Raises
    ------
    InputError
        A file is malformed, or does not go with the options.
    """
    trials = read_verification(path)
    scores: dict[str, Array] = {}
    if SCORE in trials:
        if blend is not None or fitted_on is not None:
            raise InputError(f"{path} has one score, '{SCORE}'; blends are for '{ASV_SCORE}' and '{CM_SCORE}'")
        scores[SCORE] = trials[SCORE].to_numpy()
    else:
        blend = "sum" if blend is None else blend
        scores = {name: trials[name].to_numpy() for name in ALONE}
        scores[blend] = _blended(path, trials, blend, fitted_on)
    name = list(scores)[-1]
    kinds, attacks = trials["label"].to_numpy(), trials["attack"].to_numpy()
    by_speaker = drawn_by_speaker([trials])
    systems = _scored(scores, trials, costs, n_bootstrap, by_speaker=by_speaker)
    names = sorted({*attacks[kinds == SPOOF]})
    two = SCORE not in trials
    return SpeakerAwareReport(
        name=name,
        costs=costs,
        n_trials={kind: int((kinds == kind).sum()) for kind in KINDS},
        by_speaker=by_speaker,
        systems={key: {each: values[each] for each in SCORES} for key, values in systems.items()},
        attacks={} if names == [UNKNOWN] else {attack: systems[name][attack_key(attack)] for attack in names},
        tandem=t_eer(scores[ASV_SCORE], scores[CM_SCORE], kinds) if two else None,
        countermeasure=_countermeasure(scores[CM_SCORE], kinds != SPOOF) if two else {},
    )


def _blended(path: Path, trials: pd.DataFrame, blend: str, fitted_on: Path | None) -> Array:
    chosen = BLENDS[blend]
    if not chosen.calibrated:
        if fitted_on is not None:
            raise InputError(f"the blend {blend} fits nothing, so there is no use for {fitted_on}; leave it out")
        return chosen(trials)
    if fitted_on is None:
        raise InputError(
            f"the blend {blend} is calibrated on labelled trials; name a file of them, such as that of dev"
        )
    known = read_verification(fitted_on)
    if SCORE in known:
        raise InputError(f"{fitted_on} has one score; calibration needs '{ASV_SCORE}' and '{CM_SCORE}', as in {path}")
    return chosen(trials, known)


def verified_trials(scores: Array, trials: pd.DataFrame, costs: str) -> Scored[Verification]:
    """Trials by the scores of one system, with the SPF-EER of each attack under its `attack_key`.

    Parameters
    ----------
    scores : ndarray of shape (n_trials,)
    trials : DataFrame
        `label` (the kind), `attack`.
    costs : str
        Key of `COSTS`.
    """
    kinds, attacks = trials["label"].to_numpy(), trials["attack"].to_numpy()
    further = {attack_key(name): spf_eer_of(name) for name in sorted({*attacks[kinds == SPOOF]})}
    return verified(scores, kinds, COSTS[costs], attacks, further)


def attack_key(attack: str) -> str:
    """What the SPF-EER of an attack is called among scores."""
    return f"spf_eer of {attack}"


def _scored(
    systems: Mapping[str, Array], trials: pd.DataFrame, costs: str, n_bootstrap: int, *, by_speaker: bool
) -> dict[str, dict[str, dict[str, float]]]:
    """System -> score, or `attack_key` of an attack -> value, ci_low, ci_high; all in the same resamples."""
    several = [verified_trials(scores, trials, costs) for scores in systems.values()]
    draw = trial_draw(trials, generator(0, "bootstrap trials"), by_speaker=by_speaker)
    found: dict[str, dict[str, dict[str, float]]] = {}
    for system, scored, resampled in zip(systems, several, resampled_values(several, draw, n_bootstrap), strict=True):
        found[system] = {}
        for name, value in scored.values().items():
            low, high = interval(resampled[name])
            found[system][name] = {"value": float(value), "ci_low": low, "ci_high": high}
    return found


def _countermeasure(scores: Array, is_bonafide: Array) -> dict[str, float]:
    parts = [family(scores, is_bonafide).values() for family in (detected, stepped, likelihoods)]
    return {name: float(value) for part in parts for name, value in part.items() if name in CM_TITLES}
