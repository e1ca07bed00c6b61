"""What the power of a frame leaves out: where within the frame the energy of a band lies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from adaspec.frontends.compression import PCEN
from adaspec.frontends.epsilon import plus_epsilon

__all__ = ["SLOPES", "EnergyAndDelay", "Phase", "paired", "per_channel", "sloped", "with_delay"]

Phase: TypeAlias = Literal["none", "group_delay"]
SLOPES: dict[str, tuple[float, ...]] = {"none": (0.0,), "group_delay": (1.0, -1.0)}  # of the windows of each transform


class EnergyAndDelay(nn.Module):
    """Of the energies E+ and E- under windows w(n) (1 + t) and w(n) (1 - t), t from -1 to 1 over the window.

    As |X+|^2 - |X-|^2 = 4 Re(X conj(X_t)), with the spectra X under w and X_t under w t,

        (E+ - E-) / (E+ + E-) = 2 sum Re(X conj(X_t)) / sum (|X|^2 + |X_t|^2)

    over the bins of a band: the time of reassignment, Re(X_t / X), which is the local group delay [1], weighted by
    power and brought to -1 to 1. Of a click at t it is 2 t / (1 + t^2), in every band.

    Parameters
    ----------
    level : Module
        Compression of the mean energy (E+ + E-) / 2, which is that of w sqrt(1 + t^2).
    floor : float
        Mean energy at which the delay has gone back to half, so that it is 0 on silence and has a gradient there.

    Shapes
    ------
    (batch, 2 * n_transforms, n_features, n_frames) -> the same: E+ and E- of each transform -> level and delay.

    References
    ----------
    .. [1] F. Auger and P. Flandrin, "Improving the readability of time-frequency and time-scale representations by the
       reassignment method", IEEE Transactions on Signal Processing 43(5), 1995, section III
    """

    def __init__(self, level: nn.Module, floor: float) -> None:
        super().__init__()
        self.level, self.floor = level, floor

    @property
    def rates(self) -> dict[str, float]:
        """Learning rates of the level's parameters."""
        return {f"level.{name}": rate for name, rate in getattr(self.level, "rates", {}).items()}

    def measures(self) -> dict[str, Tensor]:
        """Measures of the level, of the shape (n_transforms, n); none where it cannot be learned."""
        return self.level.measures() if isinstance(self.level, PCEN) else {}

    def forward(self, spectrogram: Tensor) -> Tensor:
        late, early = spectrogram[:, ::2], spectrogram[:, 1::2]
        mean = (late + early) / 2
        delay = (late - early) / (2 * plus_epsilon(mean, self.floor))
        return torch.stack([self.level(mean), delay], 2).flatten(1, 2)


def with_delay(level: nn.Module, phase: Phase, floor: float) -> nn.Module:
    """The compression itself, or with a phase `EnergyAndDelay` of it."""
    return level if phase == "none" else EnergyAndDelay(level, floor)


def sloped(window: Tensor, slope: float) -> Tensor:
    """Windows (..., win_length) times 1 + slope t, t from -1 to 1 over them, 0 at their centre."""
    if slope == 0:
        return window
    time = 2 * torch.arange(window.shape[-1], dtype=window.dtype, device=window.device) / window.shape[-1] - 1
    return window * (1 + slope * time)


def paired(windows: Callable[[float], Tensor], phase: Phase) -> Tensor:
    """Windows of every channel: of each transform one, or with a phase the pair.

    Parameters
    ----------
    windows : callable
        From a slope to windows (n_transforms, n_groups, n_fft).
    phase : {"none", "group_delay"}

    Returns
    -------
    Tensor of shape (n_channels, n_groups, n_fft)
        float32, or float64 where the windows are.
    """
    found = torch.stack([windows(slope) for slope in SLOPES[phase]], 1).flatten(0, 1)
    return found.to(torch.promote_types(found.dtype, torch.float32))


def per_channel(values: Tensor, n_channels: int) -> Tensor:
    """What each transform has (n_transforms, ...), for each of its channels (n_channels, ...)."""
    return values if len(values) == n_channels else values.repeat_interleave(n_channels // len(values), 0)
