"""What was learned, in numbers: a front end beside the one that training started from."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor, nn

from adaspec.frontends import AdaptiveSTFT
from adaspec.frontends.measures import (
    center_and_bandwidth,
    condition_number,
    dead,
    effective_length,
    gain_db,
    gram_error,
    relative_change,
)
from adaspec.frontends.stft.bounds import frame_bounds

__all__ = ["BIN_COLUMNS", "Filters", "bins_of", "filter_numbers", "parameter_numbers", "significant"]

Array = npt.NDArray[Any]

BIN_COLUMNS = [
    *("fold", "transform", "bin"),
    *("start_center_hz", "center_hz", "center_drift_hz"),
    *("start_bandwidth_hz", "bandwidth_hz", "bandwidth_change_hz"),
    *("gain_db", "change"),
]


@runtime_checkable
class Filters(Protocol):
    """A front end whose windows, filters and mel bands can be shown, whatever else it does.

    Attributes
    ----------
    sample_rate, n_fft, win_length, n_channels : int
    learned : tuple of str
        What is learned, such as "window", "kernels" and "mel".
    """

    sample_rate: int
    n_fft: int
    win_length: int
    n_channels: int
    window: Callable[[], Tensor]  # (n_transforms, win_length)
    mel: Callable[[], Tensor] | None  # (n_transforms, n_freqs, n_mels)

    @property
    def learned(self) -> tuple[str, ...]:
        """What is being learned."""

    def filters(self, *, windowed: bool = True) -> Tensor:
        """Complex filters (n_transforms, n_freqs, n_fft)."""


def bins_of(start: Filters, layer: Filters) -> pd.DataFrame:
    """A row per transform and bin: `BIN_COLUMNS` without the fold, and whether the filter fell silent."""
    before, now = start.filters(), layer.filters()
    start_center, start_bandwidth = center_and_bandwidth(before, start.sample_rate)
    center, bandwidth = center_and_bandwidth(now, start.sample_rate)
    transform, row = torch.meshgrid(*(torch.arange(size) for size in before.shape[:2]), indexing="ij")
    columns = {
        "transform": transform + 1,
        "bin": row,
        "start_center_hz": start_center,
        "center_hz": center,
        "center_drift_hz": center - start_center,
        "start_bandwidth_hz": start_bandwidth,
        "bandwidth_hz": bandwidth,
        "bandwidth_change_hz": bandwidth - start_bandwidth,
        "gain_db": gain_db(now, before),
        "change": relative_change(now, before, 1),
        "dead": dead(now, before),
    }
    return pd.DataFrame({name: values.flatten().numpy() for name, values in columns.items()})


def filter_numbers(start: Filters, layer: Filters, bins: pd.DataFrame) -> dict[str, float]:
    """Measures of what a fold's filters learned; those of several transforms each, as "transform-1/window_change".

    Parameters
    ----------
    start, layer : Filters
    bins : DataFrame
        Of `bins_of`.
    """
    found: dict[str, Tensor | Array] = {}  # (n_transforms,) each
    if "window" in start.learned:
        before, now = start.window(), layer.window()
        to_ms = 1000 / start.sample_rate
        found["window_change"] = relative_change(now, before, 1)
        found["window_length_ms"] = effective_length(now) * to_ms
        found["window_length_change_ms"] = (effective_length(now) - effective_length(before)) * to_ms
    if "kernels" in start.learned:
        before, now = start.filters(windowed=False), layer.filters(windowed=False)
        found["kernel_change"] = relative_change(now, before, 2)
        found["gram_error"] = gram_error(now)
        found["condition_number"] = condition_number(now)
    if isinstance(layer, AdaptiveSTFT) and {"window", "length", "kernels"} & set(start.learned):
        lower, upper = (bound.view(len(layer.window()), -1) for bound in frame_bounds(layer))
        found["frame_lower"], found["frame_upper"] = lower.amin(1), upper.amax(1)  # of all window lengths
        found["frame_condition"] = (upper / lower).amax(1)
    if {"window", "kernels"} & set(start.learned):
        groups = bins.assign(size=bins["center_drift_hz"].abs()).groupby("transform")
        found["center_drift_median_hz"] = groups["size"].median().to_numpy()
        found["center_drift_max_hz"] = groups["size"].max().to_numpy()
        found["bandwidth_median_hz"] = groups["bandwidth_hz"].median().to_numpy()
        found["bandwidth_change_median_hz"] = groups["bandwidth_change_hz"].median().to_numpy()
        found["dead_bins"] = groups["dead"].sum().to_numpy()
    if "mel" in start.learned:
        assert start.mel is not None
        assert layer.mel is not None
        bands, start_bands = layer.mel(), start.mel()
        found["mel_change"] = relative_change(bands, start_bands, 2)
        found["dead_mel_bands"] = dead(bands.mT, start_bands.mT).sum(-1)
    single = len(start.window()) == 1
    named = {
        name if single else f"transform-{transform}/{name}": significant(float(value))
        for name, values in found.items()
        for transform, value in enumerate(values, start=1)
    }
    return {name: value for name, value in named.items() if math.isfinite(value)}


def parameter_numbers(start: nn.Module, layer: nn.Module) -> dict[str, float]:
    """How far each learned parameter of any front end went: NAME_change = ||now - start|| / ||start||."""
    now = dict(layer.named_parameters())
    found = {
        f"{name}_change": significant(float(relative_change(now[name], before, before.ndim)))
        for name, before in start.named_parameters()
        if before.requires_grad
    }
    return {name: value for name, value in found.items() if math.isfinite(value)}


def significant(value: float) -> float:
    """Round to six significant digits."""
    return float(f"{value:.6g}")
