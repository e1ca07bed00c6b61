"""What a transform's filters do, in numbers: where they lie, how wide they are, how far they are from the DFT.

A filter is a complex row h of a layer's `filters()`. All functions take any number of leading dimensions.
"""

from __future__ import annotations

import torch
from torch import Tensor

from adaspec.frontends.stft.dft import dft_norms

__all__ = [
    "DEAD_SHARE",
    "LARGEST_CONDITION",
    "center_and_bandwidth",
    "condition_number",
    "dead",
    "effective_length",
    "gain_db",
    "gram_error",
    "power_response",
    "relative_change",
]

DEAD_SHARE = 1e-2  # of the energy at the start: -20 dB
LARGEST_CONDITION = 1 / torch.finfo(torch.float32).eps  # 8388608: float32 kernels cannot tell more from singular
SMALLEST_GAIN = 1e-12  # -120 dB
PADDING = 4  # grid points per DFT bin; the parabola between them is off by at most 0.003 bins for a Hann window
CHUNK = 2**22  # grid points at a time


def power_response(filters: Tensor, n_points: int) -> Tensor:
    """Mean power of the filters' outputs for a real sine of amplitude 1, over all of its phases.

    P(f) = (|H(f)|^2 + |H(-f)|^2) / 4 with H(f) = sum_n h[n] exp(2 pi i f n / sample_rate).

    Parameters
    ----------
    filters : Tensor of shape (..., n_fft), complex
    n_points : int
        At least n_fft. Points of the frequency grid around the whole circle.

    Returns
    -------
    Tensor of shape (..., n_points//2 + 1)
        At the frequencies j * sample_rate / n_points.
    """
    response = torch.fft.fft(filters, n_points)
    power = response.real.square() + response.imag.square()
    n_freqs = n_points // 2 + 1
    return (power + power.flip(-1).roll(1, -1))[..., :n_freqs] / 4


