"""Ctrl-C and SIGTERM: one line and exit code 130, whether a command works or is still loading its modules."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["INTERRUPTED", "TOLD", "end_at_once", "raise_when_interrupted"]

INTERRUPTED = 130  # exit code after Ctrl-C, as shells have it
TOLD = "interrupted; the same command goes on from what is complete"
SIGNALS = (signal.SIGINT, signal.SIGTERM)


def end_at_once() -> None:
    """Until the work begins, let Ctrl-C and SIGTERM end this process: nothing is open that had to be closed.

    An exception would come out of half-loaded modules, of which some take it for a package that is missing and others
    drop it.
    """
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as of what a shell starts in the background
            signal.signal(number, _end)


@contextmanager
def raise_when_interrupted() -> Iterator[None]:
    """Let both raise KeyboardInterrupt, so that what was begun is closed; only a main thread can ask for that."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, _raise)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(signal_number: int, frame: FrameType | None) -> None:
    os.write(2, f"error: {TOLD}\n".encode())  # not by `logging`, which may be loading
    os._exit(INTERRUPTED)


def _raise(signal_number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
