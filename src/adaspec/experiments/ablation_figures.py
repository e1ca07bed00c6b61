"""Figures of the variants of an ablation side by side."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.figure import Figure

from adaspec.evaluation.figures import shade_confusion
from adaspec.evaluation.scores.classification import confusion_matrix
from adaspec.runtime.figures import save_figure
from adaspec.tables.columns import labels_of

__all__ = ["draw_confusions", "draw_curves", "draw_windows"]

N_COLUMNS = 4


def draw_curves(curves: dict[str, pd.DataFrame], path: Path) -> None:
    """Draw training loss, and validation loss and accuracy where there are any, a line per variant.

    Parameters
    ----------
    curves : dict of str to DataFrame
        Variant -> curves.csv: means over folds.
    path : Path
    """
    names = ["train_loss", "validation_loss", "validation_accuracy"]
    shown = [name for name in names if all(name in curve for curve in curves.values())]
    figure = Figure(figsize=(4.6 * len(shown) + 1.4, 3.8), layout="constrained")
    panels = figure.subplots(1, len(shown), squeeze=False)[0]
    for axes, name in zip(panels, shown, strict=True):
        for index, (variant, curve) in enumerate(curves.items()):
            known = curve.dropna(subset=name)  # not every epoch is validated
            style = "--" if variant.startswith("three") else "-"
            axes.plot(known["epoch"], known[name], style, color=colormaps["tab10"](index), label=variant, linewidth=1.5)
        axes.set(title=f"{name.replace('_', ' ')}, mean over folds", xlabel="epoch")
        axes.grid(alpha=0.3)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right center", fontsize=9)
    save_figure(figure, path)


def draw_confusions(predictions: dict[str, pd.DataFrame], path: Path) -> None:
    """Draw the confusion matrices of all variants, shaded by the share of each true class.

    Parameters
    ----------
    predictions : dict of str to DataFrame
        Variant -> predictions.csv.
    path : Path
    """
    labels = labels_of(next(iter(predictions.values())))
    n_rows = math.ceil(len(predictions) / N_COLUMNS)
    side = 1.6 + 0.22 * len(labels)
    figure = Figure(figsize=(min(N_COLUMNS, len(predictions)) * side + 1, n_rows * side), layout="constrained")
    panels = figure.subplots(n_rows, min(N_COLUMNS, len(predictions)), squeeze=False, sharex=True, sharey=True)
    for axes in panels.flat[len(predictions) :]:
        axes.set_visible(False)
    for index, (axes, (variant, table)) in enumerate(zip(panels.flat, predictions.items(), strict=False)):
        true, predicted = (pd.Categorical(table[column], labels).codes.astype(int) for column in ("label", "predicted"))
        confusion = confusion_matrix(true, predicted, len(labels))
        image = shade_confusion(axes, confusion, labels, count_size=6, label_size=7)
        axes.set_title(f"{variant}: {np.trace(confusion)} of {len(table)}", fontsize=10)
        # The panel below, which would carry the labels of the column, may be missing.
        axes.tick_params(labelbottom=index + N_COLUMNS >= len(predictions))
    figure.supxlabel("predicted", fontsize=10)
    figure.supylabel("true", fontsize=10)
    figure.colorbar(image, ax=panels, label="share of the true class", shrink=0.6)
    save_figure(figure, path)


def draw_windows(windows: dict[str, pd.DataFrame], path: Path) -> None:
    """Draw learned windows over those they started from, and below what changed; a line per transform.

    Parameters
    ----------
    windows : dict of str to DataFrame
        Variant -> frontend_window.csv, of the variants that learned windows: means over folds.
    path : Path
    """
    figure = Figure(figsize=(4.2 * len(windows), 5), layout="constrained")
    upper, lower = figure.subplots(2, len(windows), squeeze=False, sharex="col", sharey="row")
    for above, below, (variant, table) in zip(upper, lower, windows.items(), strict=True):
        suffixes = [column.removeprefix("learned") for column in map(str, table) if column.startswith("learned")]
        for index, suffix in enumerate(suffixes):
            start, learned, colour = table[f"start{suffix}"], table[f"learned{suffix}"], colormaps["tab10"](index)
            above.plot(table["time_ms"], start, color="0.75", linewidth=3, label="start" if not suffix else None)
            name = "learned" if len(suffixes) == 1 else f"transform {index + 1}"
            above.plot(table["time_ms"], learned, color=colour, linewidth=1.2, label=name)
            below.plot(table["time_ms"], learned - start, color=colour, linewidth=1.2)
        above.set_title(variant, fontsize=11)
        above.legend(fontsize=8)
        below.set_xlabel("time (ms)")
        for axes in (above, below):
            axes.grid(alpha=0.3)
    upper[0].set_ylabel("window, mean over folds")
    lower[0].set_ylabel("learned - start")
    save_figure(figure, path)