def center_and_bandwidth(filters: Tensor, sample_rate: float) -> tuple[Tensor, Tensor]:
    """Centre frequency and equivalent rectangular bandwidth of filters.

    The centre is the sine that gives the largest power: the peak of `power_response`, refined by a parabola through the
    three largest values in dB [1]. The bandwidth is that of a rectangle with the same peak and the same area from 0 to
    sample_rate / 2 [2]; by Parseval's theorem it needs no integration: sample_rate * sum |h|^2 / (4 max P).
    For a bin of the DFT with a window w whose main lobe stays clear of 0 and
    sample_rate / 2 this is sample_rate * sum w^2 / (sum w)^2, for Hann 1.5 bins; at 0 and at sample_rate / 2 only half
    of the lobe lies within the range, and the bandwidth is half as large.

    Parameters
    ----------
    filters : Tensor of shape (..., n_fft), complex
    sample_rate : float
        In Hz.

    Returns
    -------
    center_hz, bandwidth_hz : Tensor of shape (...), float64
        Both are NaN for a filter that is all zeros, which has neither.

    References
    ----------
    .. [1] J. O. Smith, "Spectral Audio Signal Processing", 2011, "Quadratic Interpolation of Spectral Peaks",
       https://ccrma.stanford.edu/~jos/sasp/
    .. [2] F. J. Harris, "On the use of windows for harmonic analysis with the discrete Fourier transform", Proceedings
       of the IEEE 66(1), 1978, section IV.A.
    """
    n_points = PADDING * filters.shape[-1]
    rows = filters.reshape(-1, filters.shape[-1])
    peaks = [_peak(power_response(part, n_points)) for part in torch.split(rows, max(1, CHUNK // n_points))]
    position, largest = (torch.cat(values).reshape(filters.shape[:-1]) for values in zip(*peaks, strict=True))
    energy = filters.abs().square().sum(-1)
    silent = energy == 0
    center = position * (sample_rate / n_points)
    bandwidth = sample_rate * energy / (4 * largest)
    return center.masked_fill(silent, torch.nan), bandwidth.masked_fill(silent, torch.nan)


def _peak(power: Tensor) -> tuple[Tensor, Tensor]:
    """Position on the grid, and height, of the parabola through the largest value and its neighbours."""
    last = power.shape[-1] - 1
    top = power.argmax(-1, keepdim=True)
    # Beyond 0 and sample_rate / 2 the response is its own mirror image.
    neighbours = torch.cat([(top - 1).abs(), top, last - (last - top - 1).abs()], -1)
    # In float64: float32 tells centres at 10 kHz apart by 0.001 Hz only.
    heights = power.gather(-1, neighbours).double().clamp(min=torch.finfo(power.dtype).tiny)
    low, middle, high = heights.log().unbind(-1)
    curvature = low - 2 * middle + high  # never above 0; 0 on a plateau, whose middle is taken
    offset = torch.where(curvature < 0, (low - high) / (2 * curvature), 0)
    return top.squeeze(-1) + offset, (middle - (low - high) * offset / 4).exp()


def effective_length(window: Tensor) -> Tensor:
    """Effective length of windows: (sum |w|)^2 / sum w^2.

    The length of the boxcar that averages noise as much (Kish's effective sample size): all of a boxcar, 2/3 of a Hann
    window. For a window that is nowhere negative it is sample_rate over the equivalent rectangular bandwidth in Hz.

    Parameters
    ----------
    window : Tensor of shape (..., n_samples)

    Returns
    -------
    Tensor of shape (...)
        In samples, between 1 and n_samples; 0 for a window that is all zeros.

    References
    ----------
    L. Kish, "Survey Sampling", 1965, section 8.2; F. J. Harris, 1978, section IV.A (see `center_and_bandwidth`).
    """
    energy = window.square().sum(-1)
    return torch.where(energy > 0, window.abs().sum(-1).square() / energy, 0)


def relative_change(now: Tensor, start: Tensor, n_dims: int | None = None) -> Tensor:
    """Relative change ||now - start|| / ||start||, Euclidean norms.

    Parameters
    ----------
    now, start : Tensor of the same shape, real or complex
    n_dims : int or None
        How many of the last dimensions a norm runs over; None is all.

    Returns
    -------
    Tensor
        Where the start is all zeros, 1 if anything has changed and else 0.
    """
    dims = tuple(range(-(now.ndim if n_dims is None else n_dims), 0))
    change = torch.linalg.vector_norm(now - start, dim=dims)
    norm = torch.linalg.vector_norm(start, dim=dims)
    return torch.where(norm > 0, change / norm, (change > 0).to(change))


def gain_db(now: Tensor, start: Tensor) -> Tensor:
    """Energy over that at the start, 10 log10(sum |now|^2 / sum |start|^2), along the last dimension.

    Returns
    -------
    Tensor of one dimension less
        In dB, at least -120; 0 where the start is all zeros.
    """
    energy, start_energy = now.abs().square().sum(-1), start.abs().square().sum(-1)
    return torch.where(start_energy > 0, 10 * (energy / start_energy).clamp(min=SMALLEST_GAIN).log10(), 0)


def dead(now: Tensor, start: Tensor, share: float = DEAD_SHARE) -> Tensor:
    """Filters or mel bands that have fallen silent.

    Parameters
    ----------
    now, start : Tensor of shape (..., n)
        Real or complex; the energy of each is summed along the last dimension.
    share : float
        Of its energy at the start, below which a filter is dead.

    Returns
    -------
    Tensor of shape (...), bool
        False where the start was all zeros already.
    """
    return now.abs().square().sum(-1) < share * start.abs().square().sum(-1)


def gram_error(kernels: Tensor) -> Tensor:
    """How far kernels are from an orthonormal basis: ||U U^T - I||_F / sqrt(n_fft).

    U holds the kernels as real rows laid out as `dft_basis`, each over the norm that it has in the DFT. The result is
    the root mean square over the kernels of how far each is off: in its energy, and in what it shares with all others.
    All kernels twice as loud give 3.

    Parameters
    ----------
    kernels : Tensor of shape (..., n_fft//2 + 1, n_fft), complex
        As of `filters(windowed=False)`. Imaginary parts at 0 and at sample_rate / 2, which are 0 in the DFT and which
        only banded kernels can learn, are left out.

    Returns
    -------
    Tensor of shape (...), float64
        0 for the DFT and for any orthonormal basis.
    """
    basis = _real_basis(kernels)
    error = basis @ basis.mT
    error.diagonal(dim1=-2, dim2=-1).sub_(1)
    return torch.linalg.matrix_norm(error) / basis.shape[-1] ** 0.5


def condition_number(kernels: Tensor) -> Tensor:
    """Largest over smallest singular value of the matrix U of `gram_error`.

    Parameters
    ----------
    kernels : Tensor of shape (..., n_fft//2 + 1, n_fft), complex

    Returns
    -------
    Tensor of shape (...), float64
        1 for the DFT and for any orthogonal basis of equal norms, `LARGEST_CONDITION` at most and for singular ones.
    """
    values = torch.linalg.svdvals(_real_basis(kernels))
    largest, smallest = values[..., 0], values[..., -1]
    singular = smallest * LARGEST_CONDITION <= largest
    return torch.where(singular, LARGEST_CONDITION, largest / smallest)


def _real_basis(kernels: Tensor) -> Tensor:
    n_fft = kernels.shape[-1]
    sine = kernels.imag[..., 1 : 1 + (n_fft - 1) // 2, :]
    return torch.cat([kernels.real, sine], -2).double() / dft_norms(n_fft).to(kernels.device).double()
