"""The discrete Fourier transform as matrices: the kernels that learning starts from."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["complex_rows", "dft_basis", "dft_norms", "dft_rows"]


def _phase(bins: Tensor, n_fft: int) -> Tensor:
    """Phases 2 pi k n / N of bins k at the samples n = 0 .. N - 1, modulo 2 pi.

    They are reduced modulo N in integers: computed in float32 a phase is off by 6e-4 at N = 2048.

    Parameters
    ----------
    bins : Tensor of shape (n_bins,), int64
        k, of either sign.
    n_fft : int
        N, in samples.

    Returns
    -------
    Tensor of shape (n_bins, n_fft), float64
    """
    return 2 * math.pi / n_fft * ((bins[:, None] * torch.arange(n_fft)) % n_fft).double()


def dft_basis(n_fft: int) -> Tensor:
    """Real basis of the discrete Fourier transform.

    Rows cos(2 pi k n / N) for k = 0 .. N//2, then -sin(2 pi k n / N) without the rows that are zero (DC, and Nyquist
    where N is even).

    Parameters
    ----------
    n_fft : int
        N, in samples.

    Returns
    -------
    Tensor of shape (n_fft, n_fft), float32
        First the N//2 + 1 cosine rows, then the (N - 1)//2 sine rows. They are orthogonal; `dft_norms` has their norms.
    """
    phase = _phase(torch.arange(n_fft // 2 + 1), n_fft)
    sine_rows = slice(1, 1 + (n_fft - 1) // 2)
    return torch.cat([phase.cos(), -phase[sine_rows].sin()]).float()


def dft_rows(n_fft: int, beyond: int, like: Tensor) -> Tensor:
    """Complex rows exp(-2 pi i k n / N) for k = -beyond .. N//2 + beyond.

    Parameters
    ----------
    n_fft : int
        N, in samples.
    beyond : int
        Rows before DC and after the last bin.
    like : Tensor
        Real, of the device and the precision that are wanted.

    Returns
    -------
    Tensor of shape (n_fft//2 + 1 + 2 * beyond, n_fft), complex
    """
    phase = _phase(torch.arange(-beyond, n_fft // 2 + 1 + beyond), n_fft)
    return torch.polar(torch.ones_like(phase), -phase).to(like.device, like.dtype.to_complex())


def dft_norms(n_fft: int) -> Tensor:
    """Norms of the rows of `dft_basis`: sqrt(N) for DC and Nyquist, sqrt(N / 2) for the others.

    Returns
    -------
    Tensor of shape (n_fft, 1), float32
    """
    norms = torch.full((n_fft, 1), math.sqrt(n_fft / 2))
    norms[0] = math.sqrt(n_fft)
    if n_fft % 2 == 0:
        norms[n_fft // 2] = math.sqrt(n_fft)
    return norms


def complex_rows(basis: Tensor) -> Tensor:
    """Join the cosine and the sine rows of a basis that is laid out as `dft_basis`.

    Parameters
    ----------
    basis : Tensor of shape (..., n_fft, n_fft)

    Returns
    -------
    Tensor of shape (..., n_fft//2 + 1, n_fft), complex
        Row k times a frame is the spectrum's bin k.
    """
    n_fft = basis.shape[-1]
    n_freqs = n_fft // 2 + 1
    sine = torch.zeros_like(basis[..., :n_freqs, :])
    sine[..., 1 : 1 + (n_fft - 1) // 2, :] = basis[..., n_freqs:, :]
    return torch.complex(basis[..., :n_freqs, :], sine)
