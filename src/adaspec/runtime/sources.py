"""Files that a user gives: read in bounded time and memory, whatever they are."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

__all__ = ["MOST_TABLE_BYTES", "open_regular", "read_source"]

MOST_TABLE_BYTES = 2**28  # of a table of text: some two million rows
KINDS = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}


def _without_waiting(path: str, flags: int) -> int:
    """Open a pipe even where nobody writes to it."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


@contextmanager
def open_regular(path: Path) -> Iterator[BinaryIO]:
    """Open a file to read; a pipe or a device may never end, and is refused.

    Raises
    ------
    OSError
        It is missing, cannot be opened, or is no regular file.
    """
    try:
        file = open(path, "rb", opener=_without_waiting)  # noqa: SIM115 - closed below
    except ValueError:  # a NUL in its name
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path)) from None
    with file:
        mode = os.fstat(file.fileno()).st_mode
        if not stat.S_ISREG(mode):
            kind = KINDS.get(stat.S_IFMT(mode), "no file")
            raise OSError(errno.EINVAL, f"{kind} where a file is needed", str(path))
        yield file


def read_source(path: Path, most_bytes: int) -> bytes:
    """Content of a regular file.

    Raises
    ------
    OSError
        There is no such file, it cannot be opened, is none, or has more than `most_bytes`.
    """
    with open_regular(path) as file:
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise OSError(errno.EFBIG, f"more than {most_bytes} bytes", str(path))
    return content
