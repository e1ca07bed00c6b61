"""Processes that nobody waits for end themselves, so that the run that takes over has the machine to itself."""

from __future__ import annotations

import multiprocessing
import os

__all__ = ["ParentWatch", "end_if_forsaken"]


def end_if_forsaken() -> None:
    """End this worker of `run_tasks` at once if the process that it works for has ended."""
    parent = multiprocessing.parent_process()
    if parent is not None and not parent.is_alive():
        os._exit(1)


class ParentWatch:
    """Notices that the process that started this one, such as DVC, was killed."""

    def __init__(self) -> None:
        self.parent = os.getppid()

    def end_if_orphaned(self) -> None:
        """End this process at once if its parent has changed since."""
        if os.getppid() != self.parent:
            os._exit(1)
