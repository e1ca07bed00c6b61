"""Files that a user gives: read in bounded time and memory, whatever they are."""

from __future__ import annotations

import errno
import stat
from pathlib import Path

__all__ = ["read_source"]

KINDS = {stat.S_IFIFO: "a named pipe", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device", stat.S_IFSOCK: "a socket"}


def read_source(path: Path, most_bytes: int) -> bytes:
    """Content of a regular file.

    A pipe would be waited for, and a device read, for ever.

    Raises
    ------
    OSError
        There is no such file, it cannot be opened, is none, or has more than `most_bytes`.
    """
    try:
        kind = stat.S_IFMT(path.stat().st_mode)
    except ValueError:  # a NUL
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(path)) from None
    if kind in KINDS:
        raise OSError(errno.EINVAL, f"it is {KINDS[kind]}, not a file", str(path))
    with path.open("rb") as file:
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise OSError(errno.EFBIG, f"it has more than {most_bytes} bytes", str(path))
    return content
