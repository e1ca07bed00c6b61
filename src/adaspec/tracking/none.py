"""No record at all, for who keeps none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from adaspec.tracking.outcome import Outcome

__all__ = ["NoRun", "NoStudy"]


class NoRun:
    """Leaves a run unrecorded; takes what a `RunTracker` takes."""

    def __init__(self, *_: object) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pass

    def log_epochs(self, fold: int, history: Sequence[dict[str, float]]) -> None:
        """Leave the epochs of a fold unrecorded."""

    def complete(self, outcome: Outcome) -> None:
        """Leave what came out unrecorded."""

    def attach(self, outcome: Outcome, artifact: Path, scores: Mapping[str, float]) -> None:
        """Leave the file unrecorded."""

    def holds(self, outcome: Outcome) -> bool:
        """There is nothing to add."""
        return True


class NoStudy:
    """Leaves a study unrecorded; takes what a `StudyTracker` takes."""

    def __init__(self, *_: object) -> None:
        pass

    def begin_trial(self, number: int, knobs: dict[str, Any]) -> None:
        """Leave a tuning trial unrecorded."""

    def log_epoch(self, number: int, step: int, value: float) -> None:
        """Leave how it stands unrecorded."""

    def end_trial(self, number: int, state: str, value: float | None = None, told: str = "") -> None:
        """Leave its end unrecorded."""

    def conclude(self, finished: bool, best: tuple[int, float, dict[str, Any]] | None = None) -> None:
        """Leave the study's end unrecorded."""
