"""Recordings that were judged most wrongly, to be listened to beside the scores."""

from __future__ import annotations

import logging
import re
import shutil
from pathlib import Path

import pandas as pd

__all__ = ["MOST_CLIPS", "WORST", "copy_worst", "outside"]

WORST = "worst_errors"  # folder of a run's artifacts
MOST_CLIPS = 10
MOST_BYTES = 20 * 2**20  # of all
LONGEST = 30  # characters of a label in a file's name

log = logging.getLogger(__name__)


def copy_worst(worst: pd.DataFrame, root: Path, folder: Path) -> None:
    """Copy recordings, as they are on the disk, into a folder; named by rank, label and what they were taken for.

    Parameters
    ----------
    worst : DataFrame
        `path` (relative to `root`), `label` and `predicted`; the worst first.
    root : Path
        What is not there any more is left out, and what is too large or lies outside.
    folder : Path
    """
    left = MOST_BYTES
    for rank, row in enumerate(worst.head(MOST_CLIPS).to_dict("records"), start=1):
        source = root / row["path"]
        try:
            size = source.stat().st_size
            if source.is_file() and size <= left and not outside(row["path"]):
                name = f"{rank:02}_{_plain(row['label'])}_taken_for_{_plain(row['predicted'])}{source.suffix}"
                shutil.copyfile(source, folder / name)
                left -= size
        except OSError as error:
            log.info("note: MLflow gets no copy of %s (%s)", source, error.strerror)


def outside(path: str) -> bool:
    """Whether a path may leave the folder that it is relative to."""
    return Path(path).is_absolute() or ".." in Path(path).parts


def _plain(label: str) -> str:
    """A label as part of a file's name, whatever it holds."""
    return re.sub(r"[^\w-]+", "-", label)[:LONGEST]
