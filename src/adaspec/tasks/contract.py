"""What every task offers to training; what is reported of it, `adaspec.evaluation.reports` says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from adaspec.config import Config, LossConfig

__all__ = ["Loss", "Task"]

Loss = Callable[[Tensor, Tensor, Tensor, LossConfig], Tensor]


class Task:
    """Targets and loss of a set of labels, and what may be done to their waveforms.

    Parameters
    ----------
    labels : sequence of str
        In the order of the logits.
    config : Config

    Attributes
    ----------
    losses : dict of str to callable
        What `train.loss.name` may be.
    contrasts : bool
        Whether it has a loss of embeddings.
    changes : tuple of str
        Keys of the section `augment` that this task has and others need not have.
    """

    losses: ClassVar[dict[str, Loss]]
    contrasts: ClassVar[bool] = False
    changes: ClassVar[tuple[str, ...]] = ()

    def __init__(self, labels: Sequence[str], config: Config) -> None:
        self.labels, self.config = labels, config

    @classmethod
    def claims(cls, labels: Sequence[str]) -> bool:
        """Whether these labels ask for this task."""
        raise NotImplementedError

    def targets(self, classes: Tensor) -> Tensor:
        """One-hot targets (batch, n_classes) of class indices (batch,)."""
        return nn.functional.one_hot(classes, len(self.labels)).float()

    def augment(self, waveforms: Tensor, classes: Tensor, sample_rate: int) -> tuple[Tensor, Tensor]:
        """Change training waveforms (batch, n_samples) as `changes` say; here not at all.

        Returns
        -------
        waveforms : Tensor of shape (batch, n_samples)
        sources : Tensor of shape (batch,)
            Position in the batch of the clip that each was made of: its own, unless another one took its place.
        """
        return waveforms, torch.arange(len(waveforms), device=waveforms.device)

    def contrast(self, embeddings: Tensor, targets: Tensor) -> Tensor:
        """Loss of where clips lie before the head: (batch, num_features) for targets (batch, n_classes)."""
        raise NotImplementedError

    def loss(self, logits: Tensor, targets: Tensor, class_weight: Tensor) -> Tensor:
        """Mean of the configured loss of logits (batch, n_classes) for targets of that shape."""
        return self.losses[self.config.train.loss.name](logits.float(), targets, class_weight, self.config.train.loss)
