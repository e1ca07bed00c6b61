"""Several backbones that differ in their initial weights, trained side by side and averaged."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

__all__ = ["Ensemble", "combined"]


class Ensemble(nn.Module):
    """Backbones on the same spectrograms, each with logits of its own; `combined` averages their probabilities.

    Parameters
    ----------
    build : callable
        Makes a backbone with random weights of its own.
    n_members : int

    Shapes
    ------
    (batch, n_channels, n_features, n_frames) -> (n_members, batch, n_classes)

    References
    ----------
    B. Lakshminarayanan et al., "Simple and Scalable Predictive Uncertainty Estimation using Deep Ensembles", NeurIPS
    2017, https://arxiv.org/abs/1612.01474
    """

    def __init__(self, build: Callable[[], nn.Module], n_members: int) -> None:
        super().__init__()
        self.members = nn.ModuleList(build() for _ in range(n_members))

    def forward(self, spectrogram: Tensor) -> Tensor:
        return torch.stack([member(spectrogram) for member in self.members])


def combined(logits: Tensor) -> Tensor:
    """Logits whose softmax is the mean of the members': (n_members, batch, n_classes) -> (batch, n_classes)."""
    if len(logits) == 1:
        return logits[0]
    return logits.float().log_softmax(dim=2).logsumexp(dim=0) - math.log(len(logits))
