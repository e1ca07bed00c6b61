"""Tables of clips, folds and scores: their columns and order, who trains and tests, and checks against leakage."""

from adaspec.tables.columns import CLIP_COLUMNS, FOLD_COLUMNS
from adaspec.tables.labels import BONAFIDE, ROLES, SPOOF, SUBSETS
from adaspec.tables.stored import labelled_rows, read_asv_scores, read_clips, read_folds

__all__ = [
    "BONAFIDE",
    "CLIP_COLUMNS",
    "FOLD_COLUMNS",
    "ROLES",
    "SPOOF",
    "SUBSETS",
    "labelled_rows",
    "read_asv_scores",
    "read_clips",
    "read_folds",
]
