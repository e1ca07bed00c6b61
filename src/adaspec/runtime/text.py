"""Text for people: suggestions for mistyped names, errors in one line, names that survive a table."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["did_you_mean", "is_printable", "one_line"]


def did_you_mean(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """End of an error message: '; did you mean X?' with the nearest known name, or `otherwise` where none is near."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else otherwise


def one_line(reason: object, limit: int = 300) -> str:
    """An error, or what a program printed, as one line of at most `limit` characters."""
    return " ".join(str(reason).split())[:limit]


def is_printable(text: str) -> bool:
    """Whether text survives a CSV file: no control characters, and no bytes that the file system could not decode."""
    return not any(character < " " or "\ud800" <= character <= "\udfff" for character in text)
