"""Columns of the tables that the stages hand on, in their order, and the folder of those that come out."""

from __future__ import annotations

import pandas as pd

__all__ = [
    "CLIP_COLUMNS",
    "DETAILS",
    "FOLD_COLUMNS",
    "PREDICTED_COLUMNS",
    "VERIFICATION_COLUMNS",
    "labels_of",
    "score_column",
]

# clips.csv: a row per usable file; then what the data set adds, such as `speaker`, `attack` and `use`.
CLIP_COLUMNS = ("clip_id", "path", "digest", "label", "group", "fold", "subset", "n_samples", "sample_rate")
FOLD_COLUMNS = ("fold", "clip_id", "role", "weight")  # folds.csv
# verification_trials.csv: `speaker` is the claimed one, `key` target, nontarget or spoof.
VERIFICATION_COLUMNS = ("clip_id", "speaker", "key", "subset")
# predictions.csv: a row per test clip; speaker and attack where the data set tells them; then a column per label.
PREDICTED_COLUMNS = ("clip_id", "fold", "group", "speaker", "attack", "label", "predicted")
SCORE = "score_"
DETAILS = "details"  # folder below metrics with all but the headline


def score_column(label: str) -> str:
    """Column that holds the scores of a label."""
    return f"{SCORE}{label}"


def labels_of(table: pd.DataFrame) -> list[str]:
    """Labels that a table of predictions has scores of, in the order of its columns."""
    return [column.removeprefix(SCORE) for column in map(str, table) if column.startswith(SCORE)]
