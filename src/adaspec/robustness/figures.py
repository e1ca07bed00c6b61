"""Figures of changed clips: one map of all changes, a curve for each."""

from __future__ import annotations

import math
from collections.abc import Collection
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from adaspec.attributes import ATTRIBUTES
from adaspec.robustness.asked import CLEAN, LEVELS
from adaspec.robustness.gradient import GRADIENT
from adaspec.runtime.figures import save_figure

__all__ = ["draw_curves", "draw_gradient", "draw_map"]

N_COLUMNS = 4  # of panels


def draw_map(conditions: pd.DataFrame, score: str, defended: Collection[str], path: Path) -> None:
    """Draw the score of every change and level as shades and numbers, the most harmful change first.

    Parameters
    ----------
    conditions : DataFrame
        Of `Measures`.
    score : str
    defended : collection of str
        Changes that were part of training; they are marked.
    path : Path
    """
    cells = conditions[conditions["change"].isin(ATTRIBUTES)].pivot(index="change", columns="level", values=score)
    clean = float(conditions.loc[conditions["change"] == CLEAN, score].iloc[0])
    cells = cells.loc[(cells.mean(axis=1) - clean).abs().sort_values(ascending=False, kind="stable").index]
    figure = Figure(figsize=(6.4, 1.6 + 0.34 * len(cells)), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(cells, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), value in np.ndenumerate(cells.to_numpy()):
        colour = "white" if value > 0.6 else "#111111"  # of its own in pages whose ink is not black
        axes.text(column, row, f"{value:.2f}", ha="center", va="center", color=colour, fontsize=8)
    axes.set_xticks(range(len(LEVELS)), [f"level {level}" for level in LEVELS])
    marked = [f"{name} *" if name in defended else name for name in cells.index]
    axes.set_yticks(range(len(cells)), [name.replace("_", " ") for name in marked])
    note = ", * part of training" if set(cells.index) & set(defended) else ""
    axes.set_title(f"{score.replace('_', ' ')}; clips as they are {clean:.3f}{note}", fontsize=10)
    figure.colorbar(image, ax=axes, label=score.replace("_", " "), shrink=0.8)
    save_figure(figure, path)


def draw_curves(conditions: pd.DataFrame, score: str, path: Path) -> None:
    """Draw the score of each attribute against its severity, with 95 % intervals and that of the clips as they are."""
    names = [name for name in ATTRIBUTES if (conditions["change"] == name).any()]
    n_rows = math.ceil(len(names) / N_COLUMNS)
    n_columns = min(N_COLUMNS, len(names))
    figure = Figure(figsize=(2.6 * n_columns, 2.1 * n_rows), layout="constrained")
    panels = figure.subplots(n_rows, n_columns, squeeze=False, sharey=True).ravel()
    clean = float(conditions.loc[conditions["change"] == CLEAN, score].iloc[0])
    for axes, name in zip(panels, names, strict=False):
        own = conditions[conditions["change"] == name]
        axes.fill_between(own["level"], own["ci_low"], own["ci_high"], alpha=0.25, linewidth=0)
        axes.plot(own["level"], own[score], marker="o", markersize=3)
        axes.axhline(clean, color="gray", linewidth=0.8, linestyle="--")
        axes.set_xticks(list(LEVELS), [f"{severity:g}" for severity in ATTRIBUTES[name].severities], fontsize=7)
        axes.set_title(name.replace("_", " "), fontsize=9)
        axes.set_xlabel(ATTRIBUTES[name].unit, fontsize=7)
        axes.set_ylim(0, 1)
        axes.grid(alpha=0.3)
    for axes in panels[len(names) :]:
        axes.set_axis_off()
    for axes in panels[::n_columns]:
        axes.set_ylabel(score.replace("_", " "), fontsize=8)
    save_figure(figure, path)


def draw_gradient(conditions: pd.DataFrame, score: str, path: Path) -> None:
    """Draw the score against the signal-to-noise ratio of attacks, with random noise beside them."""
    figure = Figure(figsize=(5.2, 3.6), layout="constrained")
    axes = figure.add_subplot()
    for name in [name for name in GRADIENT if (conditions["change"] == name).any()]:
        own = conditions[conditions["change"] == name].sort_values("level")
        axes.fill_between(-own["change_db"], own["ci_low"], own["ci_high"], alpha=0.15, linewidth=0)
        axes.plot(-own["change_db"], own[score], marker="o", markersize=3, label=name.replace("_", " "))
    clean = float(conditions.loc[conditions["change"] == CLEAN, score].iloc[0])
    axes.axhline(clean, color="gray", linewidth=0.8, linestyle="--", label="clips as they are")
    axes.set(xlabel="signal-to-noise ratio of the perturbation, dB", ylabel=score.replace("_", " "), ylim=(0, 1))
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)
    save_figure(figure, path)
