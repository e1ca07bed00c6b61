"""Small constants that keep roots, quotients and logarithms finite on silence."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["plus_epsilon"]


def plus_epsilon(values: Tensor, epsilon: float) -> Tensor:
    """Add a constant, however small, to values that are not negative.

    While torch.export traces, as values / epsilon + 1: the ONNX exporter's optimiser takes an added constant of 1e-8 or
    less for zero, and leaves it out.
    """
    if torch.compiler.is_exporting():
        return (values / epsilon + 1) * epsilon
    return values + epsilon
