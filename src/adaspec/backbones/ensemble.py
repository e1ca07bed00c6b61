"""Several backbones that differ in their initial weights, trained side by side and averaged."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

__all__ = ["Ensemble"]


class Ensemble(nn.Module):
    """Backbones on the same spectrograms; their probabilities are averaged.

    Parameters
    ----------
    build : callable
        Makes a backbone with random weights of its own.
    n_members : int

    Shapes
    ------
    (batch, n_channels, n_features, n_frames) -> (batch, n_classes), whose softmax is the mean of the members'; in
    training (n_members * batch, n_classes): the members' logits one after the other, so that each has its own loss.

    References
    ----------
    B. Lakshminarayanan et al., "Simple and Scalable Predictive Uncertainty Estimation using Deep Ensembles", NeurIPS
    2017, https://arxiv.org/abs/1612.01474
    """

    def __init__(self, build: Callable[[], nn.Module], n_members: int) -> None:
        super().__init__()
        self.members = nn.ModuleList(build() for _ in range(n_members))

    def forward(self, spectrogram: Tensor) -> Tensor:
        logits = [member(spectrogram) for member in self.members]
        if self.training:
            return torch.cat(logits)
        log_probabilities = torch.stack([each.float().log_softmax(dim=1) for each in logits])
        return log_probabilities.logsumexp(dim=0) - math.log(len(logits))
