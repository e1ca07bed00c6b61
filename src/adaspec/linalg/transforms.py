"""Whether a function is being transformed, which decides how it may compute."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd import forward_ad

__all__ = ["is_transformed"]


def is_transformed(*tensors: Tensor | None) -> bool:
    """Whether `torch.func` (grad, jvp, vmap and all that is made of them) or forward-mode differentiation is at work.

    Both see through plain operations alone: neither in-place sums, nor looking at values, nor a gradient that is
    written out.

    Parameters
    ----------
    *tensors : Tensor or None
        What is computed with.

    Returns
    -------
    bool
        False while torch.compile or torch.export trace, which transform by themselves.
    """
    if torch.compiler.is_compiling():
        return False
    # As torch.autograd.Function asks, which takes other ways then; there is no public name for it.
    if torch._C._are_functorch_transforms_active():
        return True
    duals = (forward_ad.unpack_dual(tensor) for tensor in tensors if tensor is not None)  # type: ignore[no-untyped-call]
    return any(dual.tangent is not None for dual in duals)
