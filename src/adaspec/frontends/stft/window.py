"""The window, which can be learned as it is, and its length, which can be learned by itself."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from adaspec.errors import SettingError
from adaspec.frontends.constants import WithConstants
from adaspec.frontends.constraints import nonnegative, symmetric, within

__all__ = [
    "Length",
    "Window",
    "centred_window",
    "length_limits",
    "spline",
    "starting_window",
    "stretched",
    "window_length",
]

SHORTEST = 8  # samples


class Window(nn.Module):
    """A window for each transform, every value of which can be learned.

    Parameters
    ----------
    start : Tensor of shape (n_transforms, win_length)
    nonnegative, symmetric : bool
        What is below 0 counts as 0; w[n] = w[L - n], by the mean with the mirror image.

    Attributes
    ----------
    values : Parameter of shape (n_transforms, win_length)
    """

    rates: ClassVar[Mapping[str, float]] = {"values": 2e-3}

    def __init__(self, start: Tensor, *, nonnegative: bool, symmetric: bool) -> None:
        super().__init__()
        self.values = nn.Parameter(start)
        self.nonnegative, self.symmetric = nonnegative, symmetric

    def forward(self) -> Tensor:
        """Windows with their constraints: (n_transforms, win_length)."""
        window: Tensor = symmetric(self.values) if self.symmetric else self.values
        return nonnegative(window) if self.nonnegative else window


class Length(WithConstants):
    """Lengths of windows, one for each transform and group of bands.

    A window is stretched about its centre and its energy is kept, so that the level of noise stays where it is.

    Parameters
    ----------
    lengths : list of int
        Of each transform at the start, in samples.
    n_fft : int
        The longest that can be learned, in samples; the shortest is 8.
    n_groups : int
    sample_rate : float
        In Hz.

    Attributes
    ----------
    log_ratio : Parameter of shape (n_transforms, n_groups)
        Logarithms of the lengths over those at the start; 0 there.

    References
    ----------
    M. Leiber et al., "A differentiable short-time Fourier transform with respect to the window length", EUSIPCO 2022,
    https://arxiv.org/abs/2208.10886
    """

    rates: ClassVar[Mapping[str, float]] = {"log_ratio": 0.02}
    low: Tensor
    high: Tensor

    def __init__(self, lengths: list[int], n_fft: int, n_groups: int, sample_rate: float) -> None:
        super().__init__()
        self.start_ms = [1000 * length / sample_rate for length in lengths]
        self.lengths, self.n_fft = lengths, n_fft
        self.register_constants()
        self.log_ratio = nn.Parameter(torch.zeros(len(lengths), n_groups))

    def constants(self) -> dict[str, Tensor]:
        low, high = length_limits(self.lengths, self.n_fft)
        return {"low": low, "high": high}

    def ratio(self) -> Tensor:
        """Lengths over those at the start: (n_transforms, n_groups)."""
        low, high = self.low.to(self.log_ratio), self.high.to(self.log_ratio)
        return within(self.log_ratio, low, high).exp()

    def measures(self) -> dict[str, Tensor]:
        """Values in use of "length_ms": (n_transforms, n_groups), float64."""
        ratio = self.ratio().double()
        return {"length_ms": ratio.new_tensor(self.start_ms)[:, None] * ratio}

    def forward(self, window: Tensor, centre: float) -> Tensor:
        """Stretch windows.

        Parameters
        ----------
        window : Tensor of shape (n_transforms, n_samples)
        centre : float
            About which they are stretched, in samples.

        Returns
        -------
        Tensor of shape (n_transforms, n_groups, n_samples)
        """
        ratio = self.ratio().to(window.dtype)
        return torch.stack([stretched(*pair, centre) for pair in zip(window, ratio, strict=True)])


def length_limits(lengths: list[int], n_fft: int) -> tuple[Tensor, Tensor]:
    """Logarithms of the shortest and the longest window, 8 and n_fft samples, over each length: (n_transforms, 1)."""
    start = torch.tensor(lengths, dtype=torch.float64)[:, None]
    return (SHORTEST / start).clamp_max(1).log(), (n_fft / start).log()


def stretched(window: Tensor, ratio: Tensor, centre: float) -> Tensor:
    """Stretch a window about its centre, its energy kept; between samples by Catmull-Rom splines, outside 0.

    Parameters
    ----------
    window : Tensor of shape (n_samples,)
    ratio : Tensor of shape (n_windows,)
        New lengths over the old one. Where it is 1 the window stays to the last bit.
    centre : float
        In samples.

    Returns
    -------
    Tensor of shape (n_windows, n_samples)
    """
    offset = torch.arange(window.shape[0], dtype=window.dtype, device=window.device) - centre
    values, _ = spline(window, offset / ratio[:, None] + centre)
    return values * ratio[:, None].rsqrt()


def spline(window: Tensor, position: Tensor) -> tuple[Tensor, Tensor]:
    """Values and slopes of a window between its samples, by Catmull-Rom splines; outside 0.

    Parameters
    ----------
    window : Tensor of shape (n_samples,)
    position : Tensor
        In samples.

    Returns
    -------
    values, slopes : Tensor of the shape of `position`
    """
    before, at, after, last = nn.functional.pad(window, (4, 4)).unfold(0, 4, 1).unbind(1)
    whole = position.detach().floor()
    f = position - whole
    # Between two samples a cubic; where its samples are all beyond the ends, it is 0.
    first = (whole + 3).clamp(0, window.shape[0] + 4).long().flatten()
    linear, square = (after - before) / 2, before - 2.5 * at + 2 * after - last / 2
    courses = torch.stack([at, linear, square, (last - before) / 2 + 1.5 * (at - after)])
    c0, c1, c2, c3 = courses.gather(1, first.expand(4, -1)).view(4, *position.shape)
    return ((c3 * f + c2) * f + c1) * f + c0, (3 * c3 * f + 2 * c2) * f + c1


def window_length(win_length: int, ratio: float) -> int:
    """Shorter window length of the same parity, so that both have the same centre."""
    return max(win_length - 2 * round(win_length * (1 - ratio) / 2), 2 - win_length % 2)


def starting_window(
    window: str | tuple[Any, ...], lengths: list[int], win_length: int, *, nonnegative: bool, symmetric: bool
) -> Window:
    """The same window in several lengths, each in the middle of `win_length`.

    Raises
    ------
    SettingError
        scipy.signal.get_window does not know it, or it is not what the constraints ask for.
    """
    values = torch.stack([centred_window(window, length, win_length) for length in lengths])
    built = Window(values, nonnegative=nonnegative, symmetric=symmetric)
    if (built() - values).abs().max() > 1e-6:
        hint = ", or set window_ratio to 1" if len(set(lengths)) > 1 else ""
        raise SettingError(
            "window",
            f"={window!r} of length {' and '.join(map(str, lengths))} is not what window_nonnegative={nonnegative} and "
            f"window_symmetric={symmetric} ask for; switch off the one it violates{hint}",
        )
    return built.to(torch.get_default_device())  # computed on the CPU, so that the values can be looked at


def centred_window(window: str | tuple[Any, ...], length: int, win_length: int) -> Tensor:
    """Periodic window of `length` samples in the middle of `win_length`: (win_length,).

    Raises
    ------
    SettingError
        scipy.signal.get_window does not know it, or its values are not finite.
    """
    if window == "hann":  # as nearly always: no need to import scipy.signal, which takes a second
        values = torch.hann_window(length, dtype=torch.float64, device="cpu")
    else:
        from scipy.signal import get_window

        window = tuple(window) if isinstance(window, list) else window
        try:
            if not isinstance(window, str | tuple):
                raise TypeError("neither a name nor a list")
            with warnings.catch_warnings(action="ignore"):  # of values that are no numbers, refused below
                values = torch.from_numpy(get_window(window, length))
            if not values.isfinite().all():
                raise ValueError("its values are not finite")
        except (ArithmeticError, ValueError, TypeError, AttributeError, IndexError) as error:
            raise SettingError(
                "window",
                f"={window!r} is not a window of scipy.signal.get_window ({error}); use for example hann, hamming, "
                "boxcar or [kaiser, 14.0]",
            ) from None
    return nn.functional.pad(values.float(), ((win_length - length) // 2, (win_length - length) // 2))
