"""A folder per class: `root/LABEL/**/*.wav` (or .flac, .ogg, .mp3, .aiff, .au, .opus).

Files that are hidden or have another suffix are passed over, and counted; a class that has only such of other audio
formats is refused. Every clip is a group of its own: where several clips come from one recording or speaker, say so in
a manifest instead, or a fold may test on what it trained on.
"""

from __future__ import annotations

import logging
from collections import Counter
from pathlib import Path

import pandas as pd

from adaspec.audio import AUDIO_SUFFIXES
from adaspec.config import DatasetConfig
from adaspec.datasets.contract import Dataset
from adaspec.datasets.labels import is_part
from adaspec.datasets.passed_over import PassedOver
from adaspec.errors import InputError
from adaspec.runtime.text import is_printable

__all__ = ["DATASET", "read"]

log = logging.getLogger(__name__)


def read(root: Path, config: DatasetConfig) -> pd.DataFrame:
    """List the audio files below each class folder of `root`."""
    if not root.is_dir():
        raise InputError(f"dataset.root={root} is not a folder; it must hold one folder per class")
    rows, passed_over = [], PassedOver(root)
    label_folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    for label_folder in label_folders:
        for path in sorted(label_folder.rglob("*")):
            relative = path.relative_to(root)
            hidden = any(part.startswith(".") for part in relative.parts)
            if not is_printable(str(relative)):
                raise InputError(
                    f"{root}: the file name {str(relative)!a} holds a control character, an end of a line or a byte "
                    "that is not UTF-8; rename it"
                )
            if hidden or path.is_dir():
                continue
            is_audio = path.suffix.lower() in AUDIO_SUFFIXES
            passed_over.count(label_folder.name, path, read=is_audio)
            if is_audio:
                rows.append({"path": relative.as_posix(), "label": label_folder.name})
    passed_over.tell([folder.name for folder in label_folders])
    if not rows:
        raise InputError(
            f"dataset.root={root} has no class folder with audio files; expected {root}/LABEL/FILE with a suffix of "
            f"{', '.join(sorted(AUDIO_SUFFIXES))}"
        )
    _tell_parts(root, [row["path"] for row in rows])
    return pd.DataFrame(rows).assign(group="", fold="", subset="")


def _tell_parts(root: Path, paths: list[str]) -> None:
    """Say where clips lie that look as if they had a part, yet have none, or a class, yet have none."""
    below = Counter(path.split("/")[1] for path in paths if path.count("/") > 1)
    parts = [f"{name} ({n} clips)" for name, n in sorted(below.items()) if is_part(name)]
    if len(parts) == len(below) > 1:
        log.warning(
            "%s: the folders %s below the classes are not taken for parts of the data; name the parts in the column "
            "subset of a manifest",
            *(root, ", ".join(parts)),
        )
    outside = sum(path.suffix.lower() in AUDIO_SUFFIXES and path.is_file() for path in root.iterdir())
    if outside:
        log.warning("%s: %s audio files lie beside the class folders and are passed over", root, outside)


DATASET = Dataset(
    title="A folder per class",
    licence="your own: that of the recordings",
    citation="Your own recordings, or those that you were given: cite whoever made them.",
    read=read,
)
