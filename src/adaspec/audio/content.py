"""A file's bytes by position, and parts of them as a file of its own, which libsndfile reads."""

from __future__ import annotations

import bisect
import io
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

__all__ = ["Content", "Pieces", "Stream"]

ENDLESS = 2**40  # bytes; more than any file that is read


@dataclass(frozen=True)
class Stream:
    """One recording within a file, as its container tells.

    Attributes
    ----------
    pieces : tuple of range or bytes
        What is decoded, in order: bytes of the file, by their positions, and others in place of them.
    cut : str
        What is missing at its end; "" where nothing is.
    n_samples : int, optional
        That it holds at least, where libsndfile is not to be asked.
    endless : bool
        It tells no length, and libsndfile is to read on to its end.
    note : str
        What a user should know of it: "" or a predicate, such as "ends in 7 bytes that are not read".
    """

    pieces: tuple[range | bytes, ...]
    cut: str = ""
    n_samples: int | None = None
    note: str = ""
    endless: bool = False


class Content:
    """The bytes of a file that can seek.

    Parameters
    ----------
    file : binary file

    Attributes
    ----------
    size : int
        Bytes.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.size = file.seek(0, io.SEEK_END)

    def at(self, position: int, n_bytes: int) -> bytes:
        """Read `n_bytes` from `position` on; fewer where the file ends."""
        self.file.seek(position)
        return self.file.read(n_bytes)

    def number(self, position: int, n_bytes: int, order: str) -> int:
        """An unsigned whole number, "little" or "big"; what lies beyond the end counts as zeros."""
        return int.from_bytes(self.at(position, n_bytes).ljust(n_bytes, b"\0"), order)  # type: ignore[arg-type]

    def is_blank(self, part: range) -> bool:
        """Whether all bytes are zero."""
        step = 2**16
        return not any(self.at(at, min(step, part.stop - at)).strip(b"\0") for at in range(part.start, part.stop, step))


class Pieces(io.RawIOBase):
    """Pieces of a file as one that can be read.

    Parameters
    ----------
    content : Content
    pieces : sequence of range or bytes
        Positions in the file, or other bytes.
    endless : bool
        Tell a length beyond any: libsndfile estimates an MP3's number of samples by the length, and stops there.

    Attributes
    ----------
    error : OSError, optional
        That reading the file met with; an exception would be lost in libsndfile.
    """

    def __init__(self, content: Content, pieces: Sequence[range | bytes], *, endless: bool = False) -> None:
        super().__init__()
        self.content, self.pieces = content, pieces
        self.starts = [0, *itertools.accumulate(len(piece) for piece in pieces)]
        self.told_size = ENDLESS if endless else self.starts[-1]
        self.position = 0
        self.error: OSError | None = None

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move; libsndfile seeks before the start of some cut files, which leads to the start."""
        end = self.starts[-1] if offset else self.told_size  # what is looked for before the end lies there
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self.position, io.SEEK_END: end}[whence]
        self.position = max(0, base + offset)
        return self.position

    def tell(self) -> int:
        """Where the next byte is read."""
        return self.position

    def readinto(self, buffer: Any, /) -> int:
        """Fill `buffer` as far as the pieces go."""
        target, n_read = memoryview(buffer).cast("B"), 0
        try:
            while n_read < len(target) and self.position < self.starts[-1]:
                index = bisect.bisect_right(self.starts, self.position) - 1
                within = self.position - self.starts[index]
                piece = self.pieces[index]
                n_wanted = min(len(target) - n_read, len(piece) - within)
                if isinstance(piece, bytes):
                    found = piece[within : within + n_wanted]
                else:
                    found = self.content.at(piece.start + within, n_wanted)
                if not found:
                    break
                target[n_read : n_read + len(found)] = found
                n_read += len(found)
                self.position += len(found)
        except OSError as error:
            self.error = error
        return n_read
