"""Frequency scales on which bands are spaced evenly."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor

__all__ = ["SCALES", "MelScale", "Scale"]

MelScale = Literal["htk", "slaney", "erb", "bark", "linear", "log"]

SLANEY_HZ = 1000.0  # linear below, logarithmic above
SLANEY_STEP = 200 / 3  # Hz, of a mel below
SLANEY_LOG = math.log(6.4) / 27  # of a mel above
SLANEY_KNEE = SLANEY_HZ / SLANEY_STEP  # mel


class Scale(NamedTuple):
    """A scale, and back; both take tensors of any shape and have gradients."""

    from_hz: Callable[[Tensor], Tensor]
    to_hz: Callable[[Tensor], Tensor]


def _slaney(hz: Tensor) -> Tensor:
    above = SLANEY_KNEE + (hz.clamp_min(SLANEY_HZ) / SLANEY_HZ).log() / SLANEY_LOG
    return torch.where(hz < SLANEY_HZ, hz / SLANEY_STEP, above)


def _slaney_hz(mel: Tensor) -> Tensor:
    above = SLANEY_HZ * ((mel.clamp_min(SLANEY_KNEE) - SLANEY_KNEE) * SLANEY_LOG).exp()
    return torch.where(mel < SLANEY_KNEE, mel * SLANEY_STEP, above)


# htk: O'Shaughnessy, "Speech Communication", 1987, as in the HTK Book; slaney: M. Slaney, "Auditory Toolbox", 1998;
# erb: B. Glasberg and B. Moore, "Derivation of auditory filter shapes from notched-noise data", 1990, eq. 4;
# bark: H. Traunmueller, "Analytical expressions for the tonotopic sensory scale", 1990, eq. 6.
SCALES: dict[str, Scale] = {
    "htk": Scale(lambda hz: 2595 * (1 + hz / 700).log10(), lambda mel: 700 * (10 ** (mel / 2595) - 1)),
    "slaney": Scale(_slaney, _slaney_hz),
    "erb": Scale(lambda hz: 21.4 * (1 + 0.00437 * hz).log10(), lambda erb: (10 ** (erb / 21.4) - 1) / 0.00437),
    "bark": Scale(lambda hz: 26.81 * hz / (1960 + hz) - 0.53, lambda bark: 1960 * (bark + 0.53) / (26.28 - bark)),
    "linear": Scale(lambda hz: hz, lambda hz: hz),
    "log": Scale(lambda hz: hz.log(), lambda log: log.exp()),
}
