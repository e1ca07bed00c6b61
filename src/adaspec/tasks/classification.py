"""Telling classes apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from torch import Tensor, nn

from adaspec.config import LossConfig
from adaspec.errors import InputError
from adaspec.tasks.losses import LOSSES

__all__ = ["Classification"]

Loss = Callable[[Tensor, Tensor, Tensor, LossConfig], Tensor]


class Classification:
    """One of several classes.

    Parameters
    ----------
    labels : sequence of str
        In the order of the logits.
    loss : LossConfig
    resynthesis : float
        `augment.resynthesis`, which this task has not.

    Raises
    ------
    InputError
        A loss or a change to waveforms is asked for that other labels are needed for.
    """

    losses: ClassVar[dict[str, Loss]] = LOSSES

    def __init__(self, labels: Sequence[str], loss: LossConfig, resynthesis: float) -> None:
        self.labels, self.config = labels, loss
        if resynthesis > 0:
            raise InputError(f"params.yaml augment.resynthesis={resynthesis}{self._lacking()}")
        self._check_loss()

    @classmethod
    def claims(cls, labels: Sequence[str]) -> bool:
        """All labels."""
        return True

    def targets(self, classes: Tensor) -> Tensor:
        """One-hot, (batch,) -> (batch, n_classes)."""
        return nn.functional.one_hot(classes, len(self.labels)).float()

    def augment(self, waveforms: Tensor, classes: Tensor, sample_rate: int) -> Tensor:
        """Leave waveforms as they are."""
        return waveforms

    def loss(self, logits: Tensor, targets: Tensor, class_weight: Tensor) -> Tensor:
        """Mean over the batch of the configured loss."""
        return self.losses[self.config.name](logits.float(), targets, class_weight, self.config)

    def _check_loss(self) -> None:
        if self.config.name not in self.losses:
            raise InputError(f"params.yaml train.loss.name={self.config.name}{self._lacking()}")

    def _lacking(self) -> str:
        shown = f"{', '.join(self.labels[:5])}{', ...' if len(self.labels) > 5 else ''}"
        return f" is for the labels bonafide and spoof, but the clips have {shown}; switch it off"
