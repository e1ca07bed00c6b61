"""Errors of a detector at every threshold, from trials of several kinds. A higher score always means more genuine.

Trials are accepted where score >= threshold, those with equal scores together. One kind should be accepted: the share
of it that is not is `p_miss`. The others should not: the share of them that is accepted is `p_fa`. The components are
counts of trials of each kind at each score that occurs in it, from the highest down.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from adaspec.evaluation.scores.contract import Array

__all__ = ["BONAFIDE_KIND", "SPOOFED_KIND", "Accepted", "ErrorCurve", "Ranking", "error_curve", "ranked"]

BONAFIDE_KIND, SPOOFED_KIND = "bona fide", "spoofed"  # where there are only two


@dataclass(frozen=True)
class ErrorCurve:
    """Errors at some thresholds, from the strictest on.

    Attributes
    ----------
    thresholds : ndarray of shape (n_points,)
        The first accepts nothing; each further one is a score that occurs.
    p_fa, p_miss : ndarray of shape (..., n_points)
        More axes come from resampling.
    """

    thresholds: Array
    p_fa: Array
    p_miss: Array

    def eer(self) -> Array:
        """Equal error rate, where the straight lines between the points reach p_fa = p_miss: (...)."""

        def errors(points: Array) -> tuple[Array, Array]:
            return np.take_along_axis(self.p_fa, points, -1), np.take_along_axis(self.p_miss, points, -1)

        return _equal_errors(errors, self.p_fa.shape)

    def eer_threshold(self) -> float:
        """Threshold where the two errors are nearest: midway between the scores on its sides."""
        nearest = int(np.abs(self.p_fa - self.p_miss).argmin())
        if nearest == len(self.thresholds) - 1:
            return float(self.thresholds[-1])
        if nearest == 0:
            return float(self.thresholds[0])
        return float((self.thresholds[nearest] + self.thresholds[nearest + 1]) / 2)


def _equal_errors(errors: Callable[[Array], tuple[Array, Array]], shape: tuple[int, ...]) -> Array:
    """Equal error rate.

    Parameters
    ----------
    errors : callable
        Points (..., 1) -> p_fa and p_miss there.
    shape : tuple of int
        (..., n_points).
    """
    # p_fa - p_miss grows from -1 to 1: the last point below 0 and the next are found by halving.
    low, high = np.zeros((*shape[:-1], 1), dtype=np.int64), np.full((*shape[:-1], 1), shape[-1] - 1)
    while (high - low).max() > 1:
        middle = (low + high) // 2
        p_fa, p_miss = errors(middle)
        below = p_fa < p_miss
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    (before, p_miss), (behind, p_miss_behind) = errors(low), errors(high)
    gap, gap_behind = before - p_miss, behind - p_miss_behind
    return np.asarray((before + (behind - before) * -gap / (gap_behind - gap))[..., 0])


@dataclass(frozen=True)
class Ranking:
    """Trials of several kinds on one scale.

    Attributes
    ----------
    thresholds : ndarray of shape (n_points,)
        The first accepts nothing; each further one is a score that occurs.
    positions : mapping of str to ndarray of shape (n_points,)
        Kind -> how many of the scores that occur in it are accepted.
    """

    thresholds: Array
    positions: Mapping[str, Array]


class Accepted:
    """Shares of trials that are accepted, of each kind.

    Parameters
    ----------
    ranking : Ranking
    summed : mapping of str to ndarray of shape (..., n_scores)
        Kind -> components, summed over trials.
    """

    def __init__(self, ranking: Ranking, summed: Mapping[str, Array]) -> None:
        self.ranking = ranking
        self._counts: dict[str, Array] = {}  # accepted trials: (..., n_scores + 1)
        for kind, counts in summed.items():
            self._counts[kind] = np.zeros((*counts.shape[:-1], counts.shape[-1] + 1))
            np.cumsum(counts, axis=-1, out=self._counts[kind][..., 1:])

    def share(self, kinds: Sequence[str], points: Array) -> Array:
        """Accepted share of some kinds together.

        Parameters
        ----------
        kinds : sequence of str
        points : ndarray of int of shape (n,) or (..., 1)
            Indices of thresholds, for all resamples or for each of them one.

        Returns
        -------
        ndarray of shape (..., n) or (..., 1)
            NaN where no trial of these kinds counts.
        """
        accepted, totals = [], []
        for kind in kinds:
            counts, columns = self._counts[kind], self.ranking.positions[kind][points]
            accepted.append(counts[..., columns] if points.ndim == 1 else np.take_along_axis(counts, columns, -1))
            totals.append(counts[..., -1:])
        total = np.asarray(sum(totals))
        return np.asarray(sum(accepted) / np.where(total > 0, total, np.nan))

    def counts(self, kind: str) -> Array:
        """Number of accepted trials of a kind at each threshold: (..., n_points)."""
        return np.asarray(self._counts[kind][..., self.ranking.positions[kind]])

    def eer(self, kind: str, others: Sequence[str]) -> Array:
        """Equal error rate of one kind against others: (...)."""

        def errors(points: Array) -> tuple[Array, Array]:
            return self.share(others, points), 1 - self.share([kind], points)

        return _equal_errors(errors, (*self._counts[kind].shape[:-1], len(self.ranking.thresholds)))

    def auc(self, kind: str, others: Sequence[str]) -> Array:
        """Area under the ROC: the chance that a trial of a kind scores higher than another, ties half: (...)."""
        points = self.corners(kind)
        higher, equal = self.share(others, points[1:] - 1), self.share(others, points[1:])
        hits = np.diff(self.share([kind], points), axis=-1)
        return np.asarray((hits * (1 - (higher + equal) / 2)).sum(axis=-1))

    def corners(self, kind: str) -> Array:
        """Indices of the thresholds at which trials of a kind begin to be accepted, and that of the first.

        Between them it only grows what of the others is accepted: costs of both errors are least at one of them.
        """
        return np.flatnonzero(np.diff(self.ranking.positions[kind], prepend=-1))

    def curve(self, kind: str, others: Sequence[str], points: Array | None = None) -> ErrorCurve:
        """Errors of one kind against others, at all points or at some, given as (n,) indices."""
        if points is None:
            points = np.arange(len(self.ranking.thresholds))
        p_miss = 1 - self.share([kind], points)
        return ErrorCurve(self.ranking.thresholds[points], self.share(others, points), p_miss)


def ranked(scores: Array, kinds: Mapping[str, Array]) -> tuple[Ranking, dict[str, csr_array]]:
    """Rank trials.

    Parameters
    ----------
    scores : ndarray of shape (n_trials,)
        Finite; higher means more genuine.
    kinds : mapping of str to ndarray of bool of shape (n_trials,)
        Kind -> which trials are of it. A trial is of one kind at most.

    Returns
    -------
    ranking : Ranking
    components : dict of str to csr_array of shape (n_trials, n_scores)
        Kind -> a count of the trial itself, at its score among those of the kind.

    Raises
    ------
    ValueError
        A kind has no trial, or a score is not finite.
    """
    scores = np.asarray(scores, dtype=np.float64)
    if not np.isfinite(scores).all():
        raise ValueError(f"{np.count_nonzero(~np.isfinite(scores))} of {len(scores)} scores are not finite numbers")
    members = {kind: np.flatnonzero(mask) for kind, mask in kinds.items()}
    if any(len(trials) == 0 for trials in members.values()):
        counted = " and ".join(f"{len(trials)} {kind}" for kind, trials in members.items())
        raise ValueError(f"{counted} trials: error rates need {'both' if len(members) == 2 else 'all'} kinds")
    lowered = np.unique(-scores[np.concatenate(list(members.values()))])
    positions, components = {}, {}
    for kind, trials in members.items():
        own, codes = np.unique(-scores[trials], return_inverse=True)
        rows = np.zeros(len(scores) + 1, dtype=np.int64)
        rows[trials + 1] = 1
        shape = (len(scores), len(own))
        components[kind] = csr_array((np.ones(len(trials)), codes, np.cumsum(rows)), shape=shape)
        positions[kind] = np.append(0, np.searchsorted(own, lowered, side="right"))
    thresholds = np.append(np.nextafter(-lowered[0], np.inf), -lowered)
    return Ranking(thresholds, positions), components


def error_curve(scores: Array, is_bonafide: Array) -> ErrorCurve:
    """Errors of trials at each threshold.

    Parameters
    ----------
    scores : ndarray of shape (n_trials,)
        Finite; higher means more bona fide.
    is_bonafide : ndarray of bool of shape (n_trials,)

    Raises
    ------
    ValueError
        There are no bona fide trials, or no others, or a score is not finite.
    """
    is_bonafide = np.asarray(is_bonafide, dtype=bool)
    ranking, components = ranked(scores, {BONAFIDE_KIND: is_bonafide, SPOOFED_KIND: ~is_bonafide})
    accepted = Accepted(ranking, {kind: part.sum(axis=0) for kind, part in components.items()})
    return accepted.curve(BONAFIDE_KIND, [SPOOFED_KIND])
