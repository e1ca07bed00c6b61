"""Compare settings: which is better, by how much, and could chance have done it?

A setting is one run, or several that differ in their seed. All runs have scored the same clips in the same folds, so
what is compared are differences on the same clips, whose spread is far smaller than that of the scores.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from adaspec.errors import InputError
from adaspec.evaluation.bootstrap import resampled_values
from adaspec.evaluation.predicted import predicted_draws, predicted_scores, scored_predictions
from adaspec.evaluation.scores.contract import Score
from adaspec.evaluation.summary import EXACT_DECIMALS, interval, mean_and_std
from adaspec.experiments.runs import Setting, check_same_clips
from adaspec.experiments.statistics import (
    ALPHA,
    Bayes,
    Paired,
    bayesian_correlated_t,
    corrected_resampled_t,
    holm,
    mcnemar,
)
from adaspec.runtime.seeding import generator
from adaspec.runtime.text import did_you_mean
from adaspec.tables.columns import labels_of

__all__ = ["ROPE", "Compared", "Comparison", "Difference", "Folds", "Verdict", "compare", "judge"]

Floats = npt.NDArray[np.float64]

ROPE = 0.01  # differences of at most this are practically none
N_RESAMPLES = 2000


class Verdict(enum.StrEnum):
    """What a comparison says."""

    BETTER = "better"
    WORSE = "worse"
    EQUAL = "practically equal"
    OPEN = "not enough data"


@dataclass(frozen=True)
class Folds:
    """Tests over folds, whose training sets overlap; runs are averaged first.

    Attributes
    ----------
    t, p_value : float
        Of the corrected resampled t-test.
    bayes : Bayes
        Of the Bayesian correlated t-test.
    """

    t: float
    p_value: float
    bayes: Bayes


@dataclass(frozen=True)
class Difference:
    """One setting less the baseline.

    Attributes
    ----------
    paired : Paired
    verdict : Verdict
    p_holm : float
        The p-value of `paired`, corrected for how many settings are compared.
    folds : Folds or None
        None where there is one fold.
    only_right : tuple of int or None
        Clips that only the baseline, and that only this setting is right about, where accuracies are compared.
    p_mcnemar : float or None
        Of McNemar's exact, two-sided test on them.
    more_runs, more_clips
        What `Paired.more_needed` says.
    """

    paired: Paired
    verdict: Verdict
    p_holm: float
    folds: Folds | None
    only_right: tuple[int, int] | None = None
    p_mcnemar: float | None = None
    more_runs: int | None = None
    more_clips: float = math.nan


@dataclass(frozen=True)
class Comparison:
    """One setting beside the baseline.

    Attributes
    ----------
    name : str
    n_runs : int
    score, std : float
        Mean over the folds and runs; standard deviation over them (n - 1), not a number for a single one.
    low, high : float
        95 % interval of the score.
    per_run : list of float
        Mean over the folds of each run.
    difference : Difference or None
        None for the baseline.
    """

    name: str
    n_runs: int
    score: float
    std: float
    low: float
    high: float
    per_run: list[float]
    difference: Difference | None = None


@dataclass(frozen=True)
class Compared:
    """All settings beside the first.

    Attributes
    ----------
    score : str
    lower_is_better : bool
    rope : float
        Differences of at most this are practically none.
    n_folds, n_clips : int
    rows : list of Comparison
        The baseline first.
    """

    score: str
    lower_is_better: bool
    rope: float
    n_folds: int
    n_clips: int
    rows: list[Comparison]


def compare(
    settings: Sequence[Setting],
    score: str | None = None,
    *,
    rope: float = ROPE,
    seed: int = 0,
    n_resamples: int = N_RESAMPLES,
) -> Compared:
    """Compare every setting with the first, the baseline.

    Clips are drawn anew within each fold, the same for all settings: whole groups, in anti-spoofing speakers, or trials
    where these are few. The interval of a setting's score is the percentile bootstrap over clips and runs. That of a
    difference, and its p-value, are of `Paired`; `judge` makes a verdict of them.

    Parameters
    ----------
    settings : sequence of Setting
    score : str, optional
        One of `predicted_scores`; by default the first.
    rope : float
    seed, n_resamples : int
        Of the bootstrap.

    Raises
    ------
    InputError
        The runs did not score the same clips in the same folds, or there is no such score.
    """
    check_same_clips(settings)
    baseline, *others = settings
    name, kind = _score(score, labels_of(baseline.tables[0]))
    clips = baseline.tables[0]
    members = {str(fold): rows.index.to_numpy() for fold, rows in clips.groupby("fold")}
    values, resampled, n_units = _scores(settings, name, members, seed, n_resamples)
    rows = [_level(setting, own, drawn, seed) for setting, own, drawn in zip(settings, values, resampled, strict=True)]
    paired = [
        Paired.of(values[0], own, resampled[0], drawn, n_units)
        for own, drawn in zip(values[1:], resampled[1:], strict=True)
    ]
    n_tested = np.array([len(own) for own in members.values()])
    ratio = float(np.mean(n_tested / np.maximum(len(clips) - n_tested, 1)))
    corrected = holm([each.p_value for each in paired])
    for index, (setting, each, p_holm) in enumerate(zip(others, paired, corrected, strict=True), start=1):
        difference = Difference(
            paired=each,
            verdict=judge(each, p_holm, rope, lower_is_better=kind.lower_is_better),
            p_holm=p_holm,
            folds=_over_folds(values[index].mean(axis=1) - values[0].mean(axis=1), ratio, rope),
        )
        if name == "accuracy":
            difference = _with_mcnemar(difference, baseline, setting)
        if difference.verdict is Verdict.OPEN:
            n_runs = min(len(baseline.runs), len(setting.runs))
            runs, times = each.more_needed(n_runs, rope, ALPHA / len(others))
            difference = replace(difference, more_runs=runs, more_clips=times)
        rows[index] = replace(rows[index], difference=difference)
    return Compared(name, kind.lower_is_better, rope, len(members), len(clips), rows)


def judge(paired: Paired, p_holm: float, rope: float, *, lower_is_better: bool) -> Verdict:
    """What is said of a difference.

    Practically equal where its interval holds nothing beyond the rope; better or worse where its p-value, corrected for
    how many there are, is below 5 %; else there is not enough data.
    """
    if -rope <= paired.low and paired.high <= rope:
        return Verdict.EQUAL
    if p_holm >= ALPHA:
        return Verdict.OPEN
    return Verdict.BETTER if (paired.difference < 0) == lower_is_better else Verdict.WORSE


def _score(name: str | None, labels: list[str]) -> tuple[str, Score[object]]:
    known = predicted_scores(labels)
    name = next(iter(known)) if name is None else name
    if name not in known:
        among = f"{did_you_mean(name, known)} (known: {', '.join(known)})"
        raise InputError(
            f"predictions of {', '.join(labels[:3])}{', ...' * (len(labels) > 3)} tell no score {name!r}{among}"
        )
    return name, known[name]


def _scores(
    settings: Sequence[Setting],
    name: str,
    members: Mapping[str, npt.NDArray[np.int64]],
    seed: int,
    n_resamples: int,
) -> tuple[list[Floats], list[Floats], list[int]]:
    """Each setting's scores (n_folds, n_runs), in every resample (n_resamples, n_folds, n_runs), and units of folds."""
    tables = [table for setting in settings for table in setting.tables]
    clips = tables[0]
    draws = predicted_draws(
        {fold: clips.loc[own] for fold, own in members.items()}, lambda fold: generator(seed, "clips", fold)
    )
    values, resampled = [], []
    for fold, own in members.items():
        try:
            scored = [scored_predictions(table.loc[own], name) for table in tables]
        except ValueError as error:
            raise InputError(f"{name} is not defined in fold {fold} ({error}); choose another --score") from None
        values.append([float(each.values()[name]) for each in scored])
        drawn = resampled_values(scored, draws[fold], n_resamples)
        resampled.append(np.stack([each[name] for each in drawn], axis=1))
    ends = np.cumsum([len(setting.runs) for setting in settings])[:-1]
    n_units = [len(pd.unique(np.asarray(draw.units))) for draw in draws.values()]
    undefined = [fold for fold, own in zip(members, values, strict=True) if not np.isfinite(own).all()]
    if undefined:
        raise InputError(f"{name} is not defined in fold {undefined[0]} (a class lacks clips); choose another --score")
    return np.split(np.array(values), ends, axis=1), np.split(np.stack(resampled, axis=1), ends, axis=2), n_units


def _level(setting: Setting, values: Floats, resampled: Floats, seed: int) -> Comparison:
    """A setting's score by itself."""
    score, std = mean_and_std(values)
    of_runs = resampled.mean(axis=1)
    drawn = generator(seed, "runs", of_runs.shape[1]).integers(0, of_runs.shape[1], of_runs.shape)
    low, high = interval(np.take_along_axis(of_runs, drawn, axis=1).mean(axis=1))
    return Comparison(setting.name, len(setting.runs), score, std, low, high, values.mean(axis=0).tolist())


def _over_folds(differences: Floats, test_to_train: float, rope: float) -> Folds | None:
    if len(differences) < 2:
        return None
    differences = np.round(differences, EXACT_DECIMALS)
    bayes = bayesian_correlated_t(differences, test_to_train, rope)
    return Folds(*corrected_resampled_t(differences, test_to_train), bayes)


def _with_mcnemar(difference: Difference, baseline: Setting, setting: Setting) -> Difference:
    before, after = baseline.joint_hits, setting.joint_hits
    counts = int((before & ~after).sum()), int((after & ~before).sum())
    return replace(difference, only_right=counts, p_mcnemar=mcnemar(*counts))
