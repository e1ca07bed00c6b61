"""Mixing of neighbouring DFT bins: kernels of one's own for every bin, for the price of an FFT.

A window in time is a convolution over frequency, and a smooth one touches few bins: Hann's has three. So bins that are
mixed with their nearest neighbours, each with weights of its own, have a window of their own each.
"""

from __future__ import annotations

import torch
from torch import Tensor

from adaspec.frontends.stft.dft import dft_rows

__all__ = ["identity_mixing", "mix", "mixed_rows", "mixing_blocks"]

BLOCK = 64  # bins, about: the matrix products are a tenth of the dense one's, yet large enough to be fast


def identity_mixing(n_freqs: int, band_width: int) -> Tensor:
    """Weights that leave every bin as it is.

    Returns
    -------
    Tensor of shape (n_freqs, band_width, 2)
        Real and imaginary part of the weight of bin k + j - band_width//2 in bin k.
    """
    weights = torch.zeros(n_freqs, band_width, 2)
    weights[:, band_width // 2, 0] = 1
    return weights


def mixed_rows(weights: Tensor, n_fft: int) -> Tensor:
    """Kernels that mixing amounts to: the DFT's, which go on beyond DC and Nyquist as far as they are mixed.

    Parameters
    ----------
    weights : Tensor of shape (n_transforms, n_freqs, band_width, 2)
    n_fft : int

    Returns
    -------
    Tensor of shape (n_transforms, n_freqs, n_fft), complex
    """
    n_freqs, band_width = weights.shape[1:3]
    rows = dft_rows(n_fft, band_width // 2, weights)
    factors = torch.view_as_complex(weights.contiguous())
    products = [factors[:, :, j, None] * rows[j : j + n_freqs] for j in range(band_width)]
    return sum(products[1:], products[0])


def mixing_blocks(weights: Tensor) -> Tensor:
    """Lay the weights out as real matrices, one for every block of neighbouring bins.

    Parameters
    ----------
    weights : Tensor of shape (n_freqs, band_width, 2)

    Returns
    -------
    Tensor of shape (n_blocks, 2 * (n_bins + band_width - 1), 2 * n_bins)
        From interleaved real and imaginary parts to n_bins real, then n_bins imaginary parts.
    """
    n_freqs, band_width, _ = weights.shape
    n_blocks = -(-n_freqs // BLOCK)
    n_bins = -(-n_freqs // n_blocks)
    padded = torch.nn.functional.pad(weights, (0, 0, 0, 0, 0, n_blocks * n_bins - n_freqs))
    real, imag = padded.view(n_blocks, n_bins, band_width, 2).unbind(-1)
    # (n_bins, band_width, n_blocks, input part, output part): (a + ib)(x + iy) = (ax - by) + i(bx + ay)
    products = torch.stack([torch.stack([real, imag], -1), torch.stack([-imag, real], -1)], -2).movedim(0, 2)
    output = torch.arange(n_bins, device=weights.device)[:, None]
    source = output + torch.arange(band_width, device=weights.device)
    blocks = weights.new_zeros(n_bins + band_width - 1, n_bins, n_blocks, 2, 2)
    blocks = blocks.index_put((source, output.expand_as(source)), products)
    return blocks.permute(2, 0, 3, 4, 1).reshape(n_blocks, 2 * (n_bins + band_width - 1), 2 * n_bins)


def mix(spectrum: Tensor, blocks: Tensor, n_fft: int) -> tuple[Tensor, Tensor]:
    """Mix every bin with its neighbours.

    Parameters
    ----------
    spectrum : Tensor of shape (n_frames, n_fft//2 + 1), complex
        Of a real signal: beyond DC and Nyquist it goes on as its own mirror image.
    blocks : Tensor
        As `mixing_blocks` lays them out.
    n_fft : int

    Returns
    -------
    real, imag : Tensor of shape (n_frames, n_fft//2 + 1)
    """
    n_frames, n_freqs = spectrum.shape
    n_blocks, n_bins = blocks.shape[0], blocks.shape[2] // 2
    half = (blocks.shape[1] // 2 - n_bins) // 2  # neighbours on one side
    parts = torch.view_as_real(spectrum)
    mirror = n_freqs - 1 + n_fft % 2 - half  # an odd n_fft has no Nyquist bin: its last bin is mirrored too
    below, above = (
        torch.stack([part[..., 0], -part[..., 1]], -1).flip(1)
        for part in (parts[:, 1 : 1 + half], parts[:, mirror : mirror + half])
    )
    above = torch.nn.functional.pad(above, (0, 0, 0, n_blocks * n_bins - n_freqs))
    extended = torch.cat([below, parts, above], 1).flatten(1)
    sources = extended.unfold(1, blocks.shape[1], 2 * n_bins).transpose(0, 1)  # (n_blocks, n_frames, ...)
    mixed = torch.bmm(sources, blocks).view(n_blocks, n_frames, 2, n_bins)
    mixed = mixed.permute(2, 1, 0, 3).reshape(2, n_frames, n_blocks * n_bins)[:, :, :n_freqs]
    return mixed[0], mixed[1]
