"""What the front end learned: each fold's filters beside those that training started from."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor

from adaspec.evaluation.learned_figures import draw_bins, draw_change, draw_kernels, draw_mel, draw_windows
from adaspec.frontends import AdaptiveSTFT, build_frontend
from adaspec.frontends.measures import (
    center_and_bandwidth,
    condition_number,
    dead,
    effective_length,
    gain_db,
    gram_error,
    relative_change,
)
from adaspec.models.classifier import AudioClassifier
from adaspec.runtime.files import write_csv, write_json

__all__ = ["Learned"]

Array = npt.NDArray[Any]

BIN_COLUMNS = [
    *("fold", "transform", "bin"),
    *("start_center_hz", "center_hz", "center_drift_hz"),
    *("start_bandwidth_hz", "bandwidth_hz", "bandwidth_change_hz"),
    *("gain_db", "change"),
]


class Learned:
    """What was learned, as it is written to `metrics/` and logged; nothing, where the front end cannot learn.

    The start is the front end as it is built: nothing in it is random.

    Parameters
    ----------
    models : dict of int to AudioClassifier
        Fold -> trained model, all of one configuration, on the CPU. May be empty.

    Attributes
    ----------
    folds : dict of int to dict
        Fold -> number -> value, for what can be learned; empty if nothing can. Several transforms have their numbers
        each: "transform-1/window_change". A `_change` without a unit is ||now - start|| / ||start||, medians run over
        bins, `center_drift` has no sign; see `adaspec.frontends.measures`.
    mean : dict of str to float
        Number -> mean over folds.
    bins : DataFrame
        A row per fold, transform and bin, if window or kernels can be learned.
    window : DataFrame
        If the window can be learned: at the start and as mean over folds; those of further transforms in the columns
        start_2, learned_2 and so on.
    """

    def __init__(self, models: dict[int, AudioClassifier]) -> None:
        self.start = _learnable(models)
        self.layers: dict[int, Any] = {} if self.start is None else {fold: m.frontend for fold, m in models.items()}
        self.folds: dict[int, dict[str, float]] = {}
        tables = [pd.DataFrame(columns=BIN_COLUMNS)]
        if self.start is not None:
            with torch.no_grad():
                for fold, layer in self.layers.items():
                    bins = _bins(self.start, layer)
                    self.folds[fold] = _numbers(self.start, layer, bins)
                    if self.start.learn_window or self.start.learn_kernels:
                        tables.append(bins.assign(fold=fold)[BIN_COLUMNS])
        self.bins = pd.concat(tables[1:] or tables, ignore_index=True)
        means = pd.DataFrame(list(self.folds.values())).mean()
        self.mean = {str(name): _rounded(value) for name, value in means.items()}
        self.window = self._window()

    def write(self, folder: Path) -> None:
        """Write frontend.json, frontend_bins.csv and frontend_window.csv."""
        write_json(folder / "frontend.json", self.mean)
        write_csv(folder / "frontend_bins.csv", self.bins)
        write_csv(folder / "frontend_window.csv", self.window)

    def draw(self, folder: Path) -> None:
        """Write figures of what can be learned, frontend_*.png, into an existing folder."""
        if self.start is None:
            return
        rate, bin_hz = self.start.sample_rate, self.start.sample_rate / self.start.n_fft
        with torch.no_grad():
            if self.start.learn_window:
                windows = self._of_folds(AdaptiveSTFT.effective_window)
                draw_windows(*windows, rate, folder / "frontend_window.png")
            if len(self.bins):
                draw_bins(self.bins, bin_hz, folder / "frontend_bins.png")
            if self.start.learn_kernels:
                start, folds = self._of_folds(AdaptiveSTFT.filters)
                draw_change(start, folds, rate, folder / "frontend_change.png")
                for transform, kernels in enumerate(start):
                    suffix = f"_{transform + 1}" if len(start) > 1 else ""
                    learned = {fold: filters[transform] for fold, filters in folds.items()}
                    draw_kernels(kernels, learned, rate, folder / f"frontend_kernels{suffix}.png")
            if self.start.learn_mel:
                draw_mel(*self._of_folds(AdaptiveSTFT.effective_mel), rate, folder / "frontend_mel.png")

    def lines(self) -> list[str]:
        """A line for a terminal; none if nothing can be learned."""
        changes = [
            f"{what} changed by {self._range(name, 100, '.2g')} %"
            for name, what in (("window_change", "window"), ("kernel_change", "kernels"), ("mel_change", "mel bands"))
            if self._values(name)
        ]
        if self._values("center_drift_median_hz"):
            drift = self._range("center_drift_median_hz", 1, ".2g")
            changes.append(f"centre frequencies drifted by {drift} Hz (median)")
        for name, what in (("dead_bins", "bins"), ("dead_mel_bands", "mel bands")):
            if any(self._values(name)):
                changes.append(f"{what} that fell silent: {self._range(name, 1, '.3g')}")
        return [f"front end: {', '.join(changes)}"] if changes else []

    def _values(self, name: str) -> list[float]:
        """Mean over folds of a number, of every transform."""
        return [value for key, value in self.mean.items() if key.split("/")[-1] == name]

    def _range(self, name: str, factor: float, style: str) -> str:
        """A number as text, from the least to the most changed transform."""
        texts = [format(factor * value, style) for value in sorted(self._values(name))]
        return texts[0] if texts[0] == texts[-1] else f"{texts[0]} to {texts[-1]}"

    def _window(self) -> pd.DataFrame:
        """See the attribute `window`."""
        columns: dict[str, Any] = {"time_ms": [], "start": [], "learned": []}
        if self.start is not None and self.start.learn_window:
            with torch.no_grad():
                start, folds = self._of_folds(AdaptiveSTFT.effective_window)
            columns["time_ms"] = np.arange(self.start.win_length) * 1000 / self.start.sample_rate
            for transform, window in enumerate(start):
                suffix = f"_{transform + 1}" if transform else ""
                columns[f"start{suffix}"] = window
                columns[f"learned{suffix}"] = np.mean([windows[transform] for windows in folds.values()], axis=0)
        return pd.DataFrame(columns)

    def _of_folds(self, what: Callable[[AdaptiveSTFT], Tensor | None]) -> tuple[Array, dict[int, Array]]:
        """A tensor of the layer at its start, and of each fold's."""
        assert self.start is not None
        return _array(what(self.start)), {fold: _array(what(layer)) for fold, layer in self.layers.items()}


