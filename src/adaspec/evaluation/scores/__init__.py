"""Scores: named components that add up over clips, and values computed from their sums.

`SCORES` lists all of them by what they are computed from. A new score is an entry in the registry of its file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adaspec.evaluation.scores import calibration, classification, decisions, detection, likelihood, speaker_aware
from adaspec.evaluation.scores.contract import Score, Scored

__all__ = ["SCORES", "Score", "Scored"]

SCORES: dict[str, Mapping[str, Score[Any]]] = {
    "classification": classification.SCORES,
    "detection": detection.SCORES,
    "tandem": detection.TANDEM_SCORES,
    "steps": detection.STEP_SCORES,
    "calibration": calibration.SCORES,
    "decisions": decisions.SCORES,
    "likelihood": likelihood.SCORES,
    "speaker-aware": speaker_aware.SCORES,
}
