"""Progress that moves on a terminal and reads well in a log file."""

from __future__ import annotations

import logging
import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

__all__ = ["ClipProgress", "format_seconds", "stderr_is_terminal"]

log = logging.getLogger(__name__)

LOG_INTERVAL_S = 10.0  # between lines of a log file


def stderr_is_terminal() -> bool:
    """Whether somebody watches, rather than a file."""
    return sys.stderr.isatty()


def format_seconds(seconds: float) -> str:
    """Seconds as 9s, 1m23s or 2h05m."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes}m{rest:02d}s" if minutes < 60 else f"{minutes // 60}h{minutes % 60:02d}m"


class ClipProgress:
    """A bar with clips/s and remaining time on a terminal; a line every ten seconds, and one at the end, elsewhere.

    Parameters
    ----------
    verb : str
        What is done to the clips, such as "reading".
    total : int
        Number of clips.
    unit : str
        What is counted, where it is not clips.
    after_s : float
        Nothing is shown of what takes no longer, in seconds.
    """

    def __init__(self, verb: str, total: int, unit: str = "clips", after_s: float = 0.0) -> None:
        self.verb, self.total, self.unit, self.after_s = verb, total, unit, after_s
        self.done = 0
        self.started = self.logged = time.monotonic()
        self.bar = Progress(
            TextColumn(verb),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn(f"{unit}  {{task.fields[rate]}} {unit}/s  ETA"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=not stderr_is_terminal(),
        )
        self.task = self.bar.add_task(verb, total=total, rate="-")

    def __enter__(self) -> Self:
        self._show()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.bar.stop()
        seconds = time.monotonic() - self.started
        if kind is None and self.bar.disable and seconds >= self.after_s:
            told = f"{self.verb}: {self.total} {self.unit} in {format_seconds(seconds)}, {self._rate()} {self.unit}/s"
            log.info("%s", told)

    def advance(self, n_clips: int) -> None:
        """Count `n_clips` more as done."""
        self.done += n_clips
        self._show()
        self.bar.update(self.task, advance=n_clips, rate=self._rate())
        now = time.monotonic()
        if self.bar.disable and now - self.logged >= LOG_INTERVAL_S and self.done < self.total:
            self.logged = now
            remaining_s = (now - self.started) / self.done * (self.total - self.done)
            told = f"{self.verb}: {self.done}/{self.total} {self.unit}, {self._rate()} {self.unit}/s"
            log.info("%s, ETA %s", told, format_seconds(remaining_s))

    def _show(self) -> None:
        if not self.bar.live.is_started and time.monotonic() - self.started >= self.after_s:
            self.bar.start()

    def _rate(self) -> str:
        return f"{self.done / max(time.monotonic() - self.started, 1e-9):.0f}"
