"""The run's figures, made part of a page: its colours, and nothing that a page must fetch."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Drawing", "drawings"]

# Name of a figure -> its title and the section of the page; what is not listed here comes last, by its name.
TITLES = {
    "curves": ("Learning curves", "training"),
    "confusion": ("Confusion", "classes"),
    "det": ("Detection error trade-off", "detection"),
    "scores": ("Scores of both kinds, and of each attack", "detection"),
    "costs": ("Costs against the threshold", "detection"),
    "attacks": ("EER of each attack", "detection"),
    "calibration": ("Calibration", "detection"),
    "changes": ("Score after each change", "robustness"),
    "severities": ("Score against severity", "robustness"),
    "gradient": ("Attacks that follow the gradient, and random noise", "robustness"),
    "verification_det": ("Speaker verification: error trade-off", "detection"),
    "verification_plane": ("Trials by both scores", "detection"),
    "verification_attacks": ("Blended scores of each attack", "detection"),
}
LEARNED = "frontend_"
FACES = re.compile(r'(<path [^>]*style="fill: )#ffffff')


@dataclass(frozen=True)
class Drawing:
    """A figure of the page.

    Attributes
    ----------
    name, title, section : str
    svg : str
        An element to be put in a page: black is the page's own colour there, white paper is left out.
    """

    name: str
    title: str
    section: str
    svg: str


def drawings(folder: Path) -> list[Drawing]:
    """All SVG files of a folder, in the order of the page."""
    order = list(TITLES)
    paths = sorted(folder.glob("*.svg"), key=lambda path: (order.index(path.stem) if path.stem in order else 99, path))
    return [_drawing(path) for path in paths]


def _drawing(path: Path) -> Drawing:
    text = path.read_text(encoding="utf-8")
    svg = FACES.sub(r"\1none", text[text.index("<svg") :]).replace("#000000", "currentColor")
    words = path.stem.removeprefix(LEARNED).replace("_", " ")
    unlisted = (words.capitalize(), "learned" if path.stem.startswith(LEARNED) else "further")
    title, section = TITLES.get(path.stem, unlisted)
    return Drawing(path.stem, title, section, svg)
