"""Triangular bands, and the two forms in which they can be learned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, Self

import torch
from torch import Tensor, nn

from adaspec.errors import SettingError
from adaspec.frontends.constraints import nonnegative, within
from adaspec.frontends.courses import interpolation
from adaspec.frontends.mel.scales import SCALES, MelScale

__all__ = ["MEL_FORMS", "FreeBands", "MelForm", "MelNorm", "ParametricBands", "Triangles"]

MelForm = Literal["parametric", "free"]
MelNorm = Literal["slaney"]


class Triangles:
    """Triangles over the bins of a transform, whose centres are spaced evenly on a scale at the start.

    Parameters
    ----------
    sample_rate, n_fft, n_mels : int
    f_min, f_max : float
        In Hz.
    scale : str
        One of `SCALES`.
    norm : {"slaney"} or None
        Of area 1 in Hz, or of height 1.

    Attributes
    ----------
    points : Tensor of shape (n_mels + 2,), float64
        On the scale: lower edge of the first triangle, centre of each, upper edge of the last.
    bin_hz : float
        Distance of the bins.

    Raises
    ------
    SettingError
        A triangle holds no bin.
    """

    def __init__(
        self,
        sample_rate: int,
        n_fft: int,
        n_mels: int,
        f_min: float,
        f_max: float,
        scale: MelScale,
        norm: MelNorm | None,
    ) -> None:
        self.scale, self.norm, self.bin_hz = SCALES[scale], norm, sample_rate / n_fft
        self.n_freqs = n_fft // 2 + 1
        low, high = (float(self.scale.from_hz(torch.tensor(hz, dtype=torch.float64))) for hz in (f_min, f_max))
        self.points = torch.linspace(low, high, n_mels + 2, dtype=torch.float64)
        n_empty = int((~self.heights(*self.edges()).any(dim=-2)).sum())
        if n_empty:
            raise SettingError(
                "n_mels",
                f"={n_mels} leaves {n_empty} bands between {f_min} and {f_max} Hz without a bin of n_fft={n_fft} at "
                f"{sample_rate} Hz; lower n_mels or raise n_fft",
            )

    def edges(self) -> tuple[Tensor, Tensor, Tensor]:
        """Lower edges, centres and upper edges at the start, in Hz: (n_mels,) each, float64."""
        hz = self.scale.to_hz(self.points)
        return hz[:-2], hz[1:-1], hz[2:]

    def heights(self, lower: Tensor, centre: Tensor, upper: Tensor) -> Tensor:
        """Triangles of height 1: edges (..., n_mels) in Hz -> (..., n_freqs, n_mels)."""
        bins = torch.arange(self.n_freqs, dtype=lower.dtype, device=lower.device)[:, None] * self.bin_hz
        rising = (bins - lower[..., None, :]) / (centre - lower)[..., None, :]
        falling = (upper[..., None, :] - bins) / (upper - centre)[..., None, :]
        return torch.minimum(rising, falling).clamp_min(0)

    def gains(self, lower: Tensor, upper: Tensor) -> Tensor:
        """What brings triangles of height 1 to their norm: (..., n_mels)."""
        return torch.ones_like(lower) if self.norm is None else 2 / (upper - lower)


class FreeBands(nn.Module):
    """Every weight of every band is learned: n_freqs * n_mels numbers, never negative.

    Weights that start as 0 stay 0 beyond twice a triangle's width: otherwise a step of Adam, whose size does not depend
    on that of the gradient, would lift hundreds of them at once, and every band would hear everything.

    Parameters
    ----------
    triangles : Triangles
    n_transforms : int
    smooth : int
        Of the other form; no matter here.

    Attributes
    ----------
    weights : Parameter of shape (n_transforms, n_freqs, n_mels)
        Of height 1; the norm is a fixed factor after it, so that one learning rate suits both norms.
    """

    rates: ClassVar[Mapping[str, float]] = {"weights": 2e-3}
    gains: Tensor
    support: Tensor

    def __init__(self, triangles: Triangles, n_transforms: int, smooth: int = 1) -> None:
        super().__init__()
        lower, centre, upper = triangles.edges()
        self.weights = nn.Parameter(triangles.heights(lower, centre, upper).float().repeat(n_transforms, 1, 1))
        wide = triangles.heights(2 * lower - centre, centre, 2 * upper - centre)
        self.register_buffer("gains", triangles.gains(lower, upper).float(), persistent=False)
        self.register_buffer("support", wide > 0, persistent=False)

    def forward(self) -> Tensor:
        """Bands with their norm: (n_transforms, n_freqs, n_mels)."""
        return torch.where(self.support, nonnegative(self.weights), 0) * self.gains


class ParametricBands(nn.Module):
    """Triangles whose places and widths are learned: 2 * n_mels + 1 numbers, or fewer.

    On the scale, the distances of neighbouring centres (and of the outer centres to f_min and f_max) share the range
    as softmax(gaps): centres stay in order and within it, and one number moves all bands beyond it, so that bands crowd
    where they are needed. An edge lies where the neighbour's centre does, times exp(widths); at least a bin away, or as
    far as at the start if that is less, so that no band is without a bin.

    What one band gains by moving differs from clip to clip, what a region gains by more bands less so: learned by few
    numbers, with a linear course between them, bands follow the region.

    Parameters
    ----------
    triangles : Triangles
    n_transforms : int
    smooth : int
        Bands from one learned number to the next; 1 is a number for each.

    Attributes
    ----------
    gaps : Parameter of shape (n_transforms, n_points)
        Logarithms of the distances over an even spacing, up to a constant; 0 at the start.
    widths : Parameter of shape (n_transforms, n_points)
        Logarithms of the widths over those that reach to the neighbours' centres; 0 at the start.

    References
    ----------
    Q. Fu et al., "FastAudio: A learnable audio front-end for spoof speech detection", ICASSP 2022,
    https://arxiv.org/abs/2109.02774 (centres and bandwidths as parameters)
    """

    rates: ClassVar[Mapping[str, float]] = {"gaps": 0.02, "widths": 0.01}
    gaps: nn.Parameter
    widths: nn.Parameter

    course_of_gaps: Tensor
    course_of_widths: Tensor

    def __init__(self, triangles: Triangles, n_transforms: int, smooth: int = 1) -> None:
        super().__init__()
        self.triangles = triangles
        n_mels = len(triangles.points) - 2
        for name, n_values in (("gaps", n_mels + 1), ("widths", n_mels)):
            course = interpolation(n_values, smooth)
            self.register_buffer(f"course_of_{name}", course.double(), persistent=False)
            self.register_parameter(name, nn.Parameter(torch.zeros(n_transforms, course.shape[0])))

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Begin or end to learn.

        Raises
        ------
        SettingError
            A triangle is narrower than a bin, and could lose the only one it has when it moves.
        """
        lower, centre, upper = self.triangles.edges()
        narrowest = 2 * float(torch.minimum(centre - lower, upper - centre).min())
        if requires_grad and narrowest <= self.triangles.bin_hz:
            raise SettingError(
                "n_mels",
                f"={len(self.triangles.points) - 2} makes bands narrower than the {self.triangles.bin_hz:.1f} Hz from "
                "bin to bin, so that they lose them when they move; lower n_mels, raise n_fft, or set mel_form to free",
            )
        return super().requires_grad_(requires_grad)

    def edges(self) -> tuple[Tensor, Tensor, Tensor]:
        """Lower edges, centres and upper edges in Hz: (n_transforms, n_mels) each, float64."""
        triangles = self.triangles
        points = triangles.points.to(self.gaps.device)
        # In float64, and as a change of the points: at the start these are met to the last bit.
        n_gaps = len(points) - 1
        even = (points[-1] - points[0]) / n_gaps
        spacing = even * n_gaps * (self.gaps.double() @ self.course_of_gaps.double()).softmax(-1)
        centre = points[1:-1] + (spacing - even).cumsum(-1)[:, :-1]
        factor = (self.widths.double() @ self.course_of_widths.double()).exp()
        to_hz = triangles.scale.to_hz
        below, above = (
            within(edge, points[0], points[-1])
            for edge in (centre - factor * spacing[:, :-1], centre + factor * spacing[:, 1:])
        )
        centre_hz = to_hz(centre)
        start = [edge.to(points.device) for edge in triangles.edges()]
        least = [(start[i + 1] - start[i]).clamp_max(triangles.bin_hz) for i in (0, 1)]
        lower = torch.minimum(to_hz(below), centre_hz - least[0])
        upper = torch.maximum(to_hz(above), centre_hz + least[1])
        return lower, centre_hz, upper

    def forward(self) -> Tensor:
        """Bands with their norm: (n_transforms, n_freqs, n_mels)."""
        lower, centre, upper = self.edges()
        bands = self.triangles.heights(lower, centre, upper) * self.triangles.gains(lower, upper)[:, None]
        return bands.to(self.gaps.dtype)


MEL_FORMS: dict[str, type[FreeBands] | type[ParametricBands]] = {"parametric": ParametricBands, "free": FreeBands}
