"""What records runs: whatever happens to it costs a warning, never a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import adaspec
from adaspec.tracking.outcome import Outcome

__all__ = ["Origin", "RunTracker", "StudyTracker"]


@dataclass(frozen=True)
class Origin:
    """Where a run comes from.

    Attributes
    ----------
    commit : str or None
        That was checked out.
    experiment : str
        Name of the DVC experiment, "" where it was none.
    package : Path
        Source of adaspec that it ran.
    """

    commit: str | None = None
    experiment: str = ""
    package: Path = field(default_factory=lambda: Path(adaspec.__file__).parent)


class RunTracker(Protocol):
    """The record of one pipeline run, begun by training and completed by evaluation."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    def log_epochs(self, fold: int, history: Sequence[dict[str, float]]) -> None:
        """Log the epochs of a fold that are not logged yet; `history` begins with the first."""

    def complete(self, outcome: Outcome) -> None:
        """Log what came out that is not logged yet, and close the run."""

    def attach(self, outcome: Outcome, artifact: Path, scores: Mapping[str, float]) -> None:
        """Keep a file or folder that was made since, and scores, with the complete record of this outcome, if any."""

    def holds(self, outcome: Outcome) -> bool:
        """Whether there is a complete record of this outcome, of this experiment if it was one.

        Raises
        ------
        InputError
            The store cannot be read.
        """


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
