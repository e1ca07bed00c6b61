"""What learned tensors are kept to. Each leaves a tensor that satisfies it already unchanged, up to rounding."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from adaspec.linalg.transforms import is_transformed

__all__ = ["nonnegative", "symmetric", "within"]


class _Within(torch.autograd.Function):
    """The nearest value from low to high, whose gradient beyond passes where a step against it leads back."""

    @staticmethod
    def forward(values: Tensor, low: Tensor, high: Tensor) -> Tensor:
        return torch.minimum(torch.maximum(values, low), high)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        values, low, high = ctx.saved_tensors
        stays = ((values > low) | (gradient < 0)) & ((values < high) | (gradient > 0))
        return torch.where(stays, gradient, 0), None, None


class _TransformableWithin(_Within):
    """The same for `torch.func` and forward mode; torch.compile takes no function that has a `jvp`."""

    generate_vmap_rule = True

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *of_limits: None) -> Tensor:
        values, low, high = ctx.saved_tensors
        moves = ((values > low) | (tangent > 0)) & ((values < high) | (tangent < 0))
        return torch.where(moves, tangent, 0)


def within(values: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Values from low to high, none of which may ask for a gradient; what lies beyond counts as the nearer of the two.

    The gradient there is that of projected gradient descent: a value at its limit can come back, and nothing is pushed
    further beyond.
    """
    function = _TransformableWithin if is_transformed(values) else _Within
    return function.apply(values, low, high)


def nonnegative(values: Tensor) -> Tensor:
    """What is below 0 counts as 0; as in `within`, what starts at 0 can rise."""
    return within(values, values.new_zeros(()), values.new_full((), math.inf))


def symmetric(window: Tensor) -> Tensor:
    """Mean of a periodic window and its mirror image: w[n] = w[L - n] along the last axis."""
    return (window + window.flip(-1).roll(1, -1)) / 2
