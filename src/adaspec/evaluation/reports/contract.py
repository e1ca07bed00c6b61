"""What every report is given, and what it tells."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

import pandas as pd

from adaspec.config import EvaluateConfig
from adaspec.evaluation.summary import Summary
from adaspec.models.evaluated import Threshold

__all__ = ["Evidence", "Report"]


@dataclass(frozen=True)
class Evidence:
    """Clips as the models of their folds scored them.

    Attributes
    ----------
    scored : DataFrame
        A row per fold and clip of the roles that the report asks for: `fold`, `role`, the columns of clips.csv, then
        `predicted` and `score_LABEL`.
    trained : DataFrame
        The same columns but for the last two, of the clips that the folds trained on.
    labels : list of str
        In the order of the models.
    config : EvaluateConfig
    seed : int
        That resamples are drawn from.
    asv_scores : DataFrame or None
        asv_scores.csv, which has rows where the data set comes with scores of speaker verification.
    verification_trials : DataFrame or None
        A row per fold and verification trial, where speakers are verified: `fold`, `role`, the columns of
        verification_trials.csv, `label` and `attack` of the clip, `asv_score`, and `score_LABEL`.
    """

    scored: pd.DataFrame
    trained: pd.DataFrame
    labels: list[str]
    config: EvaluateConfig
    seed: int
    asv_scores: pd.DataFrame | None = None
    verification_trials: pd.DataFrame | None = None


class Report(Protocol):
    """What is told of a task's test clips; built of `Evidence` alone.

    Attributes
    ----------
    roles : tuple of str
        Whose clips must be scored.
    folds : dict of int to dict
        Fold -> score -> value.
    summary : Summary
        Score -> mean, std (over folds, n - 1), ci_low, ci_high (95 %).
    headline : Summary
        The few of them that fit a line.
    """

    roles: ClassVar[tuple[str, ...]]

    @staticmethod
    def thresholds(scored: pd.DataFrame) -> dict[int, Threshold]:
        """Fold -> where its model decides, from the clips as `Evidence` has them, but for `predicted`."""

    @property
    def folds(self) -> dict[int, dict[str, float]]:
        """Scores of each fold."""

    @property
    def summary(self) -> Summary:
        """Scores over folds."""

    @property
    def headline(self) -> Summary:
        """Scores that tell runs apart."""

    def write(self, folder: Path) -> None:
        """Write tables into an existing folder, and figures into its folder `FIGURES`."""

    def write_decision(self, fold: int, folder: Path) -> None:
        """Write into an existing folder how speakers are verified, where that is part of the report."""

    def lines(self) -> list[str]:
        """What a terminal shows."""
