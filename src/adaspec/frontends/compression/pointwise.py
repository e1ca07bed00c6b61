"""Compressions that take each value of a spectrogram by itself."""

from __future__ import annotations

import math

from torch import Tensor, nn

__all__ = ["Decibels", "Logarithm", "Unchanged"]


class Logarithm(nn.Module):
    """log(1 + gamma S) of a spectrogram S that is not negative, with a gradient that is finite on digital silence.

    Parameters
    ----------
    gamma : float
        Above 0. At S = 1/gamma the logarithm bends; larger values lift what is quiet.
    base : {"e", "10"}
        Of the logarithm.

    Shapes
    ------
    Any -> the same.

    References
    ----------
    M. Mueller, "Fundamentals of Music Processing", 2015, eq. 3.5 (with this gamma)
    """

    def __init__(self, gamma: float, base: str) -> None:
        super().__init__()
        self.gamma, self.base = gamma, base

    def extra_repr(self) -> str:
        return f"gamma={self.gamma:g}, base={self.base}"

    def forward(self, spectrogram: Tensor) -> Tensor:
        natural = (self.gamma * spectrogram).log1p()
        return natural if self.base == "e" else natural / math.log(10)


class Decibels(nn.Module):
    """Decibels with a floor, 10 log10(max(S, 1/gamma)), of magnitudes 20 log10.

    Parameters
    ----------
    gamma : float
        Above 0: the floor lies at S = 1/gamma, below which the gradient is 0.
    magnitude : bool
        Whether S holds magnitudes, not powers.

    Shapes
    ------
    Any -> the same.
    """

    def __init__(self, gamma: float, magnitude: bool) -> None:
        super().__init__()
        self.gamma, self.magnitude = gamma, magnitude

    def extra_repr(self) -> str:
        return f"gamma={self.gamma:g}, magnitude={self.magnitude}"

    def forward(self, spectrogram: Tensor) -> Tensor:
        return (20 if self.magnitude else 10) * spectrogram.clamp_min(1 / self.gamma).log10()


class Unchanged(nn.Module):
    """The spectrogram as it is."""

    def forward(self, spectrogram: Tensor) -> Tensor:
        return spectrogram
