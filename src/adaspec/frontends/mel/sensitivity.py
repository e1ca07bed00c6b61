"""How sensitive a loss is to what bands hold, as a gradient."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from adaspec.linalg.transforms import is_transformed

__all__ = ["observed"]

ORDER = 2.5  # of the density's logarithm to the sensitivity's
LEAST = 1e-2  # sensitivity over its mean that counts as none


def observed(spectrogram: Tensor, density: Tensor, near: Tensor) -> Tensor:
    """The spectrogram; in the backward pass the density learns of the bands' sensitivity.

    Parameters
    ----------
    spectrogram : Tensor of shape (batch, n_channels, n_mels, n_frames)
    density : Tensor of shape (n_transforms, n_points)
    near : Tensor of shape (n_transforms, n_mels, n_points)
        How near each band lies to each point, 0 to 1.
    """
    function = _TransformableSensitivity if is_transformed(spectrogram, density) else _Sensitivity
    return function.apply(spectrogram, density, near)


class _Sensitivity(torch.autograd.Function):
    """The spectrogram; its sensitivity is what the density gets for a gradient."""

    @staticmethod
    def forward(spectrogram: Tensor, density: Tensor, near: Tensor) -> Tensor:
        return spectrogram.view_as(spectrogram)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        spectrogram, density, near = ctx.saved_tensors
        # The largest is 1, so that squares stay far from float32's limits.
        relative = spectrogram * (gradient / gradient.abs().max().clamp_min(torch.finfo(gradient.dtype).tiny))
        # Channels of the same transform have its bands in common.
        of_bands = relative.square().sum((0, 3)).view(len(density), -1, spectrogram.shape[2]).sum(1).to(near.dtype)
        of_bands = of_bands / of_bands.mean(-1, keepdim=True).clamp_min(torch.finfo(near.dtype).tiny) + LEAST
        # Where there are no bands, those around are not known to matter less.
        at_points = (near * of_bands[..., None]).sum(-2) / near.sum(-2).clamp_min(1e-6)
        sensitivity = torch.where(near.sum(-2) > 1e-3, at_points, 1).log()
        wanted = ORDER * (sensitivity - sensitivity.mean(-1, keepdim=True))
        return gradient, ((density - density.mean(-1, keepdim=True)) - wanted).to(density.dtype), None


class _TransformableSensitivity(_Sensitivity):
    """The same for `torch.func` and forward mode; torch.compile takes no function that has a `jvp`."""

    generate_vmap_rule = True

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *of_the_others: Tensor | None) -> Tensor:
        return tangent.view_as(tangent)
