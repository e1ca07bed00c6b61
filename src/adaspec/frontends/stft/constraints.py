"""What learned tensors are kept to. Each leaves a tensor that satisfies it already unchanged, up to rounding."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from adaspec.frontends.stft.dft import dft_norms
from adaspec.linalg.qr import orthonormalize

__all__ = ["KernelConstraint", "constrain_kernels", "nonnegative", "symmetric"]

KernelConstraint = Literal["free", "unit_norm", "orthonormal"]


class _AtLeastZero(torch.autograd.Function):
    """max(x, 0), whose gradient at 0 and below passes where a step against it leads up."""

    @staticmethod
    def forward(values: Tensor) -> Tensor:
        return values.clamp_min(0)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (values,) = ctx.saved_tensors
        return torch.where((values > 0) | (gradient < 0), gradient, 0)


def nonnegative(values: Tensor) -> Tensor:
    """What is below 0 counts as 0.

    The gradient at 0 and below is that of projected gradient descent: what starts at 0 can rise, as most weights of mel
    bands do, and nothing is pushed further below.
    """
    return _AtLeastZero.apply(values)


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

    Raises
    ------
    ValueError
        Rows that are to be made orthonormal depend on each other or are not finite.
    """
    if constraint == "free":
        return kernels
    norms = dft_norms(kernels.shape[-1]).to(kernels)
    if constraint == "unit_norm":
        return kernels * (norms / torch.linalg.vector_norm(kernels, dim=-1, keepdim=True))
    try:
        basis = orthonormalize((kernels / norms).transpose(-1, -2))
    except ValueError as error:
        raise ValueError(
            "the learned kernels cannot be made orthonormal any more; lower their learning rate or clip their gradient "
            f"(rows as columns of A: {error})"
        ) from None
    return basis.transpose(-1, -2) * norms
