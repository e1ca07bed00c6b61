"""How the labels are spread over the roles, as a figure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from adaspec.runtime.figures import save_figure
from adaspec.tables.labels import ROLES
from adaspec.tables.stored import labelled_rows

__all__ = ["draw_balance"]


def draw_balance(folds: pd.DataFrame, clips: pd.DataFrame, path: Path) -> None:
    """Draw how many clips of each label every role has, as mean over folds.

    Parameters
    ----------
    folds, clips : DataFrame
        folds.csv and clips.csv.
    path : Path
    """
    used = labelled_rows(clips, folds)
    counts = used.groupby(["label", "role"])["weight"].sum().unstack(fill_value=0) / used["fold"].nunique()
    roles = [role for role in ROLES if role in counts]
    figure = Figure(figsize=(6.4, 1.2 + 0.2 * len(roles) * len(counts)), layout="constrained")
    axes = figure.add_subplot()
    for index, role in enumerate(roles):
        rows = np.arange(len(counts)) + (index - (len(roles) - 1) / 2) * 0.8 / len(roles)
        bars = axes.barh(rows, counts[role], height=0.8 / len(roles), label=role)
        axes.bar_label(bars, fmt="%.4g", fontsize=7, padding=2)
    axes.set_yticks(range(len(counts)), list(counts.index), parse_math=False)
    axes.invert_yaxis()
    axes.set(xlabel="clips, as often as they are used (mean over folds)")
    axes.margins(x=0.08)
    axes.legend(fontsize=8)
    save_figure(figure, path)
