"""Scores of a detector that decides by a threshold: trials that score at or above it are taken for bona fide."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from adaspec.evaluation.scores.contract import Array, Score, Scored

__all__ = ["SCORES", "decided"]

Sums = Mapping[str, Array]


def _p_fa(sums: Sums) -> Array:
    return np.asarray(sums["accepted_spoof"] / sums["spoof"])


def _p_miss(sums: Sums) -> Array:
    return np.asarray(sums["rejected_bonafide"] / sums["bonafide"])


SCORES: dict[str, Score[Sums]] = {
    "p_fa_at_threshold": Score(_p_fa, perfect=0),
    "p_miss_at_threshold": Score(_p_miss, perfect=0),
    "balanced_accuracy_at_threshold": Score(lambda sums: 1 - (_p_fa(sums) + _p_miss(sums)) / 2, perfect=1),
}


def decided(scores: Array, is_bonafide: Array, threshold: float) -> Scored[Sums]:
    """Trials with a score each, decided at a threshold.

    Parameters
    ----------
    scores : ndarray of shape (n_trials,)
    is_bonafide : ndarray of bool of shape (n_trials,)
    threshold : float
    """
    accepted, is_bonafide = np.asarray(scores) >= threshold, np.asarray(is_bonafide, dtype=bool)
    parts = {
        "spoof": ~is_bonafide,
        "accepted_spoof": accepted & ~is_bonafide,
        "bonafide": is_bonafide,
        "rejected_bonafide": ~accepted & is_bonafide,
    }
    components = {name: part[:, None].astype(np.float64) for name, part in parts.items()}
    return Scored(components, _undefined_where_none, SCORES)


def _undefined_where_none(summed: Sums) -> Sums:
    """Sums (...), of which counts of a kind are NaN where none counts."""
    sums = {name: part[..., 0] for name, part in summed.items()}
    return sums | {kind: np.where(sums[kind] > 0, sums[kind], np.nan) for kind in ("spoof", "bonafide")}
