"""Scores of a detector's probabilities: are they as often right as they say?

The components are counts, probabilities and bona fide trials in bins of equal width by the probability, and the errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from adaspec.evaluation.scores.contract import Array, Score, Scored, one_hot

__all__ = ["SCORES", "Calibration", "calibrated", "probability"]

N_BINS = 15
SMALLEST = 1e-7  # of a probability, in the log-loss


def probability(log_odds: Array) -> Array:
    """Probability of being bona fide: (n_trials,) logarithms of odds -> (n_trials,)."""
    return np.asarray(1 / (1 + np.exp(-np.clip(log_odds, -80, 80))))


@dataclass(frozen=True)
class Calibration:
    """Sums over trials.

    Attributes
    ----------
    n_trials, sum_probability, n_bonafide : ndarray of shape (..., n_bins)
    squared_error, log_loss : ndarray of shape (...)
    """

    n_trials: Array
    sum_probability: Array
    n_bonafide: Array
    squared_error: Array
    log_loss: Array

    @property
    def total(self) -> Array:
        """Number of trials."""
        return np.asarray(self.n_trials.sum(axis=-1))

    def per_bin(self) -> tuple[Array, Array]:
        """Mean probability and share of bona fide trials: (..., n_bins) each, NaN where a bin is empty."""
        with np.errstate(invalid="ignore"):
            return self.sum_probability / self.n_trials, self.n_bonafide / self.n_trials

    def error(self) -> Array:
        """Expected calibration error: the mean distance of the two, over trials.

        References
        ----------
        C. Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, eq. 3 (15 bins of equal width, here of the
        probability of one class), https://arxiv.org/abs/1706.04599
        """
        mean, share = self.per_bin()
        return np.asarray(np.nansum(self.n_trials * np.abs(mean - share), axis=-1) / self.total)


SCORES: dict[str, Score[Calibration]] = {
    "brier": Score(lambda sums: sums.squared_error / sums.total, perfect=0),
    "log_loss": Score(lambda sums: sums.log_loss / sums.total, perfect=0, high=-np.log(SMALLEST)),
    "calibration_error": Score(Calibration.error, perfect=0),
}


def calibrated(probability: Array, is_bonafide: Array, n_bins: int = N_BINS) -> Scored[Calibration]:
    """Trials with a probability each.

    Parameters
    ----------
    probability : ndarray of shape (n_trials,)
        Between 0 and 1, of being bona fide; the log-loss takes none nearer than 1e-7 to either.
    is_bonafide : ndarray of bool of shape (n_trials,)
    n_bins : int
    """
    probability, is_bonafide = np.asarray(probability, dtype=np.float64), np.asarray(is_bonafide, dtype=bool)
    own = np.where(is_bonafide, probability, 1 - probability)
    index = np.minimum((probability * n_bins).astype(int), n_bins - 1)
    components = {
        "n_trials": one_hot(index, n_bins),
        "sum_probability": one_hot(index, n_bins, probability),
        "n_bonafide": one_hot(index, n_bins, is_bonafide),
        "squared_error": (1 - own)[:, None] ** 2,
        "log_loss": -np.log(np.clip(own, SMALLEST, 1))[:, None],
    }

    def prepare(summed: Mapping[str, Array]) -> Calibration:
        bins = (summed[name] for name in ("n_trials", "sum_probability", "n_bonafide"))
        return Calibration(*bins, *(summed[name][..., 0] for name in ("squared_error", "log_loss")))

    return Scored(components, prepare, SCORES)
