"""The three forms of learned kernels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from adaspec.frontends.constants import WithConstants
from adaspec.frontends.constraints import within
from adaspec.frontends.courses import interpolation
from adaspec.frontends.stft.baked import refuse_onnx_export
from adaspec.frontends.stft.chirps import chirp_kernels
from adaspec.frontends.stft.dft import complex_rows, dft_basis, dft_norms, dft_rows
from adaspec.frontends.stft.mixing import identity_mixing, mixed_rows, mixing_blocks
from adaspec.frontends.stft.phase import per_channel
from adaspec.frontends.stft.window import length_limits
from adaspec.linalg.qr import orthonormalize

__all__ = ["BandedKernels", "DenseKernels", "KernelConstraint", "Kernels", "ParametricKernels", "constrain_kernels"]

KernelConstraint = Literal["free", "unit_norm", "orthonormal"]


class DenseKernels(nn.Module):
    """Kernels of n_fft x n_fft free numbers, in place of the FFT.

    Parameters
    ----------
    n_transforms, n_fft : int
    constraint : {"free", "unit_norm", "orthonormal"}

    Attributes
    ----------
    values : Parameter of shape (n_transforms, n_fft, n_fft)
        Laid out as `dft_basis`, where they start.
    """

    rates: ClassVar[Mapping[str, float]] = {"values": 1e-3}

    def __init__(self, n_transforms: int, n_fft: int, constraint: KernelConstraint) -> None:
        super().__init__()
        self.constraint = constraint
        self.values = nn.Parameter(dft_basis(n_fft).repeat(n_transforms, 1, 1))

    def forward(self, windows: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Windows, matrices that take the FFT's place and matrices after it, as every form returns them.

        Parameters
        ----------
        windows : Tensor of shape (n_channels, n_groups, n_fft)
            Each transform has one channel, or as many as any other.

        Returns
        -------
        windows : Tensor of shape (n_channels, n_groups, n_fft)
            What frames are still to be multiplied with.
        matrices : Tensor of shape (n_transforms, n_rows, n_fft) or None
            Cosine, then sine rows.
        blocks : Tensor of shape (n_transforms, ...) or None
            Of `mixing_blocks`.
        """
        refuse_onnx_export("kernel_constraint=orthonormal", self.constraint == "orthonormal")
        return windows, constrain_kernels(self.values.to(windows.dtype), self.constraint), None

    def rows(self, windows: Tensor) -> Tensor:
        """Filters (n_channels, n_groups, n_freqs, n_fft), complex, windows included."""
        rows = complex_rows(constrain_kernels(self.values.to(windows.dtype), self.constraint))
        return per_channel(rows, len(windows))[:, None] * windows[:, :, None]


