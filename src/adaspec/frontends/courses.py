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
    values, points = (torch.arange(n, device="cpu") for n in (n_values, n_points))
    matrix = (1 - (values / step - points[:, None]).abs()).clamp_min(0)
    return matrix.to(torch.get_default_device())  # on "meta", arange imports torch's compiler, for seconds
