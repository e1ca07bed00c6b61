"""Is a difference of scores more than chance? Tests and intervals for two settings that scored the same clips.

The decision rests on `Paired`: the bootstrap over groups of clips says how much the choice of test clips moves the
difference, seeds say how much training does, and where there is one run each, the folds do. benchmarks/compare_power.py
measures how often it errs and what it finds, beside other rules.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.special

from adaspec.evaluation.summary import EXACT_DECIMALS

__all__ = ["ALPHA", "Bayes", "Paired", "bayesian_correlated_t", "corrected_resampled_t", "holm", "mcnemar"]

Floats = npt.NDArray[np.float64]

ALPHA = 0.05
POWER = 0.8  # with which more data would tell
LEAST, BISECTIONS = 1e-16, 50  # of a p-value; from there to 1 to 13 digits


@dataclass(frozen=True)
class Paired:
    """A difference of means over folds and runs, and what moves it.

    Attributes
    ----------
    difference : float
    groups_variance : float
        Of the difference, by which groups of clips were tested.
    of_runs_variance : float
        What further runs would take off the former: clips on which runs of a setting differ; 0 where runs do not pair.
    training_variance : float
        Of the difference, by how training came out; NaN where nothing tells it: one run each, in one fold.
    low, high : float
        95 % interval; infinite where nothing tells what training does.
    p_value : float
        Two-sided: that of the widest interval which does not contain 0.
    """

    difference: float
    groups_variance: float
    of_runs_variance: float
    training_variance: float
    low: float
    high: float
    p_value: float

    @classmethod
    def of(
        cls, first: Floats, second: Floats, drawn_first: Floats, drawn_second: Floats, n_units: Sequence[int]
    ) -> Paired:
        """Compare a second setting with a first.

        That of groups is of the bootstrap, n / (n - 1) times as large for n groups in a fold. That of training is of
        the runs of each fold about their mean; runs of equal number are paired, as they share a seed. The interval is
        Banerjee's: its half is the root of the sum of both variances, each times the square of its own t, so that few
        seeds widen it for training alone; it covers no less than it promises. With one run each, training shows only
        in how the folds differ, as the test clips do: the interval is then the wider of the bootstrap's and that of a
        t-test over the folds.

        Parameters
        ----------
        first, second : ndarray of shape (n_folds, n_runs)
            Scores; n_runs may differ.
        drawn_first, drawn_second : ndarray of shape (n_resamples, n_folds, n_runs)
            The same in each resample of a fold's clips; those that leave a score undefined do not count.
        n_units : sequence of int
            Number of units that were drawn from, of each fold.

        References
        ----------
        S. K. Banerjee, "Approximate Confidence Interval for Linear Functions of Means of k Populations When the
        Population Variances Are Not Equal", Sankhya 22, 1960; B. Efron and R. J. Tibshirani, "An Introduction to the
        Bootstrap", 1993, chapter 12
        """
        n_folds = len(first)
        of_folds = np.round(second.mean(axis=1) - first.mean(axis=1), EXACT_DECIMALS)
        difference = float(np.round(of_folds.mean(), EXACT_DECIMALS))
        units = np.maximum(np.asarray(n_units, dtype=np.float64), 2)
        defined = np.isfinite(drawn_first).all(axis=(1, 2)) & np.isfinite(drawn_second).all(axis=(1, 2))
        if not defined.any():
            return cls(difference, math.nan, math.nan, math.nan, -math.inf, math.inf, 1.0)
        drawn_first, drawn_second = drawn_first[defined], drawn_second[defined]
        drawn = np.round(drawn_second.mean(axis=2) - drawn_first.mean(axis=2), EXACT_DECIMALS)
        groups = float((drawn.var(axis=0) * units / (units - 1)).sum() / n_folds**2)
        of_runs = min(_of_runs_variance(drawn_first, drawn_second), groups)
        groups_df = max(float(units.sum()) - n_folds, 1.0)
        training, training_df = _training_variance(first, second)
        if training_df:
            parts = [(groups, groups_df), (training, training_df)]
        elif n_folds > 1:
            of_all = float(of_folds.var(ddof=1) / n_folds)
            training = max(of_all - groups, 0.0)
            parts = [(groups, groups_df), (of_all, n_folds - 1.0)]
        else:
            return cls(difference, groups, of_runs, math.nan, -math.inf, math.inf, 1.0)

        def half(alpha: float) -> float:
            squares = [variance * float(scipy.special.stdtrit(df, alpha / 2)) ** 2 for variance, df in parts]
            return math.sqrt(sum(squares) if training_df else max(squares))

        ends = difference - half(ALPHA), difference + half(ALPHA)
        return cls(difference, groups, of_runs, training, *ends, _p_value(abs(difference), half))

    def more_needed(self, n_runs: int, rope: float, alpha: float = ALPHA) -> tuple[int | None, float]:
        """How much more data would tell, were the difference what it is now.

        Told is that it is more than nothing, or, if that takes less, that it is no more than `rope`.

        Parameters
        ----------
        n_runs : int
            Runs of each setting there are.
        rope, alpha : float

        Returns
        -------
        int or None
            Further runs of each setting; None where no number of them is enough.
        float
            Times as many test clips, with as many runs as now.
        """
        margin = max(abs(self.difference), rope - abs(self.difference))
        wanted = (margin / float(scipy.special.ndtri(1 - alpha / 2) + scipy.special.ndtri(POWER))) ** 2
        if math.isnan(self.training_variance):
            return 1, math.nan
        if not wanted:
            return None, math.inf
        left = wanted - (self.groups_variance - self.of_runs_variance)
        shrinking = self.training_variance + self.of_runs_variance
        runs = None if left <= 0 else max(math.ceil(n_runs * shrinking / left) - n_runs, 1)
        return runs, max((self.groups_variance + self.training_variance) / wanted, 1.0)


def _training_variance(first: Floats, second: Floats) -> tuple[float, int]:
    """Variance of the difference of means by how training came out, and its degrees of freedom; 0 where runs are few.

    Fold and seed make a training's random draws, so that the models of different folds differ independently.
    """
    n_folds, n_first, n_second = len(first), first.shape[1], second.shape[1]
    if n_first == n_second:
        if n_first == 1:
            return math.nan, 0
        spread = np.round(second - first, EXACT_DECIMALS).var(axis=1, ddof=1).mean()
        return float(spread / (n_folds * n_first)), n_folds * (n_first - 1)
    df = n_folds * (n_first + n_second - 2)
    squares = sum(float(((own - own.mean(axis=1, keepdims=True)) ** 2).sum()) for own in (first, second))
    return squares / df * (1 / n_first + 1 / n_second) / n_folds, df


def _of_runs_variance(drawn_first: Floats, drawn_second: Floats) -> float:
    """Part of the variance by groups that runs of one setting do not share, in the mean over paired runs and folds."""
    _, n_folds, n_runs = drawn_first.shape
    if n_runs < 2 or drawn_second.shape[2] != n_runs:
        return 0.0
    drawn = drawn_second - drawn_first
    spread = (drawn - drawn.mean(axis=0)).var(axis=2, ddof=1)
    return float(spread.mean(axis=0).sum() / n_folds**2 / n_runs)


def _p_value(difference: float, half: Callable[[float], float]) -> float:
    """The alpha at which an interval, which `half` tells half of, just reaches to zero."""
    low, high = LEAST, 1.0
    if half(low) <= difference:
        return low if difference else 1.0
    for _ in range(BISECTIONS):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if half(middle) > difference else (low, middle)
    return high


def _two_sided(difference: float, error: float, df: float) -> float:
    if error == 0:
        return float(difference == 0)
    return float(2 * scipy.special.stdtr(df, -abs(difference) / error))


def corrected_resampled_t(differences: Floats, test_to_train: float) -> tuple[float, float]:
    """Test of the differences of folds whose training sets overlap: t and its two-sided p-value.

    The variance of the mean is (1 / n + test_to_train) times that of the differences. Runs of other seeds on the same
    folds are no further splits: average them first.

    Parameters
    ----------
    differences : ndarray of shape (n_splits,)
    test_to_train : float
        Number of test clips over that of the others.

    References
    ----------
    C. Nadeau and Y. Bengio, "Inference for the Generalization Error", Machine Learning 52, 2003,
    https://doi.org/10.1023/A:1024068626366
    """
    n = len(differences)
    error = math.sqrt(float(np.var(differences, ddof=1)) * (1 / n + test_to_train))
    mean = float(np.mean(differences))
    t = mean / error if error else (math.copysign(math.inf, mean) if mean else 0.0)
    return t, _two_sided(mean, error, n - 1)


@dataclass(frozen=True)
class Bayes:
    """Probabilities that the true difference lies below, within and above the region of practical equivalence."""

    below: float
    within: float
    above: float


def bayesian_correlated_t(differences: Floats, test_to_train: float, rope: float) -> Bayes:
    """Posterior of the mean difference of folds whose training sets overlap, seen at a region of practical equivalence.

    It is Student's t with n - 1 degrees of freedom about the mean, scaled as in `corrected_resampled_t`.

    Parameters
    ----------
    differences, test_to_train
        As in `corrected_resampled_t`.
    rope : float
        The region is from -rope to rope.

    References
    ----------
    A. Benavoli et al., "Time for a Change: a Tutorial for Comparing Multiple Classifiers Through Bayesian Analysis",
    Journal of Machine Learning Research 18, 2017, section 3, https://jmlr.org/papers/v18/16-305.html
    """
    n = len(differences)
    error = math.sqrt(float(np.var(differences, ddof=1)) * (1 / n + test_to_train))
    mean = float(np.mean(differences))
    if error == 0:
        return Bayes(float(mean < -rope), float(-rope <= mean <= rope), float(mean > rope))
    below, above = (float(scipy.special.stdtr(n - 1, (-rope + sign * mean) / error)) for sign in (-1, 1))
    return Bayes(below, 1 - below - above, above)


def mcnemar(n_only_first: int, n_only_second: int) -> float:
    """Chance of counts at least as unequal, were either equally likely for each clip that two classifiers differ in.

    References
    ----------
    Q. McNemar, "Note on the sampling error of the difference between correlated proportions or percentages",
    Psychometrika 12, 1947, https://doi.org/10.1007/BF02295996
    """
    n_fewer, n_differing = min(n_only_first, n_only_second), n_only_first + n_only_second
    return min(1.0, 2 * float(scipy.special.bdtr(n_fewer, n_differing, 0.5)))


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for how many there are.

    References
    ----------
    S. Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian Journal of Statistics 6, 1979
    """
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(np.argsort(p_values, kind="stable")):
        largest = max(largest, min(1.0, p_values[index] * (len(p_values) - rank)))
        corrected[index] = largest
    return corrected
