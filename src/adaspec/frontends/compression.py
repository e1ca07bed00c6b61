"""Compression of a spectrogram to a scale that a network can use."""

from __future__ import annotations

import math
from typing import Literal

from torch import Tensor

__all__ = ["Compression", "compress"]

Compression = Literal["log10", "log1p", "db", "none"]


def compress(spectrogram: Tensor, compression: Compression, gamma: float, *, magnitude: bool) -> Tensor:
    """Compress a spectrogram S, with a gradient that is finite on digital silence.

    Parameters
    ----------
    spectrogram : Tensor
        Not negative.
    compression : {"log10", "log1p", "db", "none"}
        log10(1 + gamma S), ln(1 + gamma S); decibels with a floor, 10 log10(max(S, 1/gamma)), of magnitudes 20 log10;
        or S as it is.
    gamma : float
        Above 0. At 1/gamma the logarithm bends; larger values lift what is quiet.
    magnitude : bool
        Whether S holds magnitudes, not powers.

    References
    ----------
    M. Mueller, "Fundamentals of Music Processing", 2015, eq. 3.5 (logarithmic compression, with this gamma)
    """
    if compression == "none":
        return spectrogram
    if compression == "db":
        return (20 if magnitude else 10) * spectrogram.clamp_min(1 / gamma).log10()
    compressed = (gamma * spectrogram).log1p()
    return compressed if compression == "log1p" else compressed / math.log(10)
