"""Figures as SVG files: they show without a network, which the plots of DVC do not, and at every size."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["save_figure"]

# Text stays text, that can be searched and takes the fonts at hand; ids come from the content, not from chance.
STYLE: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "adaspec", "svg.image_inline": True}


def save_figure(figure: Figure, path: Path) -> None:
    """Save as SVG; equal figures are equal bytes. What would be thousands of shapes should be drawn rasterized."""
    from matplotlib import rc_context

    with rc_context(STYLE):
        figure.savefig(path, format="svg", dpi=120, metadata={"Creator": None, "Date": None})