def _learnable(models: dict[int, AudioClassifier]) -> AdaptiveSTFT | None:
    """The front end as training found it, if it can learn."""
    if not models:
        return None
    start = _start_of(next(iter(models.values())))
    if isinstance(start, AdaptiveSTFT) and (start.learn_window or start.learn_kernels or start.learn_mel):
        return start
    return None


def _start_of(model: AudioClassifier) -> Any:
    return build_frontend(model.config.frontend, model.sample_rate)


def _bins(start: AdaptiveSTFT, layer: AdaptiveSTFT) -> pd.DataFrame:
    """`Learned.bins` of one fold, without its number."""
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


def _numbers(start: AdaptiveSTFT, layer: AdaptiveSTFT, bins: pd.DataFrame) -> dict[str, float]:
    """`Learned.folds` of one fold."""
    found: dict[str, Tensor | Array] = {}  # (n_transforms,) each
    if start.learn_window:
        before, now = start.effective_window(), layer.effective_window()
        to_ms = 1000 / start.sample_rate
        found["window_change"] = relative_change(now, before, 1)
        found["window_length_ms"] = effective_length(now) * to_ms
        found["window_length_change_ms"] = (effective_length(now) - effective_length(before)) * to_ms
    if start.learn_kernels:
        before, now = start.filters(windowed=False), layer.filters(windowed=False)
        found["kernel_change"] = relative_change(now, before, 2)
        found["gram_error"] = gram_error(now)
        found["condition_number"] = condition_number(now)
    if start.learn_window or start.learn_kernels:
        groups = bins.assign(size=bins["center_drift_hz"].abs()).groupby("transform")
        found["center_drift_median_hz"] = groups["size"].median().to_numpy()
        found["center_drift_max_hz"] = groups["size"].max().to_numpy()
        found["bandwidth_median_hz"] = groups["bandwidth_hz"].median().to_numpy()
        found["bandwidth_change_median_hz"] = groups["bandwidth_change_hz"].median().to_numpy()
        found["dead_bins"] = groups["dead"].sum().to_numpy()
    if start.learn_mel:
        bands, start_bands = layer.effective_mel(), start.effective_mel()
        assert bands is not None
        assert start_bands is not None
        found["mel_change"] = relative_change(bands, start_bands, 2)
        found["dead_mel_bands"] = dead(bands.mT, start_bands.mT).sum(-1)
    single = start.n_channels == 1
    named = {
        name if single else f"transform-{transform}/{name}": _rounded(float(value))
        for name, values in found.items()
        for transform, value in enumerate(values, start=1)
    }
    return {name: value for name, value in named.items() if math.isfinite(value)}


def _array(tensor: Tensor | None) -> Array:
    assert tensor is not None
    return tensor.detach().numpy()


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")
