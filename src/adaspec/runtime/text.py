"""Text for people: suggestions for mistyped names, errors in one line, names of any bytes made visible."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable

__all__ = ["did_you_mean", "is_printable", "one_line", "shown", "visible"]

UNPRINTABLE = {"Cc", "Cs", "Zl", "Zp"}  # Unicode's categories: control, surrogate, separator of lines, of paragraphs
UNDECODED = 0xDC00  # PEP 383: a byte of a file's name that is not UTF-8 is this and the byte


def did_you_mean(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """End of an error message: '; did you mean X?' with the nearest known name, or `otherwise` where none is near."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else otherwise


def one_line(reason: object, limit: int = 300) -> str:
    """An error, or what a program printed, as one line of at most `limit` characters."""
    return " ".join(str(reason).split())[:limit]


def shown(value: object, limit: int = 200) -> str:
    """A value that was got, as `repr` writes it, short enough for a line."""
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]}..."


def is_printable(text: str) -> bool:
    """Whether text survives a CSV file: no control characters, no ends of lines of any kind, and no bytes that the file
    system could not decode."""
    return text.isprintable() or not any(unicodedata.category(character) in UNPRINTABLE for character in text)


def visible(text: str) -> str:
    """Text in which everything that would not show, or would move what follows, is written as an escape.

    That is what `repr` escapes: control characters, zero-width ones and those that turn the direction of writing, ends
    of lines, spaces other than ' ', halves of pairs. A byte that the file system could not decode is written as itself,
    such as \\xe9.
    """
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else _escape(character) for character in text)


def _escape(character: str) -> str:
    byte = ord(character) - UNDECODED
    return f"\\x{byte:02x}" if 0x80 <= byte <= 0xFF else character.encode("unicode_escape").decode("ascii")
