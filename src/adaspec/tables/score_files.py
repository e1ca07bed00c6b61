"""Text files of the ASVspoof challenges: scores of a detector, scores of a speaker verification (ASV) system."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from adaspec.errors import InputError
from adaspec.runtime.files import complete_file
from adaspec.runtime.sources import MOST_TABLE_BYTES, read_source
from adaspec.runtime.text import shown
from adaspec.tables.labels import BONAFIDE, SPOOF

__all__ = [
    "ASV_COLUMNS",
    "ASV_KEYS",
    "CM_KEYS",
    "NO_ATTACK",
    "UNKNOWN",
    "finite",
    "read_asv_scores",
    "read_lines",
    "read_scores",
    "system_of",
    "write_scores",
]

COLUMNS = ["file", "attack", "label", "score"]
ASV_COLUMNS = ["system", "key", "score"]
CM_KEYS = (BONAFIDE, SPOOF)
ASV_KEYS = ("target", "nontarget", SPOOF)
NO_ATTACK, UNKNOWN = "-", "unknown"  # systems of bona fide speech, and of spoofed speech where the file tells none


def read_lines(source: Path) -> Iterator[tuple[str, list[str]]]:
    """Where each line of a text file stands, and its cells between spaces; empty lines are passed over.

    Raises
    ------
    InputError
        The file is missing or no text.
    """
    try:
        text = read_source(source, MOST_TABLE_BYTES).decode("utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{source} not found; copy it again, or name another") from None
    except OSError as error:
        raise InputError(f"{source} cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{source} cannot be read as text ({error})") from None
    for number, line in enumerate(text.splitlines(), start=1):
        if cells := line.split():
            yield f"{source} line {number}", cells


def system_of(where: str, system: str, key: str, keys: Sequence[str]) -> str:
    """System of a trial: '-' for bona fide speech, which files also call 'bonafide', else the attack or 'unknown'.

    Raises
    ------
    InputError
        The key is not one of `keys`, or bona fide speech is said to be of an attack.
    """
    if key not in keys:
        raise InputError(f"{where}: key {shown(key)} must be {', '.join(keys[:-1])} or {keys[-1]}")
    tells_none = system in (NO_ATTACK, BONAFIDE)
    if key == SPOOF:
        return UNKNOWN if tells_none else system
    if not tells_none:
        raise InputError(
            f"{where}: system {shown(system)} does not go with key {shown(key)}; bona fide speech has system '-'"
        )
    return NO_ATTACK


def finite(text: str) -> float:
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
        `file`, `attack` ('-' for bona fide speech, 'unknown' where the file tells none), `label`, `score`.

    Raises
    ------
    InputError
        Names the line that is malformed or repeats a file, or says which of the two keys is missing.
    """
    first_line: dict[str, str] = {}
    rows = []
    for where, cells in read_lines(path):
        if len(cells) != 4 or math.isnan(finite(cells[3])):
            raise InputError(f"{where}: {shown(' '.join(cells))} is not 'FILE SYSTEM KEY SCORE' with a finite score")
        file, system, label, score = cells
        attack = system_of(where, system, label, CM_KEYS)
        if file in first_line:
            raise InputError(f"{where}: {shown(file)} is already in {first_line[file]}; keep one of the two")
        first_line[file] = where
        rows.append((file, attack, label, float(score)))
    trials = pd.DataFrame(rows, columns=COLUMNS)
    for key in CM_KEYS:
        if not (trials["label"] == key).any():
            raise InputError(f"{path} has no {key} trial among {len(trials)}; error rates need both kinds")
    return trials


def read_asv_scores(path: Path) -> pd.DataFrame:
    """Read scores of an ASV system: SYSTEM KEY SCORE in each line.

    Returns
    -------
    DataFrame
        `system` ('-' for bona fide speech, else the attack), `key` (target, nontarget, spoof), `score`.

    Raises
    ------
    InputError
        Names the line that is malformed, or says which key is missing.
    """
    rows = []
    for where, cells in read_lines(path):
        if len(cells) != 3 or math.isnan(finite(cells[2])):
            raise InputError(f"{where}: {shown(' '.join(cells))} is not 'SYSTEM KEY SCORE' with a finite score")
        system, key, score = cells
        rows.append((system_of(where, system, key, ASV_KEYS), key, float(score)))
    scores = pd.DataFrame(rows, columns=ASV_COLUMNS)
    for key in ASV_KEYS:
        if not (scores["key"] == key).any():
            raise InputError(f"{path} has no {key} trial among {len(scores)}; the t-DCF needs all three kinds")
    return scores
