"""One-class loss: bona fide speech is gathered, everything else kept away from it."""

from __future__ import annotations

from torch import Tensor, nn

from adaspec.backbones.heads import MARGIN
from adaspec.config import LossConfig
from adaspec.tasks.losses import smoothed

__all__ = ["oc_softmax"]


def oc_softmax(logits: Tensor, targets: Tensor, class_weight: Tensor, config: LossConfig) -> Tensor:
    """Mean over the batch of OC-softmax.

    Of the logit z of bona fide speech (that of spoofed speech is 0) and its margin m:
    t_bonafide log(1 + e^(m - z)) + t_spoof log(1 + e^(m + z)).

    Parameters
    ----------
    logits, targets : Tensor of shape (batch, 2)
    class_weight : Tensor of shape (2,)
    config : LossConfig

    References
    ----------
    Y. Zhang et al., "One-Class Learning Towards Synthetic Voice Spoofing Detection", IEEE SPL 28, 2021, eq. 4,
    https://arxiv.org/abs/2010.13995
    """
    targets = smoothed(targets, config.label_smoothing)
    signed = logits[:, :1] * logits.new_tensor([-1.0, 1.0])
    return (class_weight * targets * nn.functional.softplus(MARGIN + signed)).sum(dim=1).mean()
