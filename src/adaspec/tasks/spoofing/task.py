"""The task of telling bona fide from spoofed speech."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from adaspec.config import Config
from adaspec.errors import InputError
from adaspec.tables.labels import BONAFIDE, of_spoofing
from adaspec.tasks.contract import Loss, Task
from adaspec.tasks.losses import LOSSES
from adaspec.tasks.spoofing.loss import gathered, oc_softmax
from adaspec.tasks.spoofing.resynthesis import replace_spoofs, shortest

__all__ = ["SpoofingDetection"]


class SpoofingDetection(Task):
    """Bona fide or spoofed speech: with a one-class loss and re-synthesis besides what classification has."""

    losses: ClassVar[dict[str, Loss]] = {**LOSSES, "oc_softmax": oc_softmax}
    contrasts = True
    changes = ("resynthesis.share",)

    def __init__(self, labels: Sequence[str], config: Config) -> None:
        super().__init__(labels, config)
        rate, length_s = config.audio.sample_rate, config.features.window.length_s
        if config.augment.resynthesis.share and rate and length_s and rate * length_s < shortest(rate):
            raise InputError(
                f"params.yaml features.window.length_s={length_s:g} is too short for augment.resynthesis.share="
                f"{config.augment.resynthesis.share:g}, which takes frames of about 64 ms apart; set it to at least "
                f"{shortest(rate) / rate:.2g}, or the share to 0"
            )

    @classmethod
    def claims(cls, labels: Sequence[str]) -> bool:
        """Bonafide and spoof."""
        return of_spoofing(labels)

    def contrast(self, embeddings: Tensor, targets: Tensor) -> Tensor:
        """Loss of bona fide clips that lie apart from each other, or near spoofed ones."""
        with torch.autocast(embeddings.device.type, enabled=False):  # which would round the cosines
            return gathered(embeddings.float(), targets[:, self.labels.index(BONAFIDE)] > 0.5)

    def augment(self, waveforms: Tensor, classes: Tensor, sample_rate: int) -> tuple[Tensor, Tensor]:
        """Put re-synthesised bona fide clips in the place of some spoofed ones."""
        how = self.config.augment.resynthesis
        if not how.share:
            return super().augment(waveforms, classes, sample_rate)
        return replace_spoofs(waveforms, classes, self.labels, how.share, how.families, sample_rate)
