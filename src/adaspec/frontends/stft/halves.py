"""Learned kernels times frames in pairs, half a frame apart: three products of half frames in place of four.

Of three halves h0, h1, h2 of a frame's length the frames are [h0 h1] and [h1 h2]; with kernels [A B] their spectra are

    A h0 + B h1 = A (h0 - h1) + (A + B) h1             A h1 + B h2 = (A + B) h1 + B (h2 - h1)

Both take from within their own frame only. The terms are somewhat larger than their sum; as sums are also shorter,
their rounding in float32 is that of the plain product.

References
----------
S. Winograd, "Arithmetic Complexity of Computations", SIAM, 1980 (minimal filtering, F(2, 2))
"""

from __future__ import annotations

import torch
from torch import Tensor

from adaspec.frontends.stft.framing import Framing, pad_ends

__all__ = [
    "add_product",
    "add_products",
    "apart",
    "cut_pairs",
    "from_halves",
    "in_halves",
    "multiply",
    "overlap_by_halves",
    "together",
]

TERMS = 64  # products that are added up at a time: half of the rounding of a single sum, for a tenth of the gain
ROWS = 8  # of kernels are filled up to a multiple of it: a product of 1026 takes a tenth longer than one of 1032


def overlap_by_halves(framing: Framing) -> bool:
    """Whether half a frame later another one begins."""
    return framing.n_fft % (2 * framing.hop_length) == 0


def _n_apart(framing: Framing) -> int:
    """Hops from a frame to the one that begins in its middle."""
    return framing.n_fft // 2 // framing.hop_length


def cut_pairs(waveform: Tensor, framing: Framing) -> Tensor:
    """Cut what two frames lie in, half a frame apart; what lacks behind the last frame is 0.

    Returns
    -------
    Tensor of shape (batch, n_pairs, 3 * n_fft//2)
    """
    padded, n_apart = pad_ends(waveform, framing), _n_apart(framing)
    n_frames = 1 + (padded.shape[1] - framing.n_fft) // framing.hop_length
    n_framed, n_rounds = (n_frames - 1) * framing.hop_length + framing.n_fft, -(-n_frames // (2 * n_apart))
    n_needed = (2 * n_apart * n_rounds - 1) * framing.hop_length + framing.n_fft
    padded = torch.nn.functional.pad(padded[:, :n_framed], (0, n_needed - n_framed))
    spans = padded.unfold(1, 3 * (framing.n_fft // 2), framing.hop_length)
    return spans.unfold(1, n_apart, 2 * n_apart).transpose(2, 3).flatten(1, 2)


def apart(features: Tensor, framing: Framing) -> Tensor:
    """First and second frames of pairs, zeros where there are none: (batch, n_frames, n) -> (2, n_all, n)."""
    n_apart = _n_apart(framing)
    features = torch.nn.functional.pad(features, (0, 0, 0, -features.shape[1] % (2 * n_apart)))
    return features.reshape(len(features), -1, 2, n_apart, features.shape[2]).movedim(2, 0).flatten(1, 3)


def together(features: Tensor, batch: int, n_frames: int, framing: Framing) -> Tensor:
    """Frames in their order again: (2, n_all, n) -> (batch, n_frames, n)."""
    rounds = features.reshape(2, batch, -1, _n_apart(framing), features.shape[2])
    return rounds.movedim(0, 2).flatten(1, 3)[:, :n_frames]


def in_halves(kernels: Tensor) -> Tensor:
    """A, A + B and B of kernels [A B]: (n_rows, n_fft) -> (3, n_rows, n_fft//2)."""
    early, late = kernels.chunk(2, 1)
    return torch.stack([early, early + late, late])


def from_halves(products: Tensor) -> Tensor:
    """Gradient of kernels from that of what `in_halves` makes of them."""
    early, both, late = products
    return torch.cat([early + both, both + late], 1)


def _differences(pairs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    first, second, third = pairs.chunk(3, 1)
    return first - second, second, third - second


def multiply(pairs: Tensor, halves: Tensor) -> Tensor:
    """Spectra of the first frames of pairs (n, 3 * n_fft//2), then of the second ones: (2 * n, n_rows)."""
    parts, n_rows = _differences(pairs), halves.shape[1]
    # In bf16 every addition to a sum that lies in memory rounds it, while the product itself sums in float32.
    n_terms = halves.shape[2] if halves.dtype == torch.bfloat16 else TERMS
    halves = torch.nn.functional.pad(halves, (0, 0, 0, -n_rows % ROWS))
    spectra = pairs.new_zeros(2, len(pairs), halves.shape[1])

    def add(spectrum: Tensor, place: int) -> None:
        for terms, factors in zip(
            torch.split(parts[place], n_terms, 1), torch.split(halves[place], n_terms, 1), strict=True
        ):
            spectrum.addmm_(terms, factors.T)

    add(spectra[0], 1)
    spectra[1].copy_(spectra[0])
    add(spectra[0], 0)
    add(spectra[1], 2)
    return spectra.flatten(0, 1)[:, :n_rows]


def add_product(total: Tensor, gradients: Tensor, frames: Tensor) -> None:
    """Add to the gradient of kernels (n_rows, n), from that of spectra (n_frames, n_rows), for frames (n_frames, n)."""
    if gradients.dtype == total.dtype:  # of another one addmm_ takes nothing
        total.addmm_(gradients.T, frames)
    else:
        total.add_(gradients.T @ frames)


def add_products(sums: Tensor, gradients: Tensor, pairs: Tensor) -> None:
    """Add to the gradient of the halves (3, n_rows, n_fft//2), from that of spectra (2 * n, n_rows)."""
    first, second = gradients.chunk(2)
    parts = _differences(pairs)
    for place, gradient in enumerate((first, first + second, second)):
        add_product(sums[place], gradient, parts[place])
