"""What learned tensors are kept to. Each leaves a tensor that satisfies it already unchanged, up to rounding."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from adaspec.frontends.dft import dft_norms
from adaspec.linalg.qr import orthonormalize

__all__ = ["KernelConstraint", "constrain_kernels", "nonnegative", "symmetric"]

KernelConstraint = Literal["free", "unit_norm", "orthonormal"]


def nonnegative(values: Tensor) -> Tensor:
    """Absolute value, whose slope at 0 is 1 and not 0: what starts at 0 can still learn."""
    return torch.where(values >= 0, values, -values)


def symmetric(window: Tensor) -> Tensor:
    """Mean of a periodic window and its mirror image: w[n] = w[L - n] along the last axis."""
    return (window + window.flip(-1).roll(1, -1)) / 2


def constrain_kernels(kernels: Tensor, constraint: KernelConstraint) -> Tensor:
    """Bring kernels to their constraint, at the scale of the DFT.

    Parameters
    ----------
    kernels : Tensor of shape (..., n_fft, n_fft)
        Rows laid out as in `dft_basis`.
    constraint : {"free", "unit_norm", "orthonormal"}
        Nothing; rows of the DFT's norms; or besides at right angles to each other, by QR in the order of the rows.
    """
    if constraint == "free":
        return kernels
    norms = dft_norms(kernels.shape[-1]).to(kernels)
    if constraint == "unit_norm":
        return kernels * (norms / torch.linalg.vector_norm(kernels, dim=-1, keepdim=True))
    return orthonormalize((kernels / norms).transpose(-1, -2)).transpose(-1, -2) * norms
