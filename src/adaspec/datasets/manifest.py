"""A CSV that names the clips: columns `path` and `label`, optionally `fold`, `group` and `subset`.

That of anti-spoofing may have the columns `attack`, and `enrolment` with `speaker`.

The file is `manifest.csv` in the root; paths in it are relative to the root and may not leave it.
"""

from __future__ import annotations

import os
import posixpath
from pathlib import Path

import pandas as pd

from adaspec.config import DatasetConfig
from adaspec.datasets.contract import Dataset
from adaspec.datasets.verification import check_claims, check_train_speakers, derived_trials
from adaspec.errors import InputError
from adaspec.runtime.text import one_line, shown
from adaspec.tables import BONAFIDE, ENROLMENT, SPOOF, SUBSETS, TRIAL
from adaspec.tables.delimited import read_delimited
from adaspec.tables.score_files import CM_KEYS, NO_ATTACK, system_of

__all__ = ["DATASET", "MANIFEST", "check_rows", "read", "read_table"]

MANIFEST = "manifest.csv"
REQUIRED = ("path", "label")
OPTIONAL = ("group", "fold", "subset")
ENROLS = dict.fromkeys(("yes", "true", "1"), True) | dict.fromkeys(("no", "false", "0", ""), False)


def read(root: Path, config: DatasetConfig) -> pd.DataFrame:
    """List the clips of `root/manifest.csv`."""
    source = root / MANIFEST
    table = read_table(source, REQUIRED, (*OPTIONAL, "speaker", "attack", "enrolment"))
    where = str(source) + " line " + table["line"].astype(str)
    clips = check_rows(table[["line", *REQUIRED, *OPTIONAL]], source, root)
    enrols = _enrols(table["enrolment"], where)
    if not enrols.any():
        told = (table["attack"] != "").any() and set(table["label"]) == set(CM_KEYS)
        return clips.assign(attack=_attacks(table, where)) if told else clips
    speaker, use = table["speaker"], enrols.map({True: ENROLMENT, False: TRIAL})
    _check_speakers(clips.assign(where=where, speaker=speaker, use=use))
    group = clips["group"].where(clips["group"] != "", speaker)
    return clips.assign(group=group, speaker=speaker, attack=_attacks(table, where), use=use)


def check_rows(table: pd.DataFrame, source: Path, root: Path) -> pd.DataFrame:
    """Make sure that every row names a file of its own inside `root`, and a label; that folds and subsets are complete.

    Parameters
    ----------
    table : DataFrame
        `line`, `path`, `label`, `group`, `fold`, `subset` as text.
    source : Path
        File that the lines are of.
    root : Path

    Returns
    -------
    DataFrame
        Without `line`, with normalised paths.

    Raises
    ------
    InputError
        Names the file, the line and what is wrong.
    """
    resolved_root = os.path.realpath(root)  # unlike Path.resolve, it takes links in a circle and names of any length
    first_line: dict[str, int] = {}
    paths = []
    for line, path, label, subset in zip(table["line"], table["path"], table["label"], table["subset"], strict=True):
        where = f"{source} line {line}"
        if not path or not label:
            raise InputError(f"{where}: path={shown(path)} label={shown(label)}; both must be given")
        if (
            "\0" in path
            or Path(path).is_absolute()
            or not Path(os.path.realpath(root / path)).is_relative_to(resolved_root)
        ):
            raise InputError(
                f"{where}: path={shown(path)} leaves {root}; give paths relative to that folder and keep the files "
                "inside it"
            )
        if subset not in ("", *SUBSETS):
            raise InputError(
                f"{where}: subset={shown(subset)} must be one of {', '.join(SUBSETS)}, or empty in every line"
            )
        normal = posixpath.normpath(Path(path).as_posix())
        if normal in first_line:
            raise InputError(
                f"{where}: path={shown(path)} is already in line {first_line[normal]}; keep one of the two"
            )
        first_line[normal] = line
        paths.append(normal)
    for column in ("fold", "subset"):
        empty = table[column] == ""
        if empty.any() and not empty.all():
            raise InputError(
                f"{source} line {table.loc[empty, 'line'].iloc[0]}: {column} is empty, but other lines give one; "
                "fill it in every line or in none"
            )
    return table.drop(columns="line").assign(path=paths)


def read_table(source: Path, required: tuple[str, ...], optional: tuple[str, ...]) -> pd.DataFrame:
    """Read the named columns of a CSV as stripped text, with the `line` each row ends on.

    Raises
    ------
    InputError
        The file is missing, not UTF-8 or empty, too large, lacks a required column, has one twice or too many; a row
        has too few or too many cells.
    """
    header, lines = read_delimited(source, "this data set needs it, or set dataset.root elsewhere")
    missing = [name for name in required if name not in header]
    if missing:
        raise InputError(
            f"{source} line 1: column {missing[0]!r} is missing, got {one_line(', '.join(header)) or 'nothing'}; "
            f"required: {', '.join(required)}"
        )
    places = {name: header.index(name) for name in (*required, *optional) if name in header}
    rows = [
        {name: cells[places[name]] if name in places else "" for name in (*required, *optional)} | {"line": line}
        for line, cells in lines
    ]
    if not rows:
        raise InputError(f"{source} lists no clips; add one line per clip")
    return pd.DataFrame(rows)


def _enrols(enrolment: pd.Series, where: pd.Series) -> pd.Series:
    """Whether each recording enrols its speaker."""
    enrols = enrolment.str.lower().map(ENROLS)
    unknown = enrols.isna()
    if unknown.any():
        raise InputError(
            f"{where[unknown].iloc[0]}: enrolment={shown(enrolment[unknown].iloc[0])} must be yes, true or 1, or no, "
            "false, 0 or empty"
        )
    return enrols.astype(bool)


def _attacks(table: pd.DataFrame, where: pd.Series) -> list[str]:
    """Attack of each recording: '-' of bona fide ones, 'unknown' where the manifest does not tell."""
    cells = zip(where, table["attack"].replace("", NO_ATTACK), table["label"], strict=True)
    return [system_of(place, attack, label, CM_KEYS) for place, attack, label in cells]


def _check_speakers(table: pd.DataFrame) -> None:
    """Make sure that every speaker is told, and enrolled where somebody claims to be that speaker.

    Parameters
    ----------
    table : DataFrame
        `where`, `label`, `speaker`, `subset`, `use`.
    """
    enrols = table["use"] == ENROLMENT
    for wrong, told in (
        (~table["label"].isin(CM_KEYS), "label={label}, but where speakers are enrolled it must be bonafide or spoof"),
        (
            table["speaker"] == "",
            "speaker is empty; where speakers are enrolled, every line names who speaks, or who is claimed to",
        ),
        (
            enrols & (table["label"] != BONAFIDE),
            "label={label} cannot enrol speaker {speaker}; enrol by bona fide speech",
        ),
        (
            enrols & (table["subset"] == "train"),
            "speaker {speaker} is enrolled in train; enrol speakers of dev and eval",
        ),
    ):
        if wrong.any():
            row = table[wrong].iloc[0]
            raise InputError(f"{row['where']}: {told.format_map(row.map(shown))}")
    check_train_speakers(table)
    spoofs = table[(table["label"] == SPOOF) & (table["subset"] != "train")]
    check_claims(spoofs, table[enrols], "set enrolment=yes for bona fide recordings of that speaker")


DATASET = Dataset(
    title="A table of your own",
    licence="your own: that of the recordings",
    citation="Your own recordings, or those that you were given: cite whoever made them.",
    read=read,
    verification_trials=lambda root, table: derived_trials(table),
)
