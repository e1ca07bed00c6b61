"""Triangular bands, and the two forms in which they can be learned."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, Literal, Self

import torch
from torch import Tensor, nn

from adaspec.errors import SettingError
from adaspec.frontends.constants import WithConstants
from adaspec.frontends.constraints import nonnegative, within
from adaspec.frontends.courses import interpolation
from adaspec.frontends.mel.scales import SCALES, MelScale
from adaspec.frontends.mel.sensitivity import observed

__all__ = ["MEL_FORMS", "FreeBands", "MelBands", "MelForm", "MelNorm", "ParametricBands", "Placement", "Triangles"]

MelForm = Literal["parametric", "free"]
MelNorm = Literal["slaney"]
Placement = Literal["sensitivity", "gradient"]


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
        self.scale, self.norm, self.bin_hz = scale, norm, sample_rate / n_fft
        self.n_freqs = n_fft // 2 + 1
        # On the CPU wherever a layer is built: they are few, and have to be looked at.
        ends = torch.tensor([f_min, f_max], dtype=torch.float64, device="cpu")
        low, high = SCALES[self.scale].from_hz(ends).tolist()
        self.points = torch.linspace(low, high, n_mels + 2, dtype=torch.float64, device="cpu")
        n_empty = int((~self.heights(*self.edges()).any(dim=-2)).sum())
        if n_empty:
            raise SettingError(
                "n_mels",
                f"={n_mels} leaves {n_empty} bands between {f_min} and {f_max} Hz without a bin of n_fft={n_fft} at "
                f"{sample_rate} Hz; lower n_mels or raise n_fft",
            )

    def edges(self) -> tuple[Tensor, Tensor, Tensor]:
        """Lower edges, centres and upper edges at the start, in Hz: (n_mels,) each, float64."""
        hz = SCALES[self.scale].to_hz(self.points)
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


class FreeBands(WithConstants):
    """Every weight of every band is learned: n_freqs * n_mels numbers, never negative.

    Weights that start as 0 stay 0 beyond twice a triangle's width: otherwise a step of Adam, whose size does not depend
    on that of the gradient, would lift hundreds of them at once, and every band would hear everything.

    Parameters
    ----------
    triangles : Triangles
    n_transforms : int

    Attributes
    ----------
    weights : Parameter of shape (n_transforms, n_freqs, n_mels)
        Of height 1; the norm is a fixed factor after it, so that one learning rate suits both norms.
    """

    rates: ClassVar[Mapping[str, float]] = {"weights": 2e-3}
    gains: Tensor
    support: Tensor

    def __init__(self, triangles: Triangles, n_transforms: int) -> None:
        super().__init__()
        self.triangles = triangles
        start = triangles.heights(*triangles.edges()).float().repeat(n_transforms, 1, 1)
        self.weights = nn.Parameter(start.to(torch.get_default_device()))
        self.register_constants()

    def constants(self) -> dict[str, Tensor]:
        lower, centre, upper = self.triangles.edges()
        wide = self.triangles.heights(2 * lower - centre, centre, 2 * upper - centre)
        found = {"gains": self.triangles.gains(lower, upper).float(), "support": wide > 0}
        return {name: value.to(torch.get_default_device()) for name, value in found.items()}

    def forward(self) -> Tensor:
        """Bands with their norm: (n_transforms, n_freqs, n_mels)."""
        return torch.where(self.support, nonnegative(self.weights), 0) * self.gains

    def observed(self, spectrogram: Tensor) -> Tensor:
        """As of `ParametricBands`; these follow the gradient."""
        return spectrogram


class ParametricBands(WithConstants):
    """Triangles whose places and widths are learned: 2 * n_mels + 1 numbers, or fewer.

    The density of the bands along the scale is softmax(density), and their centres are its quantiles: they stay in
    order and between f_min and f_max, and a region that gains density draws bands from everywhere else. An edge lies
    where the neighbour's centre does, times exp(widths); at least a bin away, or as far as at the start if that is
    less, so that no band is without a bin.

    What one band gains by moving differs from clip to clip, what a region gains by more bands less so: learned by few
    numbers, with a linear course between them, bands follow the region.

    Parameters
    ----------
    triangles : Triangles
    n_transforms : int
    smooth : int
        Distance of the learned numbers, in bands at the start; 1 is a number for each.
    placement : {"sensitivity", "gradient"}
        What moves the bands: see `observed`, or the loss's gradient.

    Attributes
    ----------
    density : Parameter of shape (n_transforms, n_points)
        Logarithms of the density along the scale, over the start's, up to a constant; 0 at the start.
    widths : Parameter of shape (n_transforms, n_points)
        Logarithms of the widths over those that reach to the neighbours' centres, from the lowest band to the highest;
        0 at the start.

    References
    ----------
    Q. Fu et al., "FastAudio: A learnable audio front-end for spoof speech detection", ICASSP 2022,
    https://arxiv.org/abs/2109.02774 (centres and bandwidths as parameters)
    """

    rates: ClassVar[Mapping[str, float]] = {"density": 0.04, "widths": 0.02}
    density: nn.Parameter
    widths: nn.Parameter
    course_of_density: Tensor
    course_of_widths: Tensor
    most: Tensor

    def __init__(self, triangles: Triangles, n_transforms: int, smooth: int, placement: Placement) -> None:
        super().__init__()
        self.triangles, self.smooth, self.placement = triangles, smooth, placement
        self.register_constants()
        self.density = nn.Parameter(torch.zeros(n_transforms, len(self.course_of_density)))
        self.widths = nn.Parameter(torch.zeros(n_transforms, len(self.course_of_widths)))

    def constants(self) -> dict[str, Tensor]:
        n_mels = len(self.triangles.points) - 2
        course = interpolation(n_mels + 1, self.smooth)
        # At each number of the density, how many bins there are to a band at the start.
        gaps_hz = SCALES[self.triangles.scale].to_hz(self.triangles.points).diff()
        n_bins = (
            gaps_hz[(self.smooth * torch.arange(len(course), device="cpu")).clamp_max(n_mels)] / self.triangles.bin_hz
        )
        return {
            "course_of_density": course,
            "course_of_widths": interpolation(n_mels, self.smooth),
            "most": n_bins.clamp_min(1).to(torch.get_default_device()),
        }

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

    def centres(self) -> Tensor:
        """Centres on the scale from 0 on, over their distance at the start: (n_transforms, n_mels), float64."""
        density = self.density if self.placement == "gradient" else self.density.detach()  # see `observed`
        share = (density.double() @ self.course_of_density.double()).softmax(-1)
        n_gaps = share.shape[-1]
        # Share below each place where a band starts, searched by counting: ONNX has no searchsorted.
        below = share.cumsum(-1)
        quantile = torch.arange(1, n_gaps, dtype=below.dtype, device=below.device).expand(len(below), -1) / n_gaps
        cell = (below[:, None, :-1] < quantile[..., None]).sum(-1)
        within_cell = (quantile - below.gather(-1, cell)) / share.gather(-1, cell)
        return cell + 1 + within_cell

    def edges(self) -> tuple[Tensor, Tensor, Tensor]:
        """Lower edges, centres and upper edges in Hz: (n_transforms, n_mels) each, float64."""
        triangles = self.triangles
        points = triangles.points.to(self.density.device)
        centre = self.centres()
        n_gaps = len(points) - 1
        last = centre.new_full((len(centre), 1), n_gaps)
        spacing = torch.cat([torch.zeros_like(last), centre, last], -1).diff(dim=-1)
        factor = (self.widths.double() @ self.course_of_widths.double()).exp()
        low, high = centre.new_zeros(()), centre.new_full((), n_gaps)
        below = within(centre - factor * spacing[:, :-1], low, high)
        above = within(centre + factor * spacing[:, 1:], low, high)
        even = (points[-1] - points[0]) / n_gaps
        lower_hz, centre_hz, upper_hz = (
            SCALES[triangles.scale].to_hz(points[0] + even * at) for at in (below, centre, above)
        )
        start = [edge.to(points.device) for edge in triangles.edges()]
        least = [(start[i + 1] - start[i]).clamp_max(triangles.bin_hz) for i in (0, 1)]
        return torch.minimum(lower_hz, centre_hz - least[0]), centre_hz, torch.maximum(upper_hz, centre_hz + least[1])

    def measures(self) -> dict[str, Tensor]:
        """Values in use of "center_hz" and "bandwidth_hz": (n_transforms, n_mels) each, float64.

        The bandwidth is half of the distance of the edges: at half height, or of a rectangle with the same area.
        """
        lower, centre, upper = self.edges()
        return {"center_hz": centre, "bandwidth_hz": (upper - lower) / 2}

    def forward(self) -> Tensor:
        """Bands with their norm: (n_transforms, n_freqs, n_mels)."""
        lower, centre, upper = self.edges()
        bands = self.triangles.heights(lower, centre, upper) * self.triangles.gains(lower, upper)[:, None]
        return bands.to(self.density.dtype)

    def observed(self, spectrogram: Tensor) -> Tensor:
        """Let the bands see which of them the loss is sensitive to, in the backward pass.

        With placement "sensitivity" the gradient of the loss with respect to the density, which follows how single
        clips happen to lie between bands, gives way to one that draws bands to where the loss is sensitive to what
        they hold: the logarithm of the density goes towards 2.5 times that of sum (dL / d log E)^2, over clips and
        frames. A class that is not told yet has large gradients, and so gets the resolution it needs. Bands that are
        nearer to each other than bins hear the same: none are drawn nearer than that, or than at the start.

        Parameters
        ----------
        spectrogram : Tensor of shape (batch, n_channels, n_mels, n_frames)
            Energies E of the bands; each transform has one channel, or as many as any other.

        Returns
        -------
        Tensor
            The same.

        References
        ----------
        C. de Boor, "Good approximation by splines with variable knots", 1973 (equidistribution); W. Huang and
        R. D. Russell, "Adaptive Moving Mesh Methods", 2011, section 1.1
        """
        if self.placement == "gradient" or not self.density.requires_grad:
            return spectrogram
        with torch.no_grad():
            points = torch.arange(self.density.shape[1], device=self.density.device)
            near = 1 - ((self.centres() - 0.5)[..., None] / self.smooth - points).abs()
        return observed(spectrogram, self.density, near.clamp_min(0), self.most)


MelBands = FreeBands | ParametricBands
MEL_FORMS: dict[str, Callable[[Triangles, int, int, Placement], MelBands]] = {
    "parametric": ParametricBands,
    "free": lambda triangles, n_transforms, smooth, placement: FreeBands(triangles, n_transforms),
}
