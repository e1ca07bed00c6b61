"""Errors of a detector at every threshold. A higher score always means more bona fide.

Spoofed trials are accepted where score >= threshold (their share is `p_fa`), and bona fide trials rejected where not
(`p_miss`). Trials with equal scores are accepted together. The components are counts of trials, bona fide and spoofed
ones, at each score that occurs, from the highest down.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from adaspec.evaluation.scores.contract import Array, one_hot

__all__ = ["BONAFIDE_TRIALS", "SPOOF_TRIALS", "ErrorCurve", "curve_of", "error_curve", "trial_counts"]

BONAFIDE_TRIALS, SPOOF_TRIALS = "bonafide_trials", "spoof_trials"  # names of the components


@dataclass(frozen=True)
class ErrorCurve:
    """Errors at each threshold, from the strictest on.

    Attributes
    ----------
    thresholds : ndarray of shape (n_points,)
        The first accepts nothing; each further one is a score that occurs.
    p_fa, p_miss : ndarray of shape (..., n_points)
        Accepted share of the spoofed trials, rejected share of the bona fide ones. More axes come from resampling.
    """

    thresholds: Array
    p_fa: Array
    p_miss: Array

    def eer(self) -> Array:
        """Equal error rate, where the straight lines between the points reach p_fa = p_miss: (...)."""
        # p_fa - p_miss grows from -1 to 1: the crossing lies between the last point below 0 and the next.
        gap = self.p_fa - self.p_miss
        after = (gap >= 0).argmax(axis=-1)[..., None]
        low, high = np.take_along_axis(gap, after - 1, -1), np.take_along_axis(gap, after, -1)
        before, behind = np.take_along_axis(self.p_fa, after - 1, -1), np.take_along_axis(self.p_fa, after, -1)
        return (before + (behind - before) * -low / (high - low))[..., 0]

    def eer_threshold(self) -> float:
        """Threshold where the two errors are nearest: midway between the scores on its sides."""
        nearest = int(np.abs(self.p_fa - self.p_miss).argmin())
        if nearest == len(self.thresholds) - 1:
            return float(self.thresholds[-1])
        if nearest == 0:
            return float(self.thresholds[0])
        return float((self.thresholds[nearest] + self.thresholds[nearest + 1]) / 2)

    def auc(self) -> Array:
        """Area under the ROC: the chance that a bona fide trial scores higher than a spoofed one, ties half: (...)."""
        return np.trapezoid(1 - self.p_miss, self.p_fa, axis=-1)


def trial_counts(scores: Array, is_bonafide: Array) -> tuple[Array, dict[str, csr_array]]:
    """Components of trials.

    Parameters
    ----------
    scores : ndarray of shape (n_trials,)
        Finite; higher means more bona fide.
    is_bonafide : ndarray of bool of shape (n_trials,)

    Returns
    -------
    distinct : ndarray of shape (n_scores,)
        Scores that occur, from the highest down.
    components : dict of str to csr_array of shape (n_trials, n_scores)
        A count of the trial itself, under its kind and at its score.

    Raises
    ------
    ValueError
        There are no bona fide trials, or no spoofed ones, or a score is not finite.
    """
    scores, is_bonafide = np.asarray(scores, dtype=np.float64), np.asarray(is_bonafide, dtype=bool)
    if not np.isfinite(scores).all():
        raise ValueError(f"{np.count_nonzero(~np.isfinite(scores))} of {len(scores)} scores are not finite numbers")
    n_bonafide = np.count_nonzero(is_bonafide)
    if n_bonafide in (0, len(scores)):
        raise ValueError(
            f"{n_bonafide} bona fide and {len(scores) - n_bonafide} spoofed trials: error rates need both kinds"
        )
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    is_last = np.append(ranked[1:] != ranked[:-1], True)  # of each group of equal scores
    position = np.empty(len(scores), dtype=np.int64)
    position[order] = np.cumsum(is_last) - is_last
    n_scores = int(is_last.sum())
    components = {
        name: one_hot(position, n_scores, kind)
        for name, kind in ((BONAFIDE_TRIALS, is_bonafide), (SPOOF_TRIALS, ~is_bonafide))
    }
    return ranked[is_last], components


def curve_of(distinct: Array, summed: Mapping[str, Array]) -> ErrorCurve:
    """Errors at each threshold, from `trial_counts` summed over trials; NaN where none of a kind counts."""
    rates = []
    for name in (SPOOF_TRIALS, BONAFIDE_TRIALS):
        accepted = np.cumsum(summed[name], axis=-1)
        n_trials = accepted[..., -1:]
        share = np.divide(accepted, n_trials, out=np.full_like(accepted, np.nan), where=n_trials > 0)
        rates.append(np.concatenate([np.zeros_like(share[..., :1]), share], axis=-1))
    thresholds = np.concatenate([[np.nextafter(distinct[0], np.inf)], distinct])
    return ErrorCurve(thresholds, rates[0], 1 - rates[1])


def error_curve(scores: Array, is_bonafide: Array) -> ErrorCurve:
    """Errors of trials at each threshold; parameters and errors are those of `trial_counts`."""
    distinct, components = trial_counts(scores, is_bonafide)
    return curve_of(distinct, {name: part.sum(axis=0) for name, part in components.items()})
