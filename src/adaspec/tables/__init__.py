"""Tables of clips, folds and scores: their columns and order, who trains and tests, and checks against leakage."""

from adaspec.tables.columns import CLIP_COLUMNS, FOLD_COLUMNS, VERIFICATION_COLUMNS
from adaspec.tables.labels import BONAFIDE, ENROLMENT, OFFICIAL_ROLE, ROLES, SPOOF, SUBSETS, TRIAL, VERIFICATION
from adaspec.tables.stored import (
    labelled_rows,
    read_asv_scores,
    read_clips,
    read_folds,
    read_verification_trials,
    training_rows,
    trial_rows,
)

__all__ = [
    "BONAFIDE",
    "CLIP_COLUMNS",
    "ENROLMENT",
    "FOLD_COLUMNS",
    "OFFICIAL_ROLE",
    "ROLES",
    "SPOOF",
    "SUBSETS",
    "TRIAL",
    "VERIFICATION",
    "VERIFICATION_COLUMNS",
    "labelled_rows",
    "read_asv_scores",
    "read_clips",
    "read_folds",
    "read_verification_trials",
    "training_rows",
    "trial_rows",
]
