"""What a model is evaluated with: what it is used with, too, wherever it goes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from adaspec.config.types import Overlap, Real, Section

__all__ = ["Evaluated", "Threshold", "decide", "log_odds"]

SMALLEST = float(np.finfo(np.float32).tiny)


class Threshold(Section):
    """Where a detector decides for a label."""

    label: Annotated[str, Field(min_length=1)]
    """For which it decides at the threshold and above."""
    log_odds: Real
    """Natural logarithm of the odds that a recording is of that label."""


class Evaluated(Section):
    """How clips were scored, and decided on."""

    vote: Literal["mean", "majority"]
    """Over the windows of a clip."""
    overlap: Overlap
    """Of neighbouring windows, as a fraction of one."""
    threshold: Threshold | None
    """Of a detector; None: the most probable label."""


def log_odds(p: npt.NDArray[np.floating], p_other: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Natural logarithm of the odds p / p_other of probabilities, finite where one of them is 0."""
    found: npt.NDArray[np.float64] = np.log(np.maximum(p, SMALLEST, dtype=np.float64)) - np.log(
        np.maximum(p_other, SMALLEST, dtype=np.float64)
    )
    return found


def decide(probabilities: npt.NDArray[np.floating], labels: Sequence[str], threshold: Threshold | None) -> list[str]:
    """Labels of recordings.

    Parameters
    ----------
    probabilities : ndarray of shape (n_recordings, n_classes)
    labels : sequence of str
    threshold : Threshold or None
        None: the most probable label.
    """
    chosen = probabilities.argmax(axis=1)
    if threshold is not None:
        own = list(labels).index(threshold.label)
        others = np.delete(probabilities, own, axis=1)
        of_others = np.delete(np.arange(len(labels)), own)[others.argmax(axis=1)]
        is_own = log_odds(probabilities[:, own], others.sum(axis=1)) >= threshold.log_odds
        chosen = np.where(is_own, own, of_others)
    return [labels[index] for index in chosen]
