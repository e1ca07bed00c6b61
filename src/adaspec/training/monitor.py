"""Follow all folds from their histories: a live line per fold on a terminal, plain lines in a log file.

The histories are files, so it makes no difference whether a fold runs in this process, another one or elsewhere.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from adaspec.models.history import read_history
from adaspec.runtime.progress import format_seconds, stderr_is_terminal

__all__ = ["FoldMonitor"]

log = logging.getLogger(__name__)

POLL_S = 0.5
LOG_LINES = 6  # lines per fold in a log file

Rows = list[dict[str, float]]


class FoldMonitor:
    """Context that reports on folds while they train.

    Parameters
    ----------
    folders : dict of int to Path
        Where each fold writes its history.
    n_epochs : int
    on_rows : callable (fold, rows)
        Told all rows of a fold whenever it has new ones; called from the monitor's thread.
    """

    def __init__(self, folders: dict[int, Path], n_epochs: int, on_rows: Callable[[int, Rows], None]) -> None:
        self.folders, self.n_epochs, self.on_rows = folders, n_epochs, on_rows
        self.rows: dict[int, Rows] = {fold: [] for fold in folders}
        self.first_seen: dict[int, tuple[float, int]] = {}  # fold -> (when, epochs done by then): for the ETA
        self.interval = max(1, n_epochs // LOG_LINES)
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._follow, name="fold-monitor", daemon=True)
        self.live = Live(console=Console(stderr=True), auto_refresh=False) if stderr_is_terminal() else None

    def __enter__(self) -> Self:
        if self.live:
            self.live.start()
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop.set()
        self.thread.join()
        if self.live:
            self.live.stop()

    def _follow(self) -> None:
        while not self.stop.wait(POLL_S):
            self._look()
        self._look()
        for fold, rows in self.rows.items():
            if self.live is None and 0 < len(rows) < self.n_epochs:  # stopped early, or broken off
                log.info("fold %s  %s  last epoch", fold, "  ".join(self._cells(fold)[:-1]))

    def _look(self) -> None:
        for fold, folder in self.folders.items():
            known, rows = len(self.rows[fold]), read_history(folder)
            if len(rows) == known:
                continue
            self.first_seen.setdefault(fold, (time.monotonic(), len(rows)))
            self.rows[fold] = rows
            crossed = known // self.interval != len(rows) // self.interval or len(rows) == self.n_epochs
            if self.live is None and crossed:
                log.info("fold %s  %s", fold, "  ".join(self._cells(fold)))
            self.on_rows(fold, rows)
        if self.live:
            table = Table.grid(padding=(0, 2))
            for fold in self.folders:
                table.add_row(f"fold {fold}", *(self._cells(fold) if self.rows[fold] else ["waiting"]))
            self.live.update(table, refresh=True)

    def _cells(self, fold: int) -> list[str]:
        rows = self.rows[fold]
        row = rows[-1]
        cells = [f"epoch {len(rows):>3}/{self.n_epochs}", f"loss {row['train_loss']:.3f}"]
        validated = [row for row in rows if "validation_accuracy" in row][-1:]  # which may be some epochs ago
        cells += [
            f"validation loss {row['validation_loss']:.3f} accuracy {row['validation_accuracy']:.3f}"
            for row in validated
        ]
        since, before = self.first_seen[fold]
        if len(rows) == self.n_epochs:
            cells.append("done")
        elif len(rows) > before:
            remaining_s = (time.monotonic() - since) / (len(rows) - before) * (self.n_epochs - len(rows))
            cells.append(f"ETA {format_seconds(remaining_s)}")
        return cells
