"""Figures as PNG files: they show without a network, which the plots of DVC do not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["save_figure"]


def save_figure(figure: Figure, path: Path) -> None:
    """Save as PNG; equal figures are equal bytes."""
    figure.savefig(path, dpi=120, metadata={"Software": None})  # which would name a version
