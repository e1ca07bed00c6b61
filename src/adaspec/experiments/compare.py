"""Compare settings clip by clip: which is better, and could chance have done it?

A setting is one run, or several that differ in their seed. All runs have scored the same clips in the same folds, so
what is compared are differences on the same clips, whose spread is far smaller than that of the scores.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.stats

from adaspec.errors import InputError
from adaspec.evaluation.bootstrap import Draw, resampled_means
from adaspec.evaluation.scores.contract import Score, Scored
from adaspec.evaluation.summary import difference, interval, mean_and_std, paired_interval
from adaspec.experiments.runs import KEYS, Setting
from adaspec.runtime.seeding import generator
from adaspec.tables.columns import labels_of

__all__ = ["Comparison", "compare"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Comparison:
    """One setting beside the baseline.

    Attributes
    ----------
    name : str
    accuracy, std : float
        Mean over the clips of each fold, folds and runs; standard deviation over folds and runs (n - 1), not a number
        for a single one.
    low, high : float
        95 % interval of the accuracy.
    difference, difference_low, difference_high : float
        Accuracy less that of the baseline, with its paired 95 % interval.
    n_only_baseline, n_only_this : int
        Clips that one of the two was right about and the other was not.
    p_value : float
        Of the exact, two-sided McNemar test on these counts.
    """

    name: str
    accuracy: float
    std: float
    low: float
    high: float
    difference: float
    difference_low: float
    difference_high: float
    n_only_baseline: int
    n_only_this: int
    p_value: float

    @property
    def verdict(self) -> str:
        """What the paired interval says: better, worse or no difference shown."""
        if self.difference_low > 0:
            return "better"
        return "worse" if self.difference_high < 0 else "no difference shown"


def compare(settings: list[Setting], seed: int = 0, n_resamples: int = 10_000) -> list[Comparison]:
    """Compare every setting with the first, the baseline.

    Intervals are percentile bootstraps. Clips are drawn anew within each fold, the same for all settings, and runs
    among the runs, the same for two settings that have equally many: name runs of equal seeds in equal order. The
    interval of one run carries the chance of which clips were drawn; only that of several carries the chance of the
    seed as well, and understates it where they are few. The test is on the clips that the mean of a setting's scores
    over its runs gets right. Clips count one by one, also where several come from one source.

    Parameters
    ----------
    settings : list of Setting
    seed, n_resamples : int
        Of the bootstrap.

    Returns
    -------
    list of Comparison
        As many as settings; each depends on the baseline and its own setting alone.

    Raises
    ------
    InputError
        The runs did not score the same clips in the same folds.

    References
    ----------
    Q. McNemar, "Note on the sampling error of the difference between correlated proportions or percentages",
    Psychometrika 12, 1947, https://doi.org/10.1007/BF02295996

    T. G. Dietterich, "Approximate Statistical Tests for Comparing Supervised Classification Learning Algorithms",
    Neural Computation 10, 1998, https://doi.org/10.1162/089976698300017197

    B. Efron and R. J. Tibshirani, "An Introduction to the Bootstrap", 1993, chapters 8 and 13.
    """
    _check_same_clips(settings)
    baseline = settings[0]
    folds = baseline.tables[0]["fold"].to_numpy(dtype=object)
    members = {fold: np.flatnonzero(folds == fold) for fold in sorted(set(folds))}
    resampled = _resample([setting.hits for setting in settings], members, seed, n_resamples)
    per_fold = [np.stack([setting.hits[:, clips].mean(axis=1) for clips in members.values()]) for setting in settings]
    right = baseline.mean_score_hits
    compared: list[Comparison] = []
    for setting, accuracies, scores in zip(settings, resampled, per_fold, strict=True):
        accuracy, std = mean_and_std(scores)
        low, high = interval(accuracies)
        difference_low, difference_high = paired_interval(accuracies, resampled[0])
        this_right = setting.mean_score_hits
        n_only_baseline, n_only_this = int((right & ~this_right).sum()), int((this_right & ~right).sum())
        compared.append(
            Comparison(
                name=setting.name,
                accuracy=accuracy,
                std=std,
                low=low,
                high=high,
                difference=difference(accuracy, per_fold[0].mean()),
                difference_low=difference_low,
                difference_high=difference_high,
                n_only_baseline=n_only_baseline,
                n_only_this=n_only_this,
                p_value=_mcnemar(n_only_baseline, n_only_this),
            )
        )
    return compared


def _resample(
    hits: list[Floats], members: dict[str, npt.NDArray[np.int64]], seed: int, n_resamples: int
) -> list[Floats]:
    """Accuracy of each setting in every resample: (n_runs, n_clips) each -> (n_resamples,) each."""
    all_hits = np.concatenate(hits)  # (n_runs of all settings, n_clips)
    drawn_clips = [
        (_right(all_hits[:, clips].T), Draw(np.arange(len(clips)), generator(seed, "clips", fold)))
        for fold, clips in members.items()
    ]
    means = resampled_means(drawn_clips, n_resamples)["accuracy"]  # (n_resamples, n_runs of all settings)
    accuracies = []
    for own in np.split(means, np.cumsum([len(each) for each in hits])[:-1], axis=1):
        n_runs = own.shape[1]
        drawn = generator(seed, "runs", n_runs).integers(0, n_runs, own.shape)
        accuracies.append(np.take_along_axis(own, drawn, axis=1).mean(axis=1))
    return accuracies


def _right(hits: Floats) -> Scored[Floats]:
    """Clips with whether each of several runs was right about them, (n_clips, n_runs) of 0 and 1."""

    def prepare(summed: Mapping[str, Floats]) -> Floats:
        return summed["hits"] / summed["clips"]

    components = {"hits": hits, "clips": np.ones((len(hits), 1))}
    return Scored(components, prepare, {"accuracy": Score(lambda share: share, perfect=1)})


def _mcnemar(n_only_first: int, n_only_second: int) -> float:
    """Chance of counts at least as unequal, were either equally likely for each clip they differ in."""
    n_differing = n_only_first + n_only_second
    return float(scipy.stats.binomtest(n_only_first, n_differing, 0.5).pvalue) if n_differing else 1.0


def _check_same_clips(settings: list[Setting]) -> None:
    runs = [(name, table.set_index("clip_id")) for setting in settings for name, table in setting.runs.items()]
    name, reference = runs[0]
    for other, table in runs[1:]:
        for kind, here, there in (
            ("clip", reference.index, table.index),
            ("class", pd.Index(labels_of(reference)), pd.Index(labels_of(table))),
        ):
            unshared = here.symmetric_difference(there)
            if not unshared.empty:
                owner = name if unshared[0] in here else other
                raise InputError(
                    f"{name} and {other} cannot be compared: {kind} {unshared[0]} is in {owner} "
                    f"only (one of {len(unshared)} such); compare runs of one data set"
                )
        for key, remedy in KEYS.items():
            values, others = reference[key], table[key].reindex(reference.index)
            differing = reference.index[values != others]
            if not differing.empty:
                clip = differing[0]
                raise InputError(
                    f"{name} and {other} cannot be compared: clip {clip} has {key} {values[clip]} in one, "
                    f"{others[clip]} in the other (one of {len(differing)} such); {remedy}"
                )
