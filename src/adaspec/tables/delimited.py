"""CSV files that a user gives, row by row, in bounded memory."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from adaspec.errors import InputError
from adaspec.runtime.sources import MOST_TABLE_BYTES, read_source
from adaspec.runtime.text import one_line, shown

__all__ = ["read_delimited"]

MOST_COLUMNS = 1000


def read_delimited(source: Path, remedy: str) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    """Read a CSV file with a header.

    Parameters
    ----------
    source : Path
    remedy : str
        What to do where it is missing, for the message.

    Returns
    -------
    header : list of str
        Names of the columns, each once.
    rows : iterator of (int, list of str)
        The line that a row ends on and its cells, as many as there are columns, stripped. Empty lines are passed over.

    Raises
    ------
    InputError
        The file is missing, cannot be read, is too large or not UTF-8; has too many columns or one twice; or, as rows
        are taken, one has too few or too many cells or is no CSV.
    """
    try:
        text = read_source(source, MOST_TABLE_BYTES).decode("utf-8-sig")
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        header = [name.strip() for name in next(reader, [])]
    except FileNotFoundError:
        raise InputError(f"{source} not found; {remedy}") from None
    except OSError as error:
        raise InputError(f"{source} cannot be read ({error.strerror}); it must be a CSV file") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{source} is not a UTF-8 CSV file ({error})") from None
    if len(header) > MOST_COLUMNS:
        raise InputError(f"{source} line 1: {len(header)} columns, more than {MOST_COLUMNS}; keep those that count")
    if twice := [name for name, n in Counter(header).items() if n > 1]:
        raise InputError(f"{source} line 1: column {shown(min(twice))} is there twice; keep one")
    return header, _rows(source, reader, header)


def _rows(source: Path, reader: Any, header: list[str]) -> Iterator[tuple[int, list[str]]]:
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise InputError(f"{source} is not a UTF-8 CSV file ({error})") from None
        if cells is None:
            return
        line = reader.line_num
        if cells and len(cells) != len(header):
            names = one_line(", ".join(header))
            raise InputError(f"{source} line {line}: {len(cells)} cells, the header has {len(header)} ({names})")
        if cells:
            yield line, [cell.strip() for cell in cells]
