"""What figures of learned front ends share: panels, a line per fold over the start, decibels."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

__all__ = ["START", "decibels", "draw_lines", "legend", "panels", "titled"]

Array = npt.NDArray[np.floating]

START: dict[str, Any] = {"color": "0.7", "linewidth": 2.5, "label": "start"}


def panels(n_rows: int, n_columns: int, width: float, height: float) -> tuple[Figure, list[list[Axes]]]:
    """A figure and its rows of panels, each so wide and high (inches)."""
    figure = Figure(figsize=(width * n_columns, height * n_rows), layout="constrained")
    return figure, figure.subplots(n_rows, n_columns, squeeze=False).tolist()


def legend(figure: Figure, axes: Axes, markerscale: float = 3) -> None:
    """Put the legend of one panel beside all of them, its dots so many times larger."""
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper", fontsize=8, markerscale=markerscale)


def draw_lines(
    axes: Axes, x: Array, start: Array, folds: dict[int, Array], mean: Array, *, above: float | None = None
) -> None:
    """Draw the folds' lines and their mean over the start's; that as an area where the value below it is given."""
    if above is None:
        axes.plot(x, start, **START)
    else:
        axes.fill_between(x, above, np.maximum(start, above), color="0.8", linewidth=0, label="start")
    for fold, values in folds.items():
        axes.plot(x, values, linewidth=0.8, alpha=0.7, label=f"fold {fold}")
    axes.plot(x, mean, color="black", linewidth=1.2, label="mean")
    axes.grid(alpha=0.3)


def decibels(power: Array, reference: float | None = None) -> Array:
    """10 log10 of power over a reference, its own peak by default; where both are zero, far below every axis."""
    reference = float(power.max()) if reference is None else reference
    tiny = float(np.finfo(np.float32).tiny)
    return 10 * np.log10(np.maximum(power, tiny) / max(reference, 1e20 * tiny))


def titled(title: str, transform: int, n_transforms: int) -> str:
    """A panel's title, which tells the transform where there are several."""
    return title if n_transforms == 1 else f"{title}, transform {transform + 1}"
