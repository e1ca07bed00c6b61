"""Names that tables and rooms share: official parts and roles of clips, labels of anti-spoofing."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = [
    "BONAFIDE",
    "ENROLMENT",
    "OFFICIAL_ROLE",
    "ROLES",
    "SPOOF",
    "SUBSETS",
    "TRIAL",
    "VERIFICATION",
    "of_spoofing",
]

SUBSETS = ("train", "dev", "eval")  # official parts, in clips.csv; '' = none
ROLES = ("train", "validation", "test")  # in folds.csv
OFFICIAL_ROLE = dict(zip(SUBSETS, ROLES, strict=True))
BONAFIDE, SPOOF = "bonafide", "spoof"  # labels of anti-spoofing
# Column `use` of clips.csv, where a data set enrols speakers: what folds are made of; what enrols its `speaker`; bona
# fide speech of verification trials alone, which is in no fold.
TRIAL, ENROLMENT, VERIFICATION = "trial", "enrolment", "verification"


def of_spoofing(labels: Iterable[str]) -> bool:
    """Whether these labels ask for anti-spoofing: they are bonafide and spoof."""
    return sorted(labels) == [BONAFIDE, SPOOF]
