"""What changed clips cost: scores of every change and level, with intervals paired with the clips as they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from adaspec.attributes import ATTRIBUTES
from adaspec.evaluation.bootstrap import resampled_values
from adaspec.evaluation.predicted import predicted_draws, predicted_scores, scored_predictions
from adaspec.evaluation.scores.contract import Array
from adaspec.evaluation.summary import DECIMALS, interval, paired_interval
from adaspec.robustness.asked import CLEAN, CONDITION
from adaspec.runtime.seeding import generator
from adaspec.tables.columns import labels_of, score_column
from adaspec.tables.predictions import own_scores

__all__ = ["ALL", "Condition", "Measures", "Resampled", "first_flips", "measure", "resampled_conditions"]

ALL = "all"  # the mean over attributes
WORST = -1  # in place of a level: where each clip has the one that does it most harm
N_BINS = 15
Condition = tuple[str, int]  # a change and its level


class Measures(NamedTuple):
    """What was found.

    Attributes
    ----------
    score : str
        Name of the task's first score, such as accuracy or eer.
    conditions : DataFrame
        A row for the clean clips and each change and level: `change`, `level`, `n_clips`, `change_db` (median), the
        score with `ci_low` and `ci_high`, `difference` to clean with `difference_low` and `difference_high` (95 %,
        resampled together), `flip_rate` (share of clips whose label changes), `ece` and `brier`.
    changes : DataFrame
        A row for the clean clips, each change and all attributes together: `change`, mean of the score over levels and
        its difference to clean, with intervals, `flip_rate`, and `worst_level`: the score where each clip has the
        level that does it most harm.
    """

    score: str
    conditions: pd.DataFrame
    changes: pd.DataFrame


class Resampled(NamedTuple):
    """A score of some clips.

    Attributes
    ----------
    values : ndarray of shape (n_folds,)
    drawn : ndarray of shape (n_resamples, n_folds)
        In each resample of a fold's clips.
    """

    values: Array
    drawn: Array

    @classmethod
    def mean(cls, several: Sequence[Resampled]) -> Resampled:
        """The mean over conditions."""
        return cls(*(np.mean(parts, axis=0) for parts in zip(*several, strict=True)))

    @property
    def value(self) -> float:
        """The mean over folds."""
        return float(self.values.mean())

    def cells(self, name: str, clean: Resampled) -> dict[str, float]:
        """Cells of a table."""
        drawn, before = self.drawn.mean(axis=1), clean.drawn.mean(axis=1)
        low, high = interval(drawn)
        found = {name: self.value, "ci_low": low, "ci_high": high, "difference": self.value - clean.value}
        found["difference_low"], found["difference_high"] = paired_interval(drawn, before)
        return {key: round(value, DECIMALS) for key, value in found.items()}


def measure(predictions: pd.DataFrame, n_resamples: int, seed: int) -> Measures:
    """Score all changes.

    Parameters
    ----------
    predictions : DataFrame
        Of `ask_chunk`: every clip in every condition.
    n_resamples : int
    seed : int
    """
    labels = labels_of(predictions)
    names = [name for name in predictions["change"].unique() if name != CLEAN]
    worst = [_worst(predictions[predictions["change"] == name]).assign(level=WORST) for name in names]
    score, found, _ = resampled_conditions(pd.concat([predictions, *worst]), n_resamples, seed)
    clean = found[CLEAN, 0]
    of_clean = predictions[predictions["change"] == CLEAN].set_index(["fold", "clip_id"])["predicted"]

    def flip_rate(rows: pd.DataFrame) -> float:
        before = of_clean.loc[pd.MultiIndex.from_frame(rows[["fold", "clip_id"]])].to_numpy()
        return round(float((rows["predicted"].to_numpy() != before).mean()), DECIMALS)

    rows = []
    for condition, own in _conditions(predictions):
        about = dict(zip(CONDITION, condition, strict=True)) | {"n_clips": len(own)}
        about["change_db"] = round(float(own["change_db"].median()), 2)
        scores = found[condition].cells(score, clean) | {"flip_rate": flip_rate(own)}
        rows.append(about | scores | _calibration(own, labels))
    of_changes: list[dict[str, Any]] = [
        {"change": CLEAN} | clean.cells(score, clean) | {"flip_rate": 0.0, "worst_level": clean.value}
    ]
    levels = {name: [own for key, own in found.items() if key[0] == name and key[1] != WORST] for name in names}
    means = {name: Resampled.mean(own) for name, own in levels.items()}
    for name, mean in means.items():
        row: dict[str, Any] = {"change": name} | mean.cells(score, clean)
        row["flip_rate"] = flip_rate(predictions[predictions["change"] == name])
        of_changes.append(row | {"worst_level": found[name, WORST].value})
    if attributes := [name for name in names if name in ATTRIBUTES]:
        row = {"change": ALL} | Resampled.mean([means[name] for name in attributes]).cells(score, clean)
        row["flip_rate"] = flip_rate(predictions[predictions["change"].isin(attributes)])
        of_changes.append(row | {"worst_level": float(np.mean([found[name, WORST].value for name in attributes]))})
    return Measures(score, pd.DataFrame(rows), pd.DataFrame(of_changes).round({"worst_level": DECIMALS}))


def _conditions(predictions: pd.DataFrame) -> Iterator[tuple[Condition, pd.DataFrame]]:
    """Each change and level with its rows, in the order of the first."""
    groups: Any = predictions.groupby(list(CONDITION), sort=False)
    return (((str(name), int(level)), rows) for (name, level), rows in groups)


def _worst(rows: pd.DataFrame) -> pd.DataFrame:
    """Of each clip the level that does it most harm: one at which it is wrong, else where its own score is lowest."""
    ranked = rows.assign(right=rows["label"] == rows["predicted"], own=own_scores(rows))
    ranked = ranked.sort_values(["right", "own", "level"], kind="stable")
    return ranked.drop_duplicates(["fold", "clip_id"]).drop(columns=["right", "own"])


def resampled_conditions(
    predictions: pd.DataFrame, n_resamples: int, seed: int
) -> tuple[str, dict[Condition, Resampled], list[int]]:
    """The task's first score of every change and level, of the same clips in each resample.

    What is drawn are groups of clips; in anti-spoofing speakers, or clips of each label where speakers are few: of a
    sample, an attack may have a single clip. All versions of a clip are drawn together.

    Parameters
    ----------
    predictions : DataFrame
        `change` and `level`, and what `scored_predictions` takes; every clip in every condition.
    n_resamples : int
    seed : int

    Returns
    -------
    str
        The score.
    dict
        (change, level) -> Resampled.
    list of int
        Units that are drawn from, of each fold.
    """
    score = next(iter(predicted_scores(labels_of(predictions))))
    ordered = predictions.sort_values(["fold", "clip_id"], kind="stable")
    tables = dict(_conditions(ordered))
    clean = tables[CLEAN, 0].drop(columns="attack", errors="ignore")
    folds = {str(fold): rows for fold, rows in clean.groupby("fold")}
    draws = predicted_draws(folds, lambda fold: generator(seed, "robustness bootstrap", fold))
    values: dict[Condition, list[Array]] = {condition: [] for condition in tables}
    drawn: dict[Condition, list[Array]] = {condition: [] for condition in tables}
    for fold, draw in draws.items():
        several = [scored_predictions(rows[rows["fold"].astype(str) == fold], score) for rows in tables.values()]
        resampled = resampled_values(several, draw, n_resamples)
        for condition, scored, own in zip(tables, several, resampled, strict=True):
            values[condition].append(scored.values()[score])
            drawn[condition].append(own[score])
    found = {
        condition: Resampled(np.array(values[condition], dtype=np.float64), np.stack(drawn[condition], axis=1))
        for condition in tables
    }
    return score, found, [len(pd.unique(np.asarray(draw.units))) for draw in draws.values()]


def _calibration(rows: pd.DataFrame, labels: list[str]) -> dict[str, float]:
    """How far probabilities can be believed.

    References
    ----------
    ece: C. Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, eq. 3, of the most probable label in 15
    bins, https://arxiv.org/abs/1706.04599. brier: G. W. Brier, "Verification of Forecasts Expressed in Terms of
    Probability", 1950, the sum over labels, between 0 and 2
    """
    scores = rows[[score_column(label) for label in labels]].to_numpy(np.float64)
    true = rows["label"].to_numpy()[:, None] == np.array(labels, dtype=object)
    confidence, right = scores.max(axis=1), true[np.arange(len(rows)), scores.argmax(axis=1)]
    bins = np.minimum((confidence * N_BINS).astype(int), N_BINS - 1)
    gaps = np.bincount(bins, confidence - right, N_BINS)
    brier = np.square(scores - true).sum(axis=1).mean()
    return {"ece": round(float(np.abs(gaps).sum() / len(rows)), DECIMALS), "brier": round(float(brier), DECIMALS)}


def first_flips(predictions: pd.DataFrame, number: int) -> pd.DataFrame:
    """Clips that were right and are taken for something else after the smallest change: one row of each, the first.

    The smallest is that of the lowest level, and of the lowest score of the own label there.
    """
    clean = predictions[(predictions["change"] == CLEAN) & (predictions["label"] == predictions["predicted"])]
    key = ["fold", "clip_id"]
    wrong = predictions[predictions["label"] != predictions["predicted"]].merge(clean[key], on=key)
    ranked = wrong.assign(own=own_scores(wrong)).sort_values(["level", "own", "clip_id"], kind="stable")
    return ranked.drop_duplicates(key).drop(columns="own").head(number)
