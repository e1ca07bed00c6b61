"""Columns of the tables that the stages hand on, in their order."""

from __future__ import annotations

__all__ = ["CLIP_COLUMNS", "FOLD_COLUMNS"]

# clips.csv: a row per usable file; then what the data set adds, such as `speaker` and `attack`.
CLIP_COLUMNS = ("clip_id", "path", "digest", "label", "group", "fold", "subset", "n_samples", "sample_rate")
FOLD_COLUMNS = ("fold", "clip_id", "role", "weight")  # folds.csv
