"""Processes that nobody waits for end themselves, so that the run that takes over has the machine to itself."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["end_with_parent", "follow_parent"]

POLL_S = 0.2
PATIENCE_S = 10.0  # for a process that was told to end


@contextmanager
def end_with_parent() -> Iterator[None]:
    """End this process, as SIGTERM does, if the one that started it, such as DVC, ends before the block."""
    parent, over = os.getppid(), threading.Event()

    def watch() -> None:
        while not over.wait(POLL_S):
            if os.getppid() != parent:
                os.kill(os.getpid(), signal.SIGTERM)
                if not over.wait(PATIENCE_S):
                    os._exit(1)
                return

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
    try:
        yield
    finally:
        over.set()


def follow_parent() -> None:
    """Have this worker end at once when the process that it works for does, which also answers Ctrl-C for it."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
