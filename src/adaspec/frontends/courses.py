"""Courses over many bins or bands that few learned numbers describe."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["interpolation"]


def interpolation(n_values: int, step: int) -> Tensor:
    """Matrix that interpolates linearly between numbers at every `step`-th value, the first included.

    Parameters
    ----------
    n_values, step : int

    Returns
    -------
    Tensor of shape (n_points, n_values), float32
        points @ matrix = values; the identity where step is 1.
    """
    n_points = -(-(n_values - 1) // step) + 1
    distance = torch.arange(n_values) / step - torch.arange(n_points)[:, None]
    return (1 - distance.abs()).clamp_min(0)
