"""Scores that the test clips' predictions tell of a task, and what of these clips is drawn anew, without any model.

What needs more than predictions is not among them: t-DCF needs the errors of speaker verification, and the SASV
measures need verification trials.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from adaspec.evaluation.bootstrap import Draw, drawn_by_speaker, trial_draw
from adaspec.evaluation.scores import SCORES
from adaspec.evaluation.scores.calibration import calibrated, probability
from adaspec.evaluation.scores.classification import classified, right
from adaspec.evaluation.scores.contract import Array, Score, Scored
from adaspec.evaluation.scores.decisions import decided
from adaspec.evaluation.scores.detection import detected, stepped
from adaspec.evaluation.scores.likelihood import likelihoods
from adaspec.models.evaluated import log_odds
from adaspec.tables.columns import labels_of, score_column
from adaspec.tables.labels import BONAFIDE, SPOOF, of_spoofing

__all__ = ["predicted_draws", "predicted_scores", "scored_predictions"]


@dataclass(frozen=True)
class _Trials:
    """Trials of a detector: logarithms of the odds of being bona fide, what is, and what was taken for it."""

    scores: Array
    is_bonafide: Array
    accepted: Array


CLASSES = "classification"
FAMILIES: dict[str, Callable[[_Trials], Scored[Any]]] = {  # of detectors, by the keys of SCORES; the headline first
    "detection": lambda trials: detected(trials.scores, trials.is_bonafide),
    "steps": lambda trials: stepped(trials.scores, trials.is_bonafide),
    "likelihood": lambda trials: likelihoods(trials.scores, trials.is_bonafide),
    "calibration": lambda trials: calibrated(probability(trials.scores), trials.is_bonafide),
    # Which trials were accepted, the threshold of each fold has decided already.
    "decisions": lambda trials: decided(trials.accepted, trials.is_bonafide, 0.5),
}


def predicted_scores(labels: Sequence[str]) -> Mapping[str, Score[Any]]:
    """Scores of the task that these labels ask for, by name; the one that tells runs apart at first sight first."""
    families = [*FAMILIES, CLASSES] if of_spoofing(labels) else [CLASSES]
    return {name: score for family in families for name, score in SCORES[family].items()}


def scored_predictions(rows: pd.DataFrame, name: str) -> Scored[Any]:
    """One fold's test clips with one score.

    Parameters
    ----------
    rows : DataFrame
        `label`, `predicted`, `score_LABEL`.
    name : str
        One of `predicted_scores`.
    """
    if name == "accuracy":
        return right((rows["label"] == rows["predicted"]).to_numpy())
    labels = labels_of(rows)
    if name in SCORES[CLASSES]:
        target, predicted = (pd.Index(labels).get_indexer(pd.Index(rows[column])) for column in ("label", "predicted"))
        return classified(target, predicted, len(labels)).only(name)
    odds = log_odds(*(rows[score_column(label)].to_numpy(np.float64) for label in (BONAFIDE, SPOOF)))
    trials = _Trials(odds, *((rows[column] == BONAFIDE).to_numpy() for column in ("label", "predicted")))
    family = next(family for family in FAMILIES if name in SCORES[family])
    return FAMILIES[family](trials).only(name)


def predicted_draws(folds: Mapping[str, pd.DataFrame], rng: Callable[[str], np.random.Generator]) -> dict[str, Draw]:
    """What is drawn anew of each fold: groups of clips; in anti-spoofing speakers, or trials where speakers are few.

    Parameters
    ----------
    folds : mapping of str to DataFrame
        Fold -> its test clips: `group`, `label`, `score_LABEL`; `speaker` and `attack` where they are known.
    rng : callable
        Fold -> what it is drawn from.
    """
    if not all(of_spoofing(labels_of(rows)) for rows in folds.values()):
        return {fold: Draw(rows["group"], rng(fold)) for fold, rows in folds.items()}
    trials = {fold: pd.DataFrame({"speaker": "", "attack": "-"}, rows.index) for fold, rows in folds.items()}
    trials = {fold: folds[fold].combine_first(unknown) for fold, unknown in trials.items()}
    by_speaker = drawn_by_speaker(trials.values())
    return {fold: trial_draw(rows, rng(fold), by_speaker=by_speaker) for fold, rows in trials.items()}
