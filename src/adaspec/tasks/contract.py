"""What every task offers to training and scoring; what is reported of it, `adaspec.evaluation.reports` says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

__all__ = ["Task"]


class Task(Protocol):
    """Targets, loss and changes to sounds that a set of labels asks for.

    Attributes
    ----------
    labels : sequence of str
        In the order of the logits.
    """

    labels: Sequence[str]

    @classmethod
    def claims(cls, labels: Sequence[str]) -> bool:
        """Whether these labels ask for this task."""

    def targets(self, classes: Tensor) -> Tensor:
        """Training targets (batch, n_classes) of class indices (batch,)."""

    def augment(self, waveforms: Tensor, classes: Tensor, sample_rate: int) -> Tensor:
        """Change training waveforms (batch, n_samples) in the way that this task alone allows."""

    def loss(self, logits: Tensor, targets: Tensor, class_weight: Tensor) -> Tensor:
        """Mean loss of logits (batch, n_classes) for targets of that shape."""
