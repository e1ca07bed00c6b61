"""Who works on a study on this machine: a folder with a lock for each worker, and how one is told to stop."""

from __future__ import annotations

import shutil
import signal
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import filelock

__all__ = ["Stopped", "has_ended", "presence", "stopped_by_signals"]

LOCK = "lock"


class Stopped(BaseException):
    """SIGINT or SIGTERM: no error of the trial, and not KeyboardInterrupt, upon which Lightning exits."""


@contextmanager
def presence(workers: Path) -> Iterator[Path]:
    """Give a worker a folder of its own below `workers`; the lock in it is held as long as the worker lives."""
    folder = workers / uuid.uuid4().hex
    begun = folder.with_name(f".{folder.name}")
    begun.mkdir(parents=True)
    try:
        # Under its final name others find it locked.
        with filelock.FileLock(begun / LOCK):
            begun.rename(folder)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def has_ended(folder: Path) -> bool:
    """Whether the worker of this repository that had the folder has ended; not if there is no such worker here."""
    lock = folder / LOCK
    if not lock.exists():
        return False
    try:
        with filelock.FileLock(lock, timeout=0):
            return True
    except OSError:  # held, or taken away by another worker that found it free
        return False


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Raise `Stopped` where SIGINT or SIGTERM comes while the block runs."""

    def stop(*_: Any) -> None:
        raise Stopped

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
