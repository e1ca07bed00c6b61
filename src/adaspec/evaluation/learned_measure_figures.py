"""A figure of what a part of the front end learned in physical units, whatever it measures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from adaspec.evaluation.learned_measures import CENTER, CHANGE, START, measures_in, quantity
from adaspec.evaluation.learned_panels import START as START_STYLE
from adaspec.evaluation.learned_panels import legend, panels, titled
from adaspec.runtime.figures import save_figure

__all__ = ["draw_measures"]

Array = npt.NDArray[Any]
Curve = tuple[Array, Array]  # x, y

WIDTH, HEIGHT = 5.4, 3.2  # of a panel, inches
WIDEST = 16.0  # of a figure
FEW = 65  # values, up to which each is marked
DECADE = 10.0  # values that span more are drawn logarithmically
REACH = 0.25  # to either side of a transform's number, over which its folds are spread


class _Panel(NamedTuple):
    """What is drawn, of the rows of one fold and transform."""

    title: str
    x: str
    y: str
    start: Callable[[pd.DataFrame], Curve]
    now: Callable[[pd.DataFrame], Curve]


def draw_measures(table: pd.DataFrame, path: Path) -> None:
    """Draw each measure of a part of the front end, a row per transform.

    Measures lie over the centre frequency that a band or bin has at the start; of this itself the change is drawn.
    Where bands have a width too, a panel shows how far neighbours are apart, which tells where they have crowded.
    Measures without centres lie over their index; single values of all transforms stand side by side.

    Parameters
    ----------
    table : DataFrame
        As of `measure_table`, with the column `fold`.
    path : Path
    """
    if table["index"].max() == 0:
        measures = measures_in(table)
        figure, [row] = panels(1, len(measures), min(WIDTH, WIDEST / len(measures)), HEIGHT)
        for measure, axes in zip(measures, row, strict=True):
            _draw_values(axes, measure, table)
        legend(figure, row[0], markerscale=1)
    else:
        shown, transforms = _panels(measures_in(table)), sorted(table["transform"].unique())
        figure, rows = panels(len(transforms), len(shown), min(WIDTH, WIDEST / len(shown)), HEIGHT)
        for position, (transform, row) in enumerate(zip(transforms, rows, strict=True)):
            for panel, axes in zip(shown, row, strict=True):
                _draw_curves(axes, panel, table[table["transform"] == transform])
                axes.set(title=titled(panel.title, position, len(transforms)), xlabel=panel.x, ylabel=panel.y)
        legend(figure, rows[0][0])
    save_figure(figure, path)


def _panels(measures: list[str]) -> list[_Panel]:
    placed = CENTER in measures
    place, x = (START + CENTER, "centre frequency at the start (Hz)") if placed else ("index", "index")

    def curve(column: str) -> Callable[[pd.DataFrame], Curve]:
        return lambda rows: (rows[place].to_numpy(), rows[column].to_numpy())

    def no_change(rows: pd.DataFrame) -> Curve:
        return rows[place].to_numpy(), np.zeros(len(rows))

    found = []
    for measure in measures:
        title, y = _named(measure)
        if measure == CENTER:
            found.append(_Panel(f"Change of the {title.lower()}", x, "change (Hz)", no_change, curve(CENTER + CHANGE)))
        else:
            found.append(_Panel(title, x, y, curve(START + measure), curve(measure)))
    if placed and "bandwidth_hz" in measures:
        title, x = "Distance of neighbours", "frequency between two centres (Hz)"
        found.append(_Panel(title, x, "distance (Hz)", _distances(START + CENTER), _distances(CENTER)))
    return found


def _distances(column: str) -> Callable[[pd.DataFrame], Curve]:
    def curve(rows: pd.DataFrame) -> Curve:
        centers = rows[column].to_numpy()
        return (centers[1:] + centers[:-1]) / 2, np.diff(centers)

    return curve


def _named(measure: str) -> tuple[str, str]:
    """A panel's title, and the label of its axis."""
    name, unit = quantity(measure)
    return name.capitalize(), f"{name} ({unit})" if unit else name


def _draw_curves(axes: Axes, panel: _Panel, rows: pd.DataFrame) -> None:
    """A line per fold, and that of their mean, over the start."""
    mean = rows.groupby("index", as_index=False).mean()
    curves = {f"fold {fold}": panel.now(group) for fold, group in rows.groupby("fold")}
    marker = "." if len(mean) <= FEW else ""
    axes.plot(*panel.start(mean), **START_STYLE)
    for label, (x, y) in curves.items():
        axes.plot(x, y, linewidth=0.8, alpha=0.7, marker=marker, markersize=3, label=label)
    axes.plot(*panel.now(mean), color="black", linewidth=1.2, label="mean")
    axes.grid(alpha=0.3)
    xs, ys = (np.concatenate(each) for each in zip(panel.start(mean), *curves.values(), strict=True))
    if panel.x == "index":
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    elif _spans_decades(xs):
        axes.set_xscale("log")
        _plain(axes.xaxis, (1.0,))
    if _spans_decades(ys):
        axes.set_yscale("log")
        _plain(axes.yaxis, (1.0, 2.0, 5.0))


def _draw_values(axes: Axes, measure: str, table: pd.DataFrame) -> None:
    """A dot per fold, and a bar for their mean, beside one for the start; transform by transform."""
    folds, groups = sorted(table["fold"].unique()), table.groupby("transform")
    ends = [(transform - REACH, transform + REACH) for transform in sorted(table["transform"].unique())]
    left, right = zip(*ends, strict=True)
    axes.hlines(groups[START + measure].first(), left, right, **START_STYLE)
    for fold, offset in zip(folds, np.linspace(-REACH, REACH, len(folds) + 2)[1:-1], strict=True):
        rows = table[table["fold"] == fold]
        axes.plot(rows["transform"] + offset, rows[measure], "o", markersize=5, label=f"fold {fold}")
    axes.hlines(groups[measure].mean(), left, right, color="black", linewidth=1.2, label="mean")
    title, y = _named(measure)
    axes.set(title=title, ylabel=y, xlim=(left[0] - REACH, right[-1] + REACH))
    names = [f"transform {number + 1}" for number in range(len(ends))] if len(ends) > 1 else [""]
    axes.set_xticks(range(1, len(ends) + 1), names)
    axes.grid(alpha=0.3)


def _spans_decades(values: Array) -> bool:
    return bool(values.min() > 0 and values.max() > DECADE * values.min())


def _plain(axis: Axis, marked: tuple[float, ...]) -> None:
    """Mark a logarithmic axis at these multiples of powers of ten, in plain numbers."""
    axis.set_major_locator(LogLocator(subs=marked))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())
