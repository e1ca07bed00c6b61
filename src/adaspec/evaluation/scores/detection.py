"""Scores of a detector of spoofed speech, of its errors at every threshold: EER, AUC, minimum t-DCF."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from adaspec.evaluation.scores.contract import Array, Score, Scored
from adaspec.evaluation.scores.error_curve import (
    BONAFIDE_TRIALS,
    SPOOF_TRIALS,
    ErrorCurve,
    curve_of,
    trial_counts,
)
from adaspec.evaluation.scores.tandem import AsvErrors, tandem_cost

__all__ = ["SCORES", "STEP_SCORES", "TANDEM_SCORES", "Detection", "detected", "eer_in_steps", "stepped"]


@dataclass(frozen=True)
class Detection:
    """Errors of a detector, and those of the speaker verification (ASV) behind it, where there is one."""

    curve: ErrorCurve
    asv: AsvErrors | None


def _min_tandem_cost(formulation: Literal["2019", "2021"]) -> Callable[[Detection], Array]:
    def value(detection: Detection) -> Array:
        assert detection.asv is not None
        return np.asarray(tandem_cost(detection.curve, detection.asv, formulation).min(axis=-1))

    return value


def eer_in_steps(summed: Mapping[str, Array]) -> Array:
    """Equal error rate as the challenge's own script counts it.

    Trials are rejected one by one, from the lowest score on and bona fide ones first among equals; the rate is the mean
    of both errors where they are nearest. Without ties it is within half a trial of `ErrorCurve.eer`. With ties it is
    higher: where all scores are equal it is 100 %.

    Parameters
    ----------
    summed : mapping of str to ndarray of shape (..., n_scores)
        Whole numbers of trials, as `trial_counts` has them.

    References
    ----------
    M. Todisco et al., "ASVspoof 2019: Future Horizons in Spoofed and Fake Audio Detection", Interspeech 2019, and the
    evaluation package that came with the challenge
    """
    # From the lowest score up, bona fide trials before spoofed ones at each: (..., 2 n_scores).
    counts = np.stack([summed[name][..., ::-1] for name in (BONAFIDE_TRIALS, SPOOF_TRIALS)], axis=-1)
    counts = counts.reshape(*counts.shape[:-2], -1).astype(np.int64)
    is_bonafide = np.arange(counts.shape[-1]) % 2 == 0
    rates = [_nearest(np.repeat(is_bonafide, row)) for row in counts.reshape(-1, counts.shape[-1])]
    return np.array(rates).reshape(counts.shape[:-1])


def _nearest(bonafide: Array) -> float:
    """Mean of both errors where they are nearest, as trials are rejected one by one; NaN where a kind is missing."""
    n_bonafide = np.count_nonzero(bonafide)
    if n_bonafide in (0, len(bonafide)):
        return float("nan")
    p_miss = np.append(0, np.cumsum(bonafide)) / n_bonafide
    p_fa = 1 - np.append(0, np.cumsum(~bonafide)) / (len(bonafide) - n_bonafide)
    nearest = np.abs(p_miss - p_fa).argmin()
    return float((p_miss[nearest] + p_fa[nearest]) / 2)


SCORES: dict[str, Score[Detection]] = {
    "eer": Score(lambda detection: detection.curve.eer(), perfect=0),
    "auc": Score(lambda detection: detection.curve.auc(), perfect=1),
}
# Where errors of a speaker verification system are known. A detector that tells nothing costs 1 with the best
# threshold; that of 2021 keeps the cost that speaker verification has on its own.
TANDEM_SCORES: dict[str, Score[Detection]] = {
    "min_tdcf_2019": Score(_min_tandem_cost("2019"), perfect=0),
    "min_tdcf_2021": Score(_min_tandem_cost("2021"), perfect=float("nan")),
}
STEP_SCORES: dict[str, Score[Mapping[str, Array]]] = {"eer_in_steps": Score(eer_in_steps, perfect=0)}


def detected(scores: Array, is_bonafide: Array, asv: AsvErrors | None = None) -> Scored[Detection]:
    """Trials with a score each, for `SCORES` and, where ASV errors are known, `TANDEM_SCORES`.

    Parameters
    ----------
    scores : ndarray of shape (n_trials,)
        Finite; higher means more bona fide.
    is_bonafide : ndarray of bool of shape (n_trials,)
    asv : AsvErrors, optional

    Raises
    ------
    ValueError
        There are no bona fide trials, or no spoofed ones, or a score is not finite.
    """
    distinct, components = trial_counts(scores, is_bonafide)

    def prepare(summed: Mapping[str, Array]) -> Detection:
        return Detection(curve_of(distinct, summed), asv)

    return Scored(components, prepare, SCORES if asv is None else SCORES | TANDEM_SCORES)


def stepped(scores: Array, is_bonafide: Array) -> Scored[Mapping[str, Array]]:
    """Trials with a score each, for `STEP_SCORES`; parameters and errors are those of `detected`."""
    _, components = trial_counts(scores, is_bonafide)
    return Scored(components, lambda summed: summed, STEP_SCORES)
