"""Lists of speaker verification (ASV) in the layout of ASVspoof 2019: whom recordings enrol, and the trials.

`ASVspoof2019.LA.asv.PART.male.trn.txt` and `female` enrol: SPEAKER FILE,FILE,... in a line. `gi.trl.txt` (of both
genders), or where it is missing `male` and `female`, hold the trials: SPEAKER FILE SYSTEM KEY, of the claimed speaker.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from adaspec.datasets.verification import NONTARGET, TARGET, check_claims, check_train_speakers
from adaspec.errors import InputError
from adaspec.runtime.text import shown
from adaspec.tables import BONAFIDE, ENROLMENT, SPOOF, VERIFICATION
from adaspec.tables.score_files import ASV_KEYS, NO_ATTACK, read_lines, system_of

__all__ = ["eval_trials", "plain_name", "read_trials", "unlisted_recordings"]

ASV_PROTOCOLS = "ASVspoof2019_LA_asv_protocols"
PARTS = ("dev", "eval")
GENDERS = ("female", "male")
UNLISTED = ["name", "label", "speaker", "subset", "attack", "use"]
NAME = re.compile(r"\w[\w.-]*")


def plain_name(where: str, what: str, value: str) -> str:
    """A file or speaker of a list, which cannot lead out of its folder.

    Raises
    ------
    InputError
        It is more than a plain name.
    """
    if not NAME.fullmatch(value):
        raise InputError(f"{where}: {what} {shown(value)} must be a plain name of letters, digits, '_', '-' and '.'")
    return value


def unlisted_recordings(folder: Path, listed: pd.DataFrame) -> pd.DataFrame:
    """Recordings of ASV lists that no countermeasure (CM) protocol lists; all lists are checked against each other.

    Parameters
    ----------
    folder : Path
        The folder LA.
    listed : DataFrame
        The CM protocols: `where` (file and line), `name`, `label`, `speaker`, `subset`, `attack`.

    Returns
    -------
    DataFrame
        `name`, `label`, `speaker` (of trials that do not tell it, ''), `subset`, `attack`, `use` (enrolment,
        verification); empty where nobody is enrolled.

    Raises
    ------
    InputError
        Names the line that is malformed, or contradicts another.
    """
    enrolment = _enrolment(folder)
    if enrolment.empty:
        return pd.DataFrame(columns=UNLISTED)
    place = dict(zip(enrolment["name"], enrolment["where"], strict=True))

    def in_enrolment(row: pd.Series) -> str:
        return f"{row['name']} enrols a speaker in {place[row['name']]}, so it cannot be a trial"

    _refuse(listed[listed["name"].isin(place)], in_enrolment)
    check_train_speakers(pd.concat([listed[["where", "speaker", "subset"]], enrolment]))
    trials = read_trials(folder)
    _refuse(trials[trials["name"].isin(place)], in_enrolment)
    check_claims(
        trials, enrolment, f"name some in {ASV_PROTOCOLS}/ASVspoof2019.LA.asv.*.trn.txt, or leave the trials out"
    )
    _check_agreement(trials.merge(listed, on="name", suffixes=("", "_listed")))
    further = trials[~trials["name"].isin(listed["name"])]
    _refuse(
        further[further["key"] == SPOOF],
        lambda row: (
            f"{row['name']} is a spoofed trial of {row['subset']} that no countermeasure protocol lists; add it "
            "there, or leave it out here"
        ),
    )
    # A target trial tells who speaks, a nontarget one only who does not.
    target = further[further["key"] == TARGET]
    _refuse(
        target[target.duplicated("name")],
        lambda row: f"{row['name']} is a target trial of another speaker too; one recording has one speaker",
    )
    told = dict(zip(target["name"], target["speaker"], strict=True))
    speaker = further["name"].map(lambda name: told.get(name, ""))
    uses = [
        enrolment.assign(use=ENROLMENT),
        further.assign(speaker=speaker, use=VERIFICATION).drop_duplicates("name"),
    ]
    return pd.concat(uses).assign(label=BONAFIDE, attack=NO_ATTACK)[UNLISTED]


def read_trials(folder: Path) -> pd.DataFrame:
    """Trials of both parts: `where`, `speaker` (the claimed one), `name`, `attack`, `key`, `subset`.

    Raises
    ------
    InputError
        Names the line that is malformed, or repeats another.
    """
    tables = []
    for part in PARTS:
        joint = _trial_list(folder, part, "gi")
        sources = [joint] if joint.exists() else [_trial_list(folder, part, gender) for gender in GENDERS]
        tables += [_trials(source).assign(subset=part) for source in sources if source.exists()]
    trials = pd.concat(tables, ignore_index=True) if tables else _table([], "attack", "key", "subset")
    first = trials.groupby(["speaker", "name"])["where"].transform("first")
    _refuse(
        trials.assign(first=first)[first != trials["where"]],
        lambda row: f"{row['name']} against {row['speaker']} is already in {row['first']}; keep one of the two",
    )
    return trials


def eval_trials(folder: Path) -> tuple[Path, pd.DataFrame]:
    """The list of eval trials in the order of the official scores, and what it holds; nothing where it is missing."""
    source = _trial_list(folder, "eval", "gi")
    return source, _trials(source) if source.exists() else _table([], "attack", "key")


def _trial_list(folder: Path, part: str, gender: str) -> Path:
    return folder / ASV_PROTOCOLS / f"ASVspoof2019.LA.asv.{part}.{gender}.trl.txt"


def _trials(source: Path) -> pd.DataFrame:
    rows = []
    for where, cells in read_lines(source):
        if len(cells) != 4:
            raise InputError(f"{where}: {shown(' '.join(cells))} is not 'SPEAKER FILE SYSTEM KEY'")
        speaker, name, system, key = cells
        attack = system_of(where, system, key, ASV_KEYS)
        rows.append((where, plain_name(where, "speaker", speaker), plain_name(where, "file", name), attack, key))
    return _table(rows, "attack", "key")


def _enrolment(folder: Path) -> pd.DataFrame:
    """Recordings that enrol speakers: `where`, `speaker`, `name`, `subset`; none where the lists are missing."""
    rows = []
    first: dict[str, tuple[str, str]] = {}
    for part in PARTS:
        for source in sorted((folder / ASV_PROTOCOLS).glob(f"ASVspoof2019.LA.asv.{part}.*.trn.txt")):
            for where, cells in read_lines(source):
                if len(cells) != 2:
                    raise InputError(f"{where}: {len(cells)} columns, an enrolment list has 2 (SPEAKER FILE,FILE,...)")
                speaker = plain_name(where, "speaker", cells[0])
                for name in cells[1].split(","):
                    plain_name(where, "file", name)
                    before, there = first.setdefault(name, (speaker, where))
                    if before != speaker:
                        raise InputError(
                            f"{where}: {name} enrols {speaker}, but in {there} it enrols {before}; one recording "
                            "enrols one speaker"
                        )
                    rows.append((where, speaker, name, part))
    return _table(rows, "subset").drop_duplicates("name", ignore_index=True)


def _check_agreement(both: pd.DataFrame) -> None:
    """Compare what ASV trials and CM protocols say of the same recordings."""
    own = both["speaker"] == both["speaker_listed"]
    for wrong, told in (
        (both["subset"] != both["subset_listed"], "{name} is of {subset}, but of {subset_listed} in {where_listed}"),
        (both["attack"] != both["attack_listed"], "{name} has system {attack}, but {attack_listed} in {where_listed}"),
        (
            own == (both["key"] == NONTARGET),
            "{name} is a {key} trial of {speaker}, but its speaker is {speaker_listed} in {where_listed}",
        ),
    ):
        _refuse(both[wrong], f"{told}; take both lists from one release".format_map)


def _table(rows: Sequence[tuple[str, ...]], *further: str) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["where", "speaker", "name", *further], dtype=str)


def _refuse(rows: pd.DataFrame, tell: Callable[[pd.Series], str]) -> None:
    if len(rows):
        row = rows.iloc[0]
        raise InputError(f"{row['where']}: {tell(row)}")
