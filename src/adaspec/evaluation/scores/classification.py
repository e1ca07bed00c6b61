"""Scores of a classifier: the components are the cells of the confusion matrix."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from adaspec.evaluation.scores.contract import Array, Score, Scored, one_hot

__all__ = ["SCORES", "Confusion", "classified", "confusion_matrix", "per_class_scores", "right"]


class Confusion:
    """Counts of clips by class, and what follows from them for each class.

    Parameters
    ----------
    cells : ndarray of shape (..., n_classes, n_classes)
        Rows true, columns predicted.
    """

    def __init__(self, cells: Array) -> None:
        self.hits = np.diagonal(cells, axis1=-2, axis2=-1)
        self.classes = per_class_scores(cells)
        self.support = self.classes["support"]
        self.occurs = self.support > 0
        self.total = self.support.sum(axis=-1)


def _accuracy(confusion: Confusion) -> Array:
    return np.asarray(confusion.hits.sum(axis=-1) / confusion.total)


def _macro(name: str) -> Callable[[Confusion], Array]:
    """Mean over the classes that occur."""
    return lambda confusion: (confusion.classes[name] * confusion.occurs).sum(axis=-1) / confusion.occurs.sum(axis=-1)


def _weighted(name: str) -> Callable[[Confusion], Array]:
    """Mean over the classes, each as often as it occurs."""
    return lambda confusion: (confusion.classes[name] * confusion.support).sum(axis=-1) / confusion.total


SCORES: dict[str, Score[Confusion]] = {
    "accuracy": Score(_accuracy, perfect=1),
    "balanced_accuracy": Score(_macro("recall"), perfect=1),  # chance: 1 / n_classes
    "precision_macro": Score(_macro("precision"), perfect=1),
    "recall_macro": Score(_macro("recall"), perfect=1),
    "f1_macro": Score(_macro("f1"), perfect=1),
    "precision_weighted": Score(_weighted("precision"), perfect=1),
    "recall_weighted": Score(_weighted("recall"), perfect=1),
    "f1_weighted": Score(_weighted("f1"), perfect=1),
}


def classified(target: Array, predicted: Array, n_classes: int) -> Scored[Confusion]:
    """Clips with a true and a predicted class.

    Parameters
    ----------
    target, predicted : ndarray of int of shape (n_clips,)
        Indices of classes.
    n_classes : int
    """

    def prepare(summed: Mapping[str, Array]) -> Confusion:
        cells = summed["cells"]
        return Confusion(cells.reshape(*cells.shape[:-1], n_classes, n_classes))

    return Scored({"cells": one_hot(target * n_classes + predicted, n_classes**2)}, prepare, SCORES)


def right(hits: Array) -> Scored[Array]:
    """Clips that were classified rightly or not, for the accuracy alone, which needs no confusion matrix.

    Parameters
    ----------
    hits : ndarray of bool of shape (n_clips,)
    """
    components = {"hits": np.stack([hits, np.ones(len(hits))], axis=1, dtype=np.float64)}

    def share(summed: Mapping[str, Array]) -> Array:
        return np.asarray(summed["hits"][..., 0] / summed["hits"][..., 1])

    return Scored(components, share, {"accuracy": Score(lambda found: found, perfect=1)})


def confusion_matrix(target: Array, predicted: Array, n_classes: int) -> Array:
    """Count clips by class: (n_clips,) indices -> (n_classes, n_classes), rows true, columns predicted."""
    counts = np.bincount(target * n_classes + predicted, minlength=n_classes**2)
    return counts.reshape(n_classes, n_classes)


def per_class_scores(confusion: Array) -> dict[str, Array]:
    """Precision, recall, F1 and support per class: (..., n_classes, n_classes) -> (..., n_classes) each.

    A class that was never predicted has precision 0, one that never occurred recall 0.
    """
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    support, n_predicted = confusion.sum(axis=-1), confusion.sum(axis=-2)
    return {
        "precision": hits / np.maximum(n_predicted, 1),
        "recall": hits / np.maximum(support, 1),
        "f1": 2 * hits / np.maximum(support + n_predicted, 1),
        "support": support,
    }
