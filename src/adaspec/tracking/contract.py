"""What records runs: whatever happens to it costs a warning, never a model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

__all__ = ["RunTracker", "StudyTracker"]


class RunTracker(Protocol):
    """The record of one pipeline run, begun by training and completed by evaluation."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    def log_epochs(self, fold: int, history: Sequence[dict[str, float]]) -> None:
        """Log the epochs of a fold that are not logged yet; `history` begins with the first."""

    def log_fold(
        self, fold: int, scores: dict[str, float], model: Path, learned: dict[str, float] | None = None
    ) -> None:
        """Log the test scores and the model of a fold, and in numbers what its front end learned."""

    def complete(
        self,
        summary: dict[str, dict[str, float]],
        artifacts: Sequence[Path],
        learned: dict[str, float] | None = None,
    ) -> None:
        """Log the summary over folds, figures and tables, and close the run."""


class StudyTracker(Protocol):
    """The record of a search: a run for the study, and one per tuning trial."""

    def begin_trial(self, number: int, knobs: dict[str, Any]) -> None:
        """Open the run of a trial, with the values that it tries."""

    def log_epoch(self, number: int, step: int, value: float) -> None:
        """Log how a trial stands."""

    def end_trial(self, number: int, state: str, value: float | None = None, told: str = "") -> None:
        """Close the run of a trial: "complete", "pruned", "failed" or "lost"; `told` says why it failed."""

    def conclude(self, finished: bool, best: tuple[int, float, dict[str, Any]] | None = None) -> None:
        """Close the study's run, with number, value and knobs of the best trial."""
