"""Figures that several reports have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from adaspec.runtime.figures import save_figure

__all__ = ["FIGURES", "draw_confusion", "draw_curves", "shade_confusion"]

FIGURES = "figures"  # folder of SVG files beside a report's tables


def draw_confusion(confusion: npt.NDArray[np.int64], labels: list[str], path: Path) -> None:
    """Draw a confusion matrix, shaded by the share of each true class.

    Parameters
    ----------
    confusion : ndarray of shape (n_classes, n_classes)
        Rows true, columns predicted.
    labels : list of str
    path : Path
    """
    n_classes = len(labels)
    side = 2.5 + 0.42 * n_classes if n_classes <= 20 else 11
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    axes = figure.add_subplot()
    size = 9 if n_classes <= 20 else 5
    image = shade_confusion(axes, confusion, labels, count_size=size, label_size=size)
    axes.set(xlabel="predicted", ylabel="true", title="Test clips of all folds")
    figure.colorbar(image, ax=axes, label="share of the true class", shrink=0.8)
    save_figure(figure, path)


def shade_confusion(
    axes: Axes, confusion: npt.NDArray[np.int64], labels: list[str], *, count_size: float, label_size: float
) -> AxesImage:
    """Draw a confusion matrix into a panel: shares of each true class as shades, counts as text.

    Parameters
    ----------
    axes : Axes
    confusion : ndarray of shape (n_classes, n_classes)
        Rows true, columns predicted.
    labels : list of str
    count_size, label_size : float
        Font sizes in points.

    Returns
    -------
    AxesImage
        For a colour bar.
    """
    share = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for row, column in zip(*np.nonzero(confusion), strict=True):
        colour = "white" if share[row, column] > 0.6 else "#111111"  # of its own in pages whose ink is not black
        text = str(confusion[row, column])
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=count_size)
    axes.set_xticks(range(len(labels)), labels, rotation=90, fontsize=label_size, parse_math=False)
    axes.set_yticks(range(len(labels)), labels, fontsize=label_size, parse_math=False)
    return image


def draw_curves(histories: dict[int, pd.DataFrame], path: Path) -> None:
    """Draw training and validation loss and validation accuracy over epochs, a line per fold and their mean.

    Parameters
    ----------
    histories : dict of int to DataFrame
        Fold -> rows of `read_history`.
    path : Path
    """
    names = ["train_loss", "validation_loss", "validation_accuracy"]
    titles = [name for name in names if all(name in history for history in histories.values())]
    figure = Figure(figsize=(4.2 * len(titles), 3.4), layout="constrained")
    panels = figure.subplots(1, len(titles), squeeze=False)[0]
    for axes, name in zip(panels, titles, strict=True):
        for fold, history in histories.items():
            known = history.dropna(subset=name)  # not every epoch is validated
            axes.plot(known["epoch"], known[name], linewidth=0.8, alpha=0.7, label=f"fold {fold}")
        mean = pd.concat(histories.values()).groupby("epoch")[name].mean().dropna()
        axes.plot(mean.index, mean, color="black", linewidth=1.8, label="mean")
        axes.set(title=name.replace("_", " "), xlabel="epoch")
        axes.grid(alpha=0.3)
    panels[0].legend(fontsize=8)
    save_figure(figure, path)
