"""Errors of a detector at every threshold, from trials of several kinds. A higher score always means more genuine.

Trials are accepted where score >= threshold, those with equal scores together. One kind should be accepted: the share
of it that is not is `p_miss`. The others should not: the share of them that is accepted is `p_fa`. The components are
trials of each kind, from the highest score down.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from adaspec.evaluation.scores.contract import Array, Selection

__all__ = [
    "BONAFIDE_KIND",
    "SPOOFED_KIND",
    "Accepted",
    "ErrorCurve",
    "Ranking",
    "attack_masks",
    "error_curve",
    "ranked",
]

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
        Kind -> how many of its trials are accepted.
    """

    thresholds: Array
    positions: Mapping[str, Array]
    _corners: dict[str, Array] = field(default_factory=dict)

    def corners(self, kind: str) -> Array:
        """Indices of the thresholds at which trials of a kind begin to be accepted, and that of the first.

        Between them it only grows what of the others is accepted: costs of both errors are least at one of them.
        """
        if kind not in self._corners:
            self._corners[kind] = np.flatnonzero(np.diff(self.positions[kind], prepend=-1))
        return self._corners[kind]


class Accepted:
    """Shares of trials that are accepted, of each kind.

    Parameters
    ----------
    ranking : Ranking
    summed : mapping of str to ndarray of shape (..., n_trials)
        Kind -> how often each of its trials counts, from the highest score down.
    """

    def __init__(self, ranking: Ranking, summed: Mapping[str, Array]) -> None:
        self.ranking = ranking
        self._at_corners: dict[tuple[str, ...], tuple[Array, Array]] = {}
        self._counts: dict[str, Array] = {}  # of the first of its trials: (..., n_trials + 1)
        for kind, counts in summed.items():
            self._counts[kind] = np.zeros((*counts.shape[:-1], counts.shape[-1] + 1), counts.dtype)
            np.cumsum(counts, axis=-1, dtype=counts.dtype, out=self._counts[kind][..., 1:])

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
            accepted.append(np.take(counts, columns, axis=-1) if points.ndim == 1 else _each(counts, columns))
            totals.append(counts[..., -1:])
        total = np.asarray(sum(totals))
        return np.asarray(sum(accepted) / np.where(total > 0, total, np.nan))

    def counts(self, kind: str) -> Array:
        """Number of accepted trials of a kind at each threshold: (..., n_points)."""
        return np.take(self._counts[kind], self.ranking.positions[kind], axis=-1)

    def eer(self, kind: str, others: Sequence[str]) -> Array:
        """Equal error rate of one kind against others: (...)."""

        def errors(points: Array) -> tuple[Array, Array]:
            return self.share(others, points), 1 - self.share([kind], points)

        return _equal_errors(errors, (*self._counts[kind].shape[:-1], len(self.ranking.thresholds)))

    def auc(self, kind: str, others: Sequence[str]) -> Array:
        """Area under the ROC: the chance that a trial of a kind scores higher than another, ties half: (...)."""
        own, equal = self.at_corners(kind, others)
        higher = self.share(others, self.ranking.corners(kind)[1:] - 1)
        return np.asarray((np.diff(own, axis=-1) * (1 - (higher + equal[..., 1:]) / 2)).sum(axis=-1))

    def at_corners(self, kind: str, others: Sequence[str]) -> tuple[Array, Array]:
        """Accepted shares of a kind and of others at the corners of the kind, (..., n_corners) each; found once."""
        key = (kind, *others)
        if key not in self._at_corners:
            points = self.ranking.corners(kind)
            self._at_corners[key] = self.share([kind], points), self.share(others, points)
        return self._at_corners[key]

    def curve(self, kind: str, others: Sequence[str]) -> ErrorCurve:
        """Errors of one kind against others at all points."""
        points = np.arange(len(self.ranking.thresholds))
        return ErrorCurve(self.ranking.thresholds, self.share(others, points), 1 - self.share([kind], points))

    def corner_curve(self, kind: str, others: Sequence[str]) -> ErrorCurve:
        """Errors of one kind against others at the corners of the kind."""
        own, p_fa = self.at_corners(kind, others)
        return ErrorCurve(self.ranking.thresholds[self.ranking.corners(kind)], p_fa, 1 - own)


def _each(counts: Array, columns: Array) -> Array:
    """Of (..., n_columns) counts, those in columns of each row: (..., n)."""
    rows = counts.reshape(-1, counts.shape[-1])
    taken = rows[np.arange(len(rows))[:, None], columns.reshape(len(rows), -1)]
    return np.asarray(taken.reshape(columns.shape))


def ranked(scores: Array, kinds: Mapping[str, Array]) -> tuple[Ranking, dict[str, Selection]]:
    """Rank trials.

    Parameters
    ----------
    scores : ndarray of shape (n_trials,)
        Finite; higher means more genuine.
    kinds : mapping of str to ndarray of bool of shape (n_trials,)
        Kind -> which trials are of it.

    Returns
    -------
    ranking : Ranking
    components : dict of str to Selection
        Kind -> its trials, from the highest score down.

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
        falling = trials[np.argsort(-scores[trials], kind="stable")]
        components[kind] = Selection(falling, len(scores))
        positions[kind] = np.append(0, np.searchsorted(-scores[falling], lowered, side="right"))
    thresholds = np.append(np.nextafter(-lowered[0], np.inf), -lowered)
    return Ranking(thresholds, positions), components


def attack_masks(attacks: Array | None, is_spoof: Array) -> dict[str, Array]:
    """Attack -> which trials are spoofed by it, in the order of their names; none where no attacks are told.

    Parameters
    ----------
    attacks : ndarray of str of shape (n_trials,) or None
    is_spoof : ndarray of bool of shape (n_trials,)
    """
    if attacks is None:
        return {}
    codes, names = pd.factorize(pd.Series(attacks).where(is_spoof), sort=True)
    return {str(name): codes == code for code, name in enumerate(names)}


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
    accepted = Accepted(ranking, {kind: np.ones(len(scores), np.int32) @ part for kind, part in components.items()})
    return accepted.curve(BONAFIDE_KIND, [SPOOFED_KIND])
