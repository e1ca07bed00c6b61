"""One-class losses: bona fide speech is gathered, everything else kept away from it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from adaspec.backbones.heads import MARGIN
from adaspec.config import LossConfig
from adaspec.tasks.losses import smoothed

__all__ = ["gathered", "oc_softmax"]

TEMPERATURE = 0.1  # of cosines, as the paper has it


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


def gathered(embeddings: Tensor, is_bonafide: Tensor) -> Tensor:
    """Supervised contrastive loss with bona fide clips alone as anchors, so that spoofed ones may lie anywhere else.

    Mean over anchors a and the other bona fide clips b of -log(e^(cos(a, b) / 0.1) / sum_c e^(cos(a, c) / 0.1)), where
    c is any clip but a. 0 where there are fewer than two bona fide clips.

    Parameters
    ----------
    embeddings : Tensor of shape (batch, n_features)
    is_bonafide : Tensor of shape (batch,)

    References
    ----------
    P. Khosla et al., "Supervised Contrastive Learning", NeurIPS 2020, eq. 2, https://arxiv.org/abs/2004.11362; between
    bona fide clips and their copies: X. Wang and J. Yamagishi, 2023, https://arxiv.org/abs/2210.10570
    """
    directions = nn.functional.normalize(embeddings, dim=1)
    itself = torch.eye(len(directions), dtype=torch.bool, device=directions.device)
    similar = (directions @ directions.T / TEMPERATURE).masked_fill(itself, -torch.inf)
    surprise = similar.logsumexp(dim=1, keepdim=True) - similar
    pairs = is_bonafide[:, None] & is_bonafide & ~itself
    return surprise[pairs].sum() / pairs.sum().clamp_min(1)
