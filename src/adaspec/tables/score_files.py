"""Text files of the ASVspoof challenges: scores of a detector, scores of a speaker verification (ASV) system."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from adaspec.errors import InputError
from adaspec.runtime.files import complete_file
from adaspec.tables.labels import BONAFIDE, SPOOF

__all__ = ["ASV_COLUMNS", "ASV_KEYS", "read_asv_scores", "read_lines", "read_scores", "write_scores"]

COLUMNS = ["file", "attack", "label", "score"]
ASV_COLUMNS = ["system", "key", "score"]
ASV_KEYS = ("target", "nontarget", SPOOF)


def read_lines(source: Path) -> Iterator[tuple[str, list[str]]]:
    """Where each line of a text file stands, and its cells between spaces; empty lines are passed over.

    Raises
    ------
    InputError
        The file is missing or no text.
    """
    try:
        text = source.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{source} not found; copy it again, or name another") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{source} cannot be read as text ({error})") from None
    for number, line in enumerate(text.splitlines(), start=1):
        if cells := line.split():
            yield f"{source} line {number}", cells


def _number(text: str) -> float:
    """A finite number, or NaN."""
    try:
        value = float(text)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def write_scores(path: Path, trials: pd.DataFrame) -> None:
    """Write `file`, `attack` ('-' for bona fide), `label` and `score` of each trial: FILE SYSTEM KEY SCORE."""
    lines = [f"{file} {attack} {label} {score:.9g}\n" for file, attack, label, score in trials[COLUMNS].to_numpy()]
    with complete_file(path) as partial:
        partial.write_text("".join(lines), encoding="utf-8")


def read_scores(path: Path) -> pd.DataFrame:
    """Read what `write_scores`, or another detector, has written.

    Returns
    -------
    DataFrame
        `file`, `attack`, `label`, `score`.

    Raises
    ------
    InputError
        Names the line that is malformed or repeats a file, or says which of the two keys is missing.
    """
    first_line: dict[str, str] = {}
    rows = []
    for where, cells in read_lines(path):
        if len(cells) != 4 or math.isnan(_number(cells[3])):
            raise InputError(f"{where}: {' '.join(cells)!r} is not 'FILE SYSTEM KEY SCORE' with a finite score")
        file, attack, label, score = cells
        if label not in (BONAFIDE, SPOOF):
            raise InputError(f"{where}: key {label!r} must be {BONAFIDE} or {SPOOF}")
        if file in first_line:
            raise InputError(f"{where}: {file} is already in {first_line[file]}; keep one of the two")
        first_line[file] = where
        rows.append((file, attack, label, float(score)))
    trials = pd.DataFrame(rows, columns=COLUMNS)
    for key in (BONAFIDE, SPOOF):
        if not (trials["label"] == key).any():
            raise InputError(f"{path} has no {key} trial among {len(trials)}; error rates need both kinds")
    return trials


def read_asv_scores(path: Path) -> pd.DataFrame:
    """Read scores of an ASV system: SYSTEM KEY SCORE in each line.

    Returns
    -------
    DataFrame
        `system` ('bonafide' or the attack), `key` (target, nontarget, spoof), `score`.

    Raises
    ------
    InputError
        Names the line that is malformed, or says which key is missing.
    """
    rows = []
    for where, cells in read_lines(path):
        if len(cells) != 3 or cells[1] not in ASV_KEYS or math.isnan(_number(cells[2])):
            raise InputError(f"{where}: {' '.join(cells)!r} is not 'SYSTEM {'|'.join(ASV_KEYS)} SCORE'")
        rows.append((cells[0], cells[1], float(cells[2])))
    scores = pd.DataFrame(rows, columns=ASV_COLUMNS)
    for key in ASV_KEYS:
        if not (scores["key"] == key).any():
            raise InputError(f"{path} has no {key} trial among {len(scores)}; the t-DCF needs all three kinds")
    return scores
