"""What the front end learned: each fold's filters beside those that training started from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor

from adaspec.evaluation.figures import FIGURES
from adaspec.evaluation.learned_figures import draw_bins, draw_change, draw_kernels, draw_mel, draw_windows
from adaspec.evaluation.learned_measure_figures import draw_measures
from adaspec.evaluation.learned_measures import change_text, measure_numbers, measure_table, measures_in, rounded
from adaspec.evaluation.learned_numbers import (
    BIN_COLUMNS,
    Filters,
    bins_of,
    filter_numbers,
    parameter_numbers,
    significant,
)
from adaspec.frontends import build_frontend
from adaspec.models.classifier import AudioClassifier
from adaspec.runtime.files import write_csv, write_json

__all__ = ["Learned"]

Array = npt.NDArray[Any]

# Part of filters -> the number that tells how far it went where it has no measures of its own, and what that is called.
CHANGES = {
    "window": ("window_change", "window"),
    "kernels": ("kernel_change", "kernels"),
    "mel": ("mel_change", "mel bands"),
}


class Learned:
    """What was learned, as it is written and logged; nothing, where the front end is fixed.

    The start is the front end as it is built: nothing in it is random. Whether it learns anything, its `learned` says;
    of filters there are measures, tables and figures, of all else the change of each parameter. Parts whose numbers
    have a unit tell besides where they are in it.

    Parameters
    ----------
    models : dict of int to AudioClassifier
        Fold -> trained model, all of one configuration, on the CPU. May be empty.

    Attributes
    ----------
    folds : dict of int to dict
        Fold -> number -> value; empty if nothing is learned. Several transforms have their numbers each:
        "transform-1/window_change". A `_change` without a unit is ||now - start|| / ||start||, medians run over bins,
        `center_drift` has no sign; see `adaspec.frontends.measures`, and for those with a part's name
        `measure_numbers`.
    mean : dict of str to float
        Number -> mean over folds.
    measures : dict of str to DataFrame
        Learned part whose numbers have a unit -> `fold`, then the columns of `measure_table`.
    bins : DataFrame
        A row per fold, transform and bin, if window or kernels are learned; else empty.
    window : DataFrame
        If the window is learned, else empty: at the start and as mean over folds; those of further transforms in the
        columns start_2, learned_2 and so on.
    """

    def __init__(self, models: dict[int, AudioClassifier]) -> None:
        self.folds: dict[int, dict[str, float]] = {}
        self.start: Filters | None = None  # where filters are learned
        self.layers: dict[int, Any] = {}
        self.titles: dict[str, str] = {}  # number that tells how far something went -> what that is
        measures: dict[str, list[pd.DataFrame]] = {}
        tables = [pd.DataFrame(columns=BIN_COLUMNS)]
        for fold, model in models.items():
            start: Any = build_frontend(model.config.frontend, model.sample_rate)
            if not start.learned:
                continue
            with torch.no_grad():
                before, now = start.measures(), model.frontend.measures()
                found = {part: measure_table(before[part], now[part]) for part in start.learned if part in before}
                if isinstance(start, Filters):
                    self.start, self.layers[fold] = start, model.frontend
                    bins = bins_of(start, self.layers[fold])
                    self.folds[fold] = filter_numbers(start, self.layers[fold], bins)
                    if {"window", "kernels"} & set(start.learned):
                        tables.append(bins.assign(fold=fold)[BIN_COLUMNS])
                    unmeasured = [part for part in CHANGES if part in start.learned and part not in found]
                    self.titles = dict(CHANGES[part] for part in unmeasured)
                else:
                    self.folds[fold] = parameter_numbers(start, model.frontend)
                    self.titles = {name: name.removesuffix("_change") for name in self.folds[fold]}
            for part, table in found.items():
                numbers = measure_numbers(part, table)
                self.folds[fold] |= {name: significant(value) for name, value in numbers.items()}
                measures.setdefault(part, []).append(table.assign(fold=fold)[["fold", *table]])
        self.measures = {part: pd.concat(each, ignore_index=True) for part, each in measures.items()}
        self.bins = pd.concat(tables[1:] or tables, ignore_index=True)
        means = pd.DataFrame(list(self.folds.values())).mean()
        self.mean = {str(name): significant(value) for name, value in means.items()}
        self.window = self._window()

    def write(self, folder: Path) -> None:
        """Write frontend.json, frontend_bins.csv, frontend_window.csv, frontend_PART.csv of what has a unit; figures.

        As far as there is anything in them.

        Parameters
        ----------
        folder : Path
            Exists, as does its folder for figures.
        """
        if self.folds:
            write_json(folder / "frontend.json", self.mean)
        if len(self.bins):
            write_csv(folder / "frontend_bins.csv", self.bins)
        if len(self.window):
            write_csv(folder / "frontend_window.csv", self.window)
        for part, table in self.measures.items():
            write_csv(folder / f"frontend_{part}.csv", table)
            draw_measures(table, folder / FIGURES / f"frontend_{part}.svg")
        if self.start is not None:
            with torch.no_grad():
                self._draw(self.start, folder / FIGURES)

    def _draw(self, start: Filters, folder: Path) -> None:
        rate = start.sample_rate
        if "window" in start.learned:
            draw_windows(*self._of_folds(lambda layer: layer.window()), rate, folder / "frontend_window.svg")
        if len(self.bins):
            draw_bins(self.bins, rate / start.n_fft, folder / "frontend_bins.svg")
        if "kernels" in start.learned:
            before, folds = self._of_folds(lambda layer: layer.filters())
            draw_change(before, folds, rate, folder / "frontend_change.svg")
            for transform, kernels in enumerate(before if "kernels" not in self.measures else []):
                suffix = f"_{transform + 1}" if len(before) > 1 else ""
                learned = {fold: filters[transform] for fold, filters in folds.items()}
                draw_kernels(kernels, learned, rate, folder / f"frontend_kernels{suffix}.svg")
        if "mel" in start.learned and "mel" not in self.measures:
            draw_mel(*self._of_folds(lambda layer: layer.mel and layer.mel()), rate, folder / "frontend_mel.svg")

    def lines(self) -> list[str]:
        """A line for a terminal; none if nothing is learned."""
        changes = [
            f"{what} changed by {self._range(name, 100, 2)} %"
            for name, what in self.titles.items()
            if self._values(name)
        ]
        for part, table in self.measures.items():
            changes += [change_text(part, measure, table) for measure in measures_in(table)]
        if self._values("center_drift_median_hz") and {"window_change", "kernel_change"} & self.titles.keys():
            drift = self._range("center_drift_median_hz", 1, 2)
            changes.append(f"centre frequencies drifted by {drift} Hz (median)")
        for name, what in (("dead_bins", "bins"), ("dead_mel_bands", "mel bands")):
            if any(self._values(name)):
                changes.append(f"{what} that fell silent: {self._range(name, 1, 3)}")
        return [f"front end: {', '.join(changes)}"] if changes else []

    def _values(self, name: str) -> list[float]:
        """Mean over folds of a number, of every transform."""
        return [value for key, value in self.mean.items() if key.split("/")[-1] == name]

    def _range(self, name: str, factor: float, n_digits: int) -> str:
        """A number as text, from the least to the most changed transform."""
        texts = [rounded(factor * value, n_digits) for value in sorted(self._values(name))]
        return texts[0] if texts[0] == texts[-1] else f"{texts[0]} to {texts[-1]}"

    def _window(self) -> pd.DataFrame:
        """See the attribute `window`."""
        columns: dict[str, Any] = {"time_ms": [], "start": [], "learned": []}
        if self.start is not None and "window" in self.start.learned:
            with torch.no_grad():
                start, folds = self._of_folds(lambda layer: layer.window())
            columns["time_ms"] = np.arange(self.start.win_length) * 1000 / self.start.sample_rate
            for transform, window in enumerate(start):
                suffix = f"_{transform + 1}" if transform else ""
                columns[f"start{suffix}"] = window
                columns[f"learned{suffix}"] = np.mean([windows[transform] for windows in folds.values()], axis=0)
        return pd.DataFrame(columns)

    def _of_folds(self, what: Callable[[Filters], Tensor | None]) -> tuple[Array, dict[int, Array]]:
        """A tensor of the layer at its start, and of each fold's."""
        assert self.start is not None
        return _array(what(self.start)), {fold: _array(what(layer)) for fold, layer in self.layers.items()}


def _array(tensor: Tensor | None) -> Array:
    assert tensor is not None
    return tensor.detach().numpy()
