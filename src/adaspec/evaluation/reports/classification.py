"""How well classes are told apart."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from adaspec.evaluation.bootstrap import Draw, resampled_means
from adaspec.evaluation.figures import FIGURES, draw_confusion
from adaspec.evaluation.reports.contract import Evidence
from adaspec.evaluation.scores.classification import Confusion, classified, confusion_matrix, per_class_scores
from adaspec.evaluation.scores.contract import Scored
from adaspec.evaluation.summary import headline, rounded, summarise
from adaspec.models.evaluated import Threshold
from adaspec.runtime.files import write_csv
from adaspec.runtime.seeding import generator
from adaspec.tables.predictions import worst_errors

__all__ = ["ClassificationReport"]

N_WORST = 100


class ClassificationReport:
    """Scores of the confusion matrix, classes one by one, and the worst errors; the contract is `Report`'s.

    Parameters
    ----------
    evidence : Evidence
        Intervals draw the groups of clips anew.

    Attributes
    ----------
    confusion : ndarray of int of shape (n_classes, n_classes)
        Over all folds; rows true, columns predicted.
    """

    roles: ClassVar[tuple[str, ...]] = ("test",)

    def __init__(self, evidence: Evidence) -> None:
        self.labels = evidence.labels
        self.test = evidence.scored[evidence.scored["role"] == "test"]
        index = {label: position for position, label in enumerate(self.labels)}
        rng = generator(evidence.seed, "bootstrap")
        self.confusion = np.zeros((len(index), len(index)), dtype=np.int64)
        drawn: dict[int, tuple[Scored[Confusion], Draw]] = {}
        for fold, rows in self.test.groupby("fold"):
            target, predicted = (rows[column].map(index).to_numpy() for column in ("label", "predicted"))
            self.confusion += confusion_matrix(target, predicted, len(index))
            drawn[int(str(fold))] = classified(target, predicted, len(index)), Draw(rows["group"], rng)
        self.folds = {fold: rounded([scored]) for fold, (scored, _) in drawn.items()}
        resampled = resampled_means(list(drawn.values()), evidence.config.n_bootstrap)
        self.summary = summarise(self.folds.values(), resampled)
        self.headline = headline(self.summary, "accuracy", "f1_macro")

    @staticmethod
    def thresholds(scored: pd.DataFrame) -> dict[int, Threshold]:
        """None: the most probable label is chosen."""
        return {}

    def write(self, folder: Path) -> None:
        """Write per_class.csv, worst_errors.csv and the confusion matrix."""
        write_csv(folder / "per_class.csv", pd.DataFrame({"label": self.labels, **per_class_scores(self.confusion)}))
        write_csv(folder / "worst_errors.csv", self.worst_errors())
        draw_confusion(self.confusion, self.labels, folder / FIGURES / "confusion.svg")

    def worst_errors(self) -> pd.DataFrame:
        """Test clips that were taken for something else: fold, path, label, predicted, own_score; the worst first."""
        return worst_errors(self.test, N_WORST)[["fold", "path", "label", "predicted", "own_score"]]

    def write_decision(self, fold: int, folder: Path) -> None:
        """Nothing: classifiers verify no speakers."""

    def lines(self) -> list[str]:
        """Accuracy and F1 of the folds and over them."""
        lines = [f"{'':10}{'accuracy':>10}{'F1 macro':>10}"]
        for fold, scores in self.folds.items():
            lines.append(f"{f'fold {fold}':10}{scores['accuracy']:>10.3f}{scores['f1_macro']:>10.3f}")
        for statistic, title in (("mean", "mean"), ("std", "std"), ("ci_low", "95 % from"), ("ci_high", "95 % to")):
            values = [self.summary[name].get(statistic) for name in ("accuracy", "f1_macro")]
            cells = (f"{value:>10.3f}" if value is not None else f"{'-':>10}" for value in values)
            lines.append(f"{title:10}{''.join(cells)}")
        return lines
