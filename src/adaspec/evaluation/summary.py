"""What scores come to over folds, for all of them alike: mean, standard deviation, 95 % interval, paired difference."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from adaspec.evaluation.scores.contract import Array, Scored

__all__ = [
    "DECIMALS",
    "Summary",
    "difference",
    "headline",
    "interval",
    "mean_and_std",
    "paired_interval",
    "rounded",
    "summarise",
]

Summary = dict[str, dict[str, float]]  # score -> statistic -> value

DECIMALS = 6  # of what is written
EXACT_DECIMALS = 12  # beyond are rounding errors of float64, which are no difference


def mean_and_std(values: Array) -> tuple[float, float]:
    """Mean and standard deviation (n - 1) of all values; the latter NaN for a single one."""
    return float(values.mean()), float(values.std(ddof=1)) if values.size > 1 else math.nan


def interval(resampled: Array) -> tuple[float, float]:
    """95 % percentile interval of a score in (n_resamples,) resamples; where it is undefined they do not count."""
    low, high = np.nanpercentile(resampled, [2.5, 97.5])
    return float(low), float(high)


def difference(value: float, baseline: float) -> float:
    """How much higher a value is than that of a baseline."""
    return float(np.round(value - baseline, EXACT_DECIMALS))


def paired_interval(resampled: Array, baseline: Array) -> tuple[float, float]:
    """95 % interval of the difference of a score to a baseline, both in the same (n_resamples,) resamples."""
    return interval(np.round(resampled - baseline, EXACT_DECIMALS))


def rounded(scored: Iterable[Scored[Any]]) -> dict[str, float]:
    """The scores of one fold, of all families, as they are written."""
    values = {name: value for family in scored for name, value in family.values().items()}
    return {name: round(float(value), DECIMALS) for name, value in values.items()}


def summarise(folds: Iterable[Mapping[str, float]], resampled: Mapping[str, Array]) -> Summary:
    """Summarise scores over folds.

    Parameters
    ----------
    folds : iterable of mapping
        Score -> value, of each fold; some folds may lack a score.
    resampled : mapping of str to ndarray of shape (n_resamples,)
        Mean over folds of some scores in every resample.

    Returns
    -------
    dict of str to dict
        Score -> mean, std (over folds, if there are several), ci_low, ci_high (95 %, if it was resampled).
    """
    folds = list(folds)
    summary: Summary = {}
    for name in dict.fromkeys(name for scores in folds for name in scores):
        mean, std = mean_and_std(np.array([scores[name] for scores in folds if name in scores]))
        summary[name] = {"mean": round(mean, DECIMALS)}
        if not math.isnan(std):
            summary[name]["std"] = round(std, DECIMALS)
        if name in resampled:
            low, high = interval(resampled[name])
            summary[name] |= {"ci_low": round(low, DECIMALS), "ci_high": round(high, DECIMALS)}
    return summary


def headline(summary: Summary, first: str, *further: str) -> Summary:
    """The few numbers that tell runs apart: all of the first score, the mean of further ones that there are."""
    return {first: summary[first], **{name: {"mean": summary[name]["mean"]} for name in further if name in summary}}
