"""How sensitive a loss is to what bands hold, as a gradient."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from adaspec.linalg.transforms import is_transformed

__all__ = ["limited", "observed"]

ORDER = 2.5  # of the density's logarithm to the sensitivity's
LEAST = 1e-2  # sensitivity over its mean that counts as none


def observed(spectrogram: Tensor, density: Tensor, near: Tensor, most: Tensor) -> Tensor:
    """The spectrogram; in the backward pass the density learns of the bands' sensitivity.

    Parameters
    ----------
    spectrogram : Tensor of shape (batch, n_channels, n_mels, n_frames)
    density : Tensor of shape (n_transforms, n_points)
    near : Tensor of shape (n_transforms, n_mels, n_points)
        How near each band lies to each point, 0 to 1.
    most : Tensor of shape (n_points,)
        Largest density, over the mean; at least 1.
    """
    function = _TransformableSensitivity if is_transformed(spectrogram, density) else _Sensitivity
    return function.apply(spectrogram, density, near, most)


def limited(density: Tensor, most: Tensor) -> Tensor:
    """Lower what is above its limit, and raise all that is not in proportion, until the sum is kept.

    Parameters
    ----------
    density : Tensor of shape (..., n_points)
        Logarithms, up to a constant.
    most : Tensor of shape (n_points,)
        Over the mean; at least 1.

    Returns
    -------
    Tensor of shape (..., n_points)
        Logarithms of shares that sum to 1.
    """
    share, largest = density.softmax(-1), most / len(most)
    for _ in range(len(most)):  # each round finds at least one more that is above, or changes nothing
        above = share >= largest
        left = 1 - torch.where(above, largest, 0).sum(-1, keepdim=True)
        below = torch.where(above, 0, share)
        factor = left / below.sum(-1, keepdim=True).clamp_min(torch.finfo(share.dtype).tiny)
        share = torch.where(above, largest, below * factor)
    return share.log()


class _Sensitivity(torch.autograd.Function):
    """The spectrogram; its sensitivity is what the density gets for a gradient."""

    @staticmethod
    def forward(spectrogram: Tensor, density: Tensor, near: Tensor, most: Tensor) -> Tensor:
        return spectrogram.view_as(spectrogram)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        spectrogram, density, near, most = ctx.saved_tensors
        # The largest is 1, so that squares stay far from float32's limits.
        relative = spectrogram * (gradient / gradient.abs().max().clamp_min(torch.finfo(gradient.dtype).tiny))
        # Channels of the same transform have its bands in common.
        of_bands = relative.square().sum((0, 3)).view(len(density), -1, spectrogram.shape[2]).sum(1).to(near.dtype)
        of_bands = of_bands / of_bands.mean(-1, keepdim=True).clamp_min(torch.finfo(near.dtype).tiny) + LEAST
        # Where there are no bands, those around are not known to matter less.
        at_points = (near * of_bands[..., None]).sum(-2) / near.sum(-2).clamp_min(1e-6)
        sensitivity = torch.where(near.sum(-2) > 1e-3, at_points, 1).log()
        wanted = limited(ORDER * sensitivity, most)
        wanted = wanted - wanted.mean(-1, keepdim=True)
        return gradient, ((density - density.mean(-1, keepdim=True)) - wanted).to(density.dtype), None, None


class _TransformableSensitivity(_Sensitivity):
    """The same for `torch.func` and forward mode; torch.compile takes no function that has a `jvp`."""

    generate_vmap_rule = True

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *of_the_others: Tensor | None) -> Tensor:
        return tangent.view_as(tangent)
