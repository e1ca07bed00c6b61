"""Heads: from features (batch, num_features) to logits (batch, n_classes)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from adaspec.errors import SettingError

__all__ = ["HEADS", "MARGIN", "OneClassHead"]

SCALE = 20.0  # the paper's alpha
MARGIN_BONAFIDE, MARGIN_SPOOF = 0.9, 0.2  # the paper's m0 and m1: cosines that the two classes are pushed beyond
MARGIN = SCALE * (MARGIN_BONAFIDE - MARGIN_SPOOF) / 2  # of the logit, on either side of 0


class OneClassHead(nn.Module):
    """Logit of bona fide speech from the cosine s of embedding and learned direction; that of spoofed speech is 0.

    It is alpha (s - (m0 + m1) / 2). With `train.loss.name: oc_softmax`, bona fide speech is gathered around the
    direction and everything else is kept away from it, wherever it lies.

    Parameters
    ----------
    n_embedding : int
    n_classes : int
        2.

    Shapes
    ------
    (batch, n_embedding) -> (batch, 2): bona fide, spoof

    References
    ----------
    Y. Zhang, F. Jiang and Z. Duan, "One-Class Learning Towards Synthetic Voice Spoofing Detection", IEEE SPL 28, 2021,
    eq. 4 (alpha 20, m0 0.9, m1 0.2), https://arxiv.org/abs/2010.13995
    """

    def __init__(self, n_embedding: int, n_classes: int) -> None:
        super().__init__()
        if n_classes != 2:
            raise SettingError("head", f"=one_class tells two classes apart, got {n_classes}; set it to linear")
        self.direction = nn.Parameter(torch.randn(n_embedding))

    def forward(self, embedding: Tensor) -> Tensor:
        # Not a matrix product, which autocast would round.
        cosine = nn.functional.cosine_similarity(embedding.float(), self.direction.float()[None], dim=1)
        bonafide = SCALE * (cosine - (MARGIN_BONAFIDE + MARGIN_SPOOF) / 2)
        return torch.stack([bonafide, torch.zeros_like(bonafide)], dim=1)


HEADS: dict[str, type[nn.Linear] | type[OneClassHead]] = {"linear": nn.Linear, "one_class": OneClassHead}
