"""Names that tables and rooms share: roles of clips, labels of anti-spoofing."""

from __future__ import annotations

__all__ = ["BONAFIDE", "ROLES", "SPOOF"]

ROLES = ("train", "validation", "test")  # in folds.csv
BONAFIDE, SPOOF = "bonafide", "spoof"  # labels of anti-spoofing
