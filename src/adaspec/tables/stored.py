"""The tables that the stages hand on, read with their types."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from adaspec.runtime.files import read_csv
from adaspec.tables.labels import TRIAL

__all__ = [
    "data_digest",
    "labelled_rows",
    "read_asv_scores",
    "read_clips",
    "read_folds",
    "read_verification_trials",
    "training_rows",
    "trial_rows",
]


DIGESTED_ROWS = 2**16  # at a time, as text


def read_clips(path: Path) -> pd.DataFrame:
    """Read clips.csv: text, but integers for `n_samples` and `sample_rate`."""
    return read_csv(path, n_samples="int64", sample_rate="int64")


def read_folds(path: Path) -> pd.DataFrame:
    """Read folds.csv: text, but integers for `fold` and `weight`."""
    return read_csv(path, fold="int64", weight="int64")


def read_asv_scores(path: Path) -> pd.DataFrame:
    """Read asv_scores.csv: text, but a float for `score`."""
    return read_csv(path, score="float64")


def read_verification_trials(path: Path) -> pd.DataFrame:
    """Read verification_trials.csv, all of it text."""
    return read_csv(path)


def trial_rows(clips: pd.DataFrame) -> pd.DataFrame:
    """Rows of clips.csv that folds are made of: all, unless the data set enrols speakers."""
    return clips if "use" not in clips else clips[clips["use"] == TRIAL].reset_index(drop=True)


def data_digest(clips: pd.DataFrame, folds: pd.DataFrame) -> bytes:
    """SHA-256 of what training sees of the data: the clips' names, bytes and labels, who speaks, and the folds."""
    columns = [name for name in ("clip_id", "digest", "label", "speaker", "use") if name in clips]
    content = hashlib.sha256()
    for table in (clips[columns], folds):
        for start in range(0, max(len(table), 1), DIGESTED_ROWS):
            rows = table.iloc[start : start + DIGESTED_ROWS]
            content.update(rows.to_csv(index=False, header=start == 0).encode())
    return content.digest()


def labelled_rows(clips: pd.DataFrame, folds: pd.DataFrame, columns: Sequence[str] = ("label",)) -> pd.DataFrame:
    """Rows of folds.csv that count, each with the label of its clip, or with other columns of clips.csv."""
    return folds[folds["weight"] > 0].merge(clips[["clip_id", *columns]], on="clip_id")


def training_rows(clips: pd.DataFrame, folds: pd.DataFrame) -> pd.DataFrame:
    """Rows of folds.csv that count, with what training sees of their clips: `label`, and `speaker` where it is told."""
    return labelled_rows(clips, folds, [column for column in ("label", "speaker") if column in clips])
