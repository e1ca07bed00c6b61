"""Classification scores, all computed from confusion matrices so that thousands of resamples cost little."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["SCORES", "bootstrap_interval", "classification_scores", "confusion_matrix", "per_class_scores"]

Counts = npt.NDArray[np.int64]

SCORES = (
    "accuracy",
    "balanced_accuracy",
    "precision_macro",
    "recall_macro",
    "f1_macro",
    "precision_weighted",
    "recall_weighted",
    "f1_weighted",
)
CHUNK = 2**22  # clips or confusion cells at a time


def confusion_matrix(target: npt.NDArray[Any], predicted: npt.NDArray[Any], n_classes: int) -> Counts:
    """Count clips by class: (..., n_clips) indices -> (..., n_classes, n_classes), rows true, columns predicted."""
    codes = target * n_classes + predicted
    flat = codes.reshape(-1, codes.shape[-1])
    offsets = np.arange(len(flat))[:, None] * n_classes**2
    counts = np.bincount((flat + offsets).reshape(-1), minlength=len(flat) * n_classes**2)
    return counts.reshape(*codes.shape[:-1], n_classes, n_classes)


def per_class_scores(confusion: Counts) -> dict[str, npt.NDArray[Any]]:
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


def classification_scores(confusion: Counts) -> dict[str, npt.NDArray[Any]]:
    """All of `SCORES`: (..., n_classes, n_classes) -> (...) each, between 0 and 1.

    Macro averages run over the classes that occur; balanced accuracy is macro recall (chance 1 / n_classes).
    """
    classes = per_class_scores(confusion)
    support = classes["support"]
    total = support.sum(axis=-1)
    occurs = support > 0
    scores = {"accuracy": np.diagonal(confusion, axis1=-2, axis2=-1).sum(axis=-1) / total}
    for name in ("precision", "recall", "f1"):
        scores[f"{name}_macro"] = (classes[name] * occurs).sum(axis=-1) / occurs.sum(axis=-1)
        scores[f"{name}_weighted"] = (classes[name] * support).sum(axis=-1) / total
    scores["balanced_accuracy"] = scores["recall_macro"]
    return {name: scores[name] for name in SCORES}


def bootstrap_interval(
    folds: list[tuple[npt.NDArray[Any], npt.NDArray[Any]]], n_classes: int, n_resamples: int, rng: np.random.Generator
) -> dict[str, tuple[float, float]]:
    """95 % percentile interval of each score's mean over folds.

    The clips are resampled within each fold: the interval carries the chance of which clips were drawn, given the
    trained models.

    Parameters
    ----------
    folds : list of (target, predicted)
        Class indices of each fold's test clips, shape (n_clips,).
    n_classes, n_resamples : int
    rng : Generator

    Returns
    -------
    dict of str to (low, high)

    References
    ----------
    B. Efron and R. J. Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.
    """
    means = {name: np.zeros(n_resamples) for name in SCORES}
    for target, predicted in folds:
        size = max(1, CHUNK // max(n_classes**2, len(target)))
        for start in range(0, n_resamples, size):
            part = slice(start, min(start + size, n_resamples))
            drawn = rng.integers(0, len(target), (part.stop - start, len(target)))
            scores = classification_scores(confusion_matrix(target[drawn], predicted[drawn], n_classes))
            for name, values in scores.items():
                means[name][part] += values / len(folds)
    return {name: tuple(np.percentile(values, [2.5, 97.5]).tolist()) for name, values in means.items()}
