"""Files that a user gives: read in bounded time and memory, whatever they are."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BufferedReader, FileIO
from pathlib import Path

__all__ = ["MOST_TABLE_BYTES", "open_regular", "read_source"]

MOST_TABLE_BYTES = 2**28  # of a table of text: some two million rows
KINDS = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}


PATIENCE_S, POLL_S = 1.0, 0.02  # for somebody to open a pipe to write


def _without_waiting(path: str, flags: int) -> int:
    """Open a pipe even where nobody writes to it."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


@contextmanager
def _open(path: Path, allowed: Sequence[int]) -> Iterator[FileIO]:
    """Open what is of an allowed kind, as `stat` has it."""
    try:
        file = open(path, "rb", buffering=0, opener=_without_waiting)  # noqa: SIM115 - closed below
    except ValueError:  # a NUL in its name
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path)) from None
    with file:
        kind = stat.S_IFMT(os.fstat(file.fileno()).st_mode)
        if kind not in allowed:
            raise OSError(errno.EINVAL, f"{KINDS.get(kind, 'no file')} where a file is needed", str(path))
        yield file


@contextmanager
def open_regular(path: Path) -> Iterator[BufferedReader[FileIO]]:
    """Open a file to read; a pipe or a device may never end, and is refused.

    Raises
    ------
    OSError
        It is missing, cannot be opened, or is no regular file.
    """
    with _open(path, [stat.S_IFREG]) as file, BufferedReader(file) as buffered:
        yield buffered


def read_source(path: Path, most_bytes: int) -> bytes:
    """Content of a regular file, or what somebody writes to a pipe, such as that of a shell's `<(command)`.

    Raises
    ------
    OSError
        There is no such file, it cannot be opened, is none, has more than `most_bytes`, or is a pipe that nobody writes
        to.
    """
    with _open(path, [stat.S_IFREG, stat.S_IFIFO]) as file:
        content = _begun(file, path) if stat.S_ISFIFO(os.fstat(file.fileno()).st_mode) else b""
        os.set_blocking(file.fileno(), True)
        with BufferedReader(file) as buffered:
            content += buffered.read(most_bytes + 1 - len(content))
    if len(content) > most_bytes:
        raise OSError(errno.EFBIG, f"more than {most_bytes} bytes", str(path))
    return content


def _begun(pipe: FileIO, path: Path) -> bytes:
    """What comes first out of a pipe, which gives None while its writer waits, and nothing where there is no writer."""
    until = time.monotonic() + PATIENCE_S
    while (content := pipe.read(1)) == b"":
        if time.monotonic() > until:
            raise OSError(errno.EINVAL, "a pipe that nobody writes to", str(path))
        time.sleep(POLL_S)
    return content or b""
