"""Names that tables and rooms share: official parts and roles of clips, labels of anti-spoofing."""

from __future__ import annotations

__all__ = ["BONAFIDE", "ROLES", "SPOOF", "SUBSETS"]

SUBSETS = ("train", "dev", "eval")  # official parts, in clips.csv; '' = none
ROLES = ("train", "validation", "test")  # in folds.csv
BONAFIDE, SPOOF = "bonafide", "spoof"  # labels of anti-spoofing