class BandedKernels(nn.Module):
    """Kernels that mix every bin of an FFT with its neighbours.

    Parameters
    ----------
    n_transforms, n_fft, band_width : int

    Attributes
    ----------
    values : Parameter of shape (n_transforms, n_freqs, band_width, 2)
        As `identity_mixing`, where they start.
    """

    rates: ClassVar[Mapping[str, float]] = {"values": 1e-3}

    def __init__(self, n_transforms: int, n_fft: int, band_width: int) -> None:
        super().__init__()
        self.n_fft = n_fft
        self.values = nn.Parameter(identity_mixing(n_fft // 2 + 1, band_width).repeat(n_transforms, 1, 1, 1))

    def forward(self, windows: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """As `DenseKernels.forward`."""
        return windows, None, torch.stack([mixing_blocks(weights) for weights in self.values.to(windows.dtype)])

    def rows(self, windows: Tensor) -> Tensor:
        """As `DenseKernels.rows`."""
        rows = mixed_rows(self.values.to(windows.dtype), self.n_fft)
        return per_channel(rows, len(windows))[:, None] * windows[:, :, None]


class ParametricKernels(WithConstants):
    """Kernels with a frequency, a chirp rate and a window length for every bin: 3 * n_freqs numbers, or fewer.

    Bin k of window w, with t = (n - centre) / n_fft, is

        w_k(n) exp(-2 pi i [k n / n_fft + shift_k t + chirp_k t^2 / 2])

    and w_k is w stretched about its centre, its energy kept. Unlike a window's power spectrum, that of a chirp kernel
    tells a rising from a falling sweep that is shorter than the frame.

    Parameters
    ----------
    n_transforms, n_fft : int
    lengths : list of int
        Of the windows at the start, in samples.
    centre : float
        Of the windows, in samples.
    smooth : int
        Bins from one learned number to the next; between them it is interpolated linearly.
    sample_rate : float
        In Hz.

    Attributes
    ----------
    shift : Parameter of shape (n_transforms, n_points)
        In bins, sample_rate / n_fft Hz; 0 at the start.
    chirp : Parameter of shape (n_transforms, n_points)
        In cycles per n_fft samples squared, (sample_rate / n_fft)^2 Hz/s; 0 at the start.
    log_ratio : Parameter of shape (n_transforms, n_points)
        Logarithm of the length over that at the start; 0 there.

    References
    ----------
    S. Mann and S. Haykin, "The chirplet transform: physical considerations", IEEE Transactions on Signal Processing
    43(11), 1995, eq. 5
    """

    rates: ClassVar[Mapping[str, float]] = {"shift": 0.02, "chirp": 0.5, "log_ratio": 0.02}
    low: Tensor
    high: Tensor
    cosine: Tensor
    sine: Tensor
    course: Tensor

    def __init__(
        self, n_transforms: int, n_fft: int, lengths: list[int], centre: float, smooth: int, sample_rate: float
    ) -> None:
        super().__init__()
        self.n_fft, self.lengths, self.smooth = n_fft, lengths, smooth
        self.centre, self.bin_hz = centre, sample_rate / n_fft
        self.start_ms = [1000 * length / sample_rate for length in lengths]
        self.register_constants()
        self.shift, self.chirp, self.log_ratio = (
            nn.Parameter(torch.zeros(n_transforms, len(self.course))) for _ in range(3)
        )

    def constants(self) -> dict[str, Tensor]:
        base = dft_rows(self.n_fft, 0, torch.zeros(()))
        low, high = length_limits(self.lengths, self.n_fft)
        course = interpolation(self.n_fft // 2 + 1, self.smooth)
        return {"course": course, "cosine": base.real.clone(), "sine": base.imag.clone(), "low": low, "high": high}

    def per_bin(self) -> tuple[Tensor, Tensor, Tensor]:
        """Shift, chirp rate, and length over that at the start, of every bin: (n_transforms, n_freqs) each, float64."""
        log_ratio = within(self.log_ratio, self.low.to(self.log_ratio), self.high.to(self.log_ratio))
        # In float64, of which autocast makes no bf16, not even in the backward pass.
        course = self.course.double()
        shift, chirp, length = (each.double() @ course for each in (self.shift, self.chirp, log_ratio))
        return shift, chirp, length.exp()

    def measures(self) -> dict[str, Tensor]:
        """Values in use of "center_hz", "chirp_hz_per_s" and "length_ms": (n_transforms, n_freqs) each, float64.

        The centre is the frequency in the middle of the window, from which a chirp rises or falls to either side.
        """
        shift, chirp, ratio = (each.double() for each in self.per_bin())
        bins = torch.arange(shift.shape[-1], device=shift.device)
        return {
            "center_hz": (bins + shift) * self.bin_hz,
            "chirp_hz_per_s": chirp * self.bin_hz**2,
            "length_ms": ratio.new_tensor(self.start_ms)[:, None] * ratio,
        }

    def forward(self, windows: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """As `DenseKernels.forward`; the matrices hold the windows, and are those of channels."""
        return torch.ones_like(windows), self._matrices(windows), None

    def rows(self, windows: Tensor) -> Tensor:
        """As `DenseKernels.rows`."""
        return torch.complex(*self._matrices(windows).chunk(2, -2))[:, None]

    def _matrices(self, windows: Tensor) -> Tensor:
        """Real, then imaginary parts of the kernels: (n_channels, 2 * n_freqs, n_fft)."""
        shift, chirp, ratio = (per_channel(each, len(windows)).to(windows.dtype) for each in self.per_bin())
        base = self.cosine.to(windows.dtype), self.sine.to(windows.dtype)
        return chirp_kernels(windows[:, 0], shift, chirp, ratio, base, self.centre)


Kernels = DenseKernels | BandedKernels | ParametricKernels


def constrain_kernels(kernels: Tensor, constraint: KernelConstraint) -> Tensor:
    """Bring kernels to their constraint, at the scale of the DFT.

    Parameters
    ----------
    kernels : Tensor of shape (..., n_fft, n_fft)
        Rows laid out as in `dft_basis`.
    constraint : {"free", "unit_norm", "orthonormal"}
        Nothing; rows of the DFT's norms; or besides at right angles to each other, by QR in the order of the rows.

    Raises
    ------
    ValueError
        Rows that are to be made orthonormal depend on each other or are not finite.
    """
    if constraint == "free":
        return kernels
    norms = dft_norms(kernels.shape[-1]).to(kernels)
    if constraint == "unit_norm":
        found = torch.linalg.vector_norm(kernels, dim=-1, keepdim=True)
        return kernels * (norms / found.clamp_min(torch.finfo(kernels.dtype).tiny))  # a row of zeros stays one
    try:
        basis = orthonormalize((kernels / norms).transpose(-1, -2))
    except ValueError as error:
        raise ValueError(
            "the learned kernels cannot be made orthonormal any more; lower their learning rate or clip their gradient "
            f"(rows as columns of A: {error})"
        ) from None
    return basis.transpose(-1, -2) * norms
