"""Between which limits frames keep the energy of a waveform."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from adaspec.frontends.stft.kernels import DenseKernels

if TYPE_CHECKING:
    from adaspec.frontends.stft.layer import AdaptiveSTFT

__all__ = ["frame_bounds", "overlap", "unevenness"]

GRID = 8  # points around the circle per block of a hop
FLOOR = 1e-6  # of the largest: where windows leave gaps their unevenness stays finite, ln(1e6)


def overlap(windows: Tensor, hop_length: int) -> Tensor:
    """Squares of windows, added up over frames: sum_m w^2(n - m hop_length).

    Parameters
    ----------
    windows : Tensor of shape (..., n_fft)
    hop_length : int
        In samples.

    Returns
    -------
    Tensor of shape (..., hop_length)
        One period.
    """
    return _blocks(windows.square(), hop_length).sum(-2)


def unevenness(windows: Tensor, hop_length: int) -> Tensor:
    """Natural logarithm of the largest over the smallest `overlap`, mean over windows: 0 for a tight frame.

    Where kernels are orthonormal, as the DFT's are, it is that of the upper over the lower frame bound.

    Parameters
    ----------
    windows : Tensor of shape (..., n_fft)
    hop_length : int
        In samples.

    Returns
    -------
    Tensor of shape ()
        Differentiable. Not above ln(1e6) = 13.8, which stands for windows that leave gaps.
    """
    energy = overlap(windows, hop_length)
    upper = energy.amax(-1).clamp_min(torch.finfo(energy.dtype).tiny / FLOOR)
    return (upper.log() - (energy.amin(-1) + FLOOR * upper).log()).mean()


def frame_bounds(layer: AdaptiveSTFT) -> tuple[Tensor, Tensor]:
    """Frame bounds A and B of each transform: A ||x||^2 <= sum_ki |X[k, i]|^2 <= B ||x||^2 for every waveform x.

    X is that of `layer.spectrum`, of a waveform without ends; bins that stand for their mirror image count twice. With
    A = 0 some waveform leaves no trace; sqrt(B / A) bounds by how much a relative error of X can grow in the least
    squares inverse.

    Fixed and orthonormal kernels make a painless frame [1]: the bounds are the extremes of n_fft * `overlap`. Of others
    they are the extreme eigenvalues of the polyphase matrix [2], over 8 points of the unit circle per hop in n_fft.

    Returns
    -------
    lower, upper : Tensor of shape (n_transforms * n_groups,), float64
        Transform by transform, and within each one window length after the other, as of `layer.filters`.

    References
    ----------
    .. [1] I. Daubechies, A. Grossmann and Y. Meyer, "Painless nonorthogonal expansions", Journal of Mathematical
       Physics 27(5), 1986, section II
    .. [2] H. Boelcskei, F. Hlawatsch and H. G. Feichtinger, "Frame-theoretic analysis of oversampled filter banks",
       IEEE Transactions on Signal Processing 46(12), 1998, section III
    """
    with torch.no_grad():
        kernels, windows = layer.kernels, layer.windows().double()
        if kernels is None or (isinstance(kernels, DenseKernels) and kernels.constraint == "orthonormal"):
            energy = layer.n_fft * overlap(windows.flatten(0, 1), layer.hop_length)
            return energy.amin(-1), energy.amax(-1)
        counts = torch.full((layer.n_fft // 2 + 1, 1), math.sqrt(2), dtype=windows.dtype, device=windows.device)
        counts[0] = 1
        if layer.n_fft % 2 == 0:
            counts[-1] = 1
        found = [
            _eigenvalues(_blocks(torch.cat([rows.real, rows.imag]), layer.hop_length))
            for rows in kernels.rows(windows).flatten(0, 1) * counts
        ]
        return torch.stack([values.min().clamp_min(0) for values in found]), torch.stack([v.max() for v in found])


def _eigenvalues(blocks: Tensor) -> Tensor:
    """Of the polyphase matrix of real filters (n_filters, n_blocks, hop_length): (n_points, hop_length)."""
    n_blocks = blocks.shape[1]
    n_points = GRID * n_blocks if n_blocks > 1 else 1
    place = torch.arange(n_blocks, dtype=blocks.dtype, device=blocks.device)
    found = []
    for point in range(n_points // 2 + 1):  # the other half of the circle mirrors these
        turn = torch.polar(torch.ones_like(place), -2 * math.pi * point / n_points * place)
        matrix = torch.einsum("p,rph->rh", turn, blocks.to(turn.dtype))
        found.append(torch.linalg.eigvalsh(matrix.mH @ matrix))
    return torch.stack(found)


def _blocks(rows: Tensor, hop_length: int) -> Tensor:
    """Rows (..., n_fft) in blocks of a hop: (..., n_blocks, hop_length), the last filled up with zeros."""
    padded = torch.nn.functional.pad(rows, (0, -rows.shape[-1] % hop_length))
    return padded.reshape(*rows.shape[:-1], -1, hop_length)
