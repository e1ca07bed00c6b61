"""The task of telling bona fide from spoofed speech."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from adaspec.config import LossConfig
from adaspec.tables.labels import BONAFIDE, SPOOF
from adaspec.tasks.classification import Classification, Loss
from adaspec.tasks.losses import LOSSES
from adaspec.tasks.spoofing.loss import oc_softmax
from adaspec.tasks.spoofing.resynthesis import replace_spoofs

__all__ = ["SpoofingDetection"]


class SpoofingDetection(Classification):
    """Bona fide or spoofed speech: classification with a one-class loss and re-synthesis besides.

    Parameters
    ----------
    labels : sequence of str
        bonafide and spoof.
    loss : LossConfig
    resynthesis : float
        Chance of a spoofed clip to be replaced by a bona fide one of the batch, re-synthesised.
    """

    losses: ClassVar[dict[str, Loss]] = {**LOSSES, "oc_softmax": oc_softmax}

    def __init__(self, labels: Sequence[str], loss: LossConfig, resynthesis: float) -> None:
        super().__init__(labels, loss, 0.0)
        self.resynthesis = resynthesis

    @classmethod
    def claims(cls, labels: Sequence[str]) -> bool:
        """Bonafide and spoof."""
        return sorted(labels) == [BONAFIDE, SPOOF]

    def augment(self, waveforms: Tensor, classes: Tensor, sample_rate: int) -> Tensor:
        """Put re-synthesised bona fide clips in the place of some spoofed ones."""
        if not self.resynthesis:
            return waveforms
        return replace_spoofs(waveforms, classes, self.labels, self.resynthesis, sample_rate)
