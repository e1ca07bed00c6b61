"""CSV files of speaker verification under spoofing: a trial a line, with one score, or with two that are blended."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd

from adaspec.errors import InputError
from adaspec.runtime.text import one_line, shown
from adaspec.tables.delimited import read_delimited
from adaspec.tables.score_files import ASV_KEYS, NO_ATTACK, finite, system_of

__all__ = ["ASV_SCORE", "CM_SCORE", "read_verification"]

LABEL, SCORE, ASV_SCORE, CM_SCORE = "label", "score", "asv_score", "cm_score"
CHALLENGE_LABEL = "sasv_label"  # the column of ASVspoof 5's score fusion tool, whose labels are numbers
CHALLENGE_KEYS = dict(zip((1, 2, 0), ASV_KEYS, strict=True))
FURTHER = ("attack", "speaker")
HEADER = f"'{LABEL}' and '{SCORE}', or '{LABEL}', '{ASV_SCORE}' and '{CM_SCORE}'"


def read_verification(path: Path) -> pd.DataFrame:
    """Read trials.

    Parameters
    ----------
    path : Path
        CSV with a header: `label` (target, nontarget, spoof) and `score`, or `asv_score` and `cm_score`; or the header
        asv_score,cm_score,sasv_label of the challenge (1, 2, 0). `attack` and `speaker` (the claimed one) may be there,
        and any further columns.

    Returns
    -------
    DataFrame
        `label`, `score` or `asv_score` and `cm_score`, `attack` ('-' for bona fide speech, 'unknown' where the file
        tells none), `speaker` ('' where the file tells none).

    Raises
    ------
    InputError
        Names the line that is malformed, or says which column or label is missing.
    """
    rows = []
    scores: list[str] = []
    for where, cells in _rows(path):
        scores = scores or _score_columns(path, cells)
        label = _label(where, cells)
        attack = system_of(where, cells.get(FURTHER[0]) or NO_ATTACK, label, ASV_KEYS)
        values = [finite(cells[name]) for name in scores]
        if any(map(math.isnan, values)):
            told = ", ".join(f"{name} {shown(cells[name])}" for name in scores)
            raise InputError(f"{where}: {told} must be finite numbers")
        rows.append((label, *values, attack, cells.get(FURTHER[1]) or ""))
    table = pd.DataFrame(rows, columns=[LABEL, *scores, *FURTHER])
    for key in ASV_KEYS:
        if not (table[LABEL] == key).any():
            raise InputError(
                f"{path} has no {key} trial among {len(table)}; the error rates need {', '.join(ASV_KEYS)}"
            )
    return table


def _rows(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Where each row stands, and its cells by column."""
    header, rows = read_delimited(path, "copy it again, or name another")
    for line, cells in rows:
        yield f"{path} line {line}", dict(zip(header, cells, strict=True))


def _score_columns(path: Path, cells: Mapping[str, str]) -> list[str]:
    names = [SCORE] if SCORE in cells else [ASV_SCORE, CM_SCORE]
    if any(name not in cells for name in names) or not {LABEL, CHALLENGE_LABEL} & set(cells):
        raise InputError(f"{path} has the columns {one_line(', '.join(cells))}; it needs {HEADER}")
    return names


def _label(where: str, cells: Mapping[str, str]) -> str:
    if LABEL in cells:
        return cells[LABEL]  # checked with the attack
    number = finite(cells[CHALLENGE_LABEL])
    if number not in CHALLENGE_KEYS:
        told = ", ".join(f"{value} ({key})" for value, key in CHALLENGE_KEYS.items())
        raise InputError(f"{where}: {CHALLENGE_LABEL} {shown(cells[CHALLENGE_LABEL])} must be one of {told}")
    return CHALLENGE_KEYS[int(number)]
