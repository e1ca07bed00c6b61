"""Tables of clips, folds and scores: their columns and order, who trains and tests, and checks against leakage."""

from adaspec.tables.labels import BONAFIDE, ROLES, SPOOF
from adaspec.tables.stored import labelled_rows, read_asv_scores, read_clips, read_folds

__all__ = ["BONAFIDE", "ROLES", "SPOOF", "labelled_rows", "read_asv_scores", "read_clips", "read_folds"]
