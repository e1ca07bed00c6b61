"""A folder per class: `root/LABEL/**/*.wav` (or .flac, .ogg, .mp3, .aiff, .au, .opus).

Files that are hidden or have another suffix are passed over. Every clip is a group of its own: where several clips
come from one recording or speaker, say so in a manifest instead, or a fold may test on what it trained on.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from adaspec.audio import AUDIO_SUFFIXES
from adaspec.config import DatasetConfig
from adaspec.datasets.contract import Dataset
from adaspec.errors import InputError
from adaspec.runtime.text import is_printable

__all__ = ["DATASET", "read"]


def read(root: Path, config: DatasetConfig) -> pd.DataFrame:
    """List the audio files below each class folder of `root`."""
    if not root.is_dir():
        raise InputError(f"dataset.root={root} is not a folder; it must hold one folder per class")
    rows = []
    for label_folder in sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")):
        for path in sorted(label_folder.rglob("*")):
            relative = path.relative_to(root)
            hidden = any(part.startswith(".") for part in relative.parts)
            if not is_printable(str(relative)):
                raise InputError(
                    f"{root}: the file name {str(relative)!a} holds a control character or a byte that is not UTF-8; "
                    "rename it"
                )
            if path.suffix.lower() in AUDIO_SUFFIXES and not hidden and not path.is_dir():
                rows.append({"path": relative.as_posix(), "label": label_folder.name})
    if not rows:
        raise InputError(
            f"dataset.root={root} has no class folder with audio files; expected {root}/LABEL/FILE with a suffix of "
            f"{', '.join(sorted(AUDIO_SUFFIXES))}"
        )
    return pd.DataFrame(rows).assign(group="", fold="", subset="")


DATASET = Dataset(
    title="A folder per class",
    licence="your own: that of the recordings",
    citation="Your own recordings, or those that you were given: cite whoever made them.",
    read=read,
)
