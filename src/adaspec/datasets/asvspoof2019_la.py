"""ASVspoof 2019 LA as unpacked from the official archive: protocols, FLAC files, ASV lists and scores.

Logical access: bona fide English speech against speech synthesis and voice conversion, at 16 kHz. Train and dev hold
the attacks A01 to A06, eval A07 to A19. A group is a speaker; the official parts share none.

References
----------
X. Wang et al., "ASVspoof 2019: A large-scale public database of synthesized, converted and replayed speech", Computer
Speech & Language 64, 2020, https://arxiv.org/abs/1911.01601; archive (LA.zip) and licence, ODC-By:
https://doi.org/10.7488/ds/2555
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from adaspec.config import DatasetConfig
from adaspec.datasets.contract import Dataset
from adaspec.errors import InputError
from adaspec.runtime.text import shown
from adaspec.tables import score_files
from adaspec.tables.score_files import ASV_COLUMNS, ASV_KEYS, CM_KEYS, read_lines, system_of

__all__ = ["DATASET", "read", "read_asv_scores"]

CM_PROTOCOLS = "ASVspoof2019_LA_cm_protocols"
ASV_PROTOCOLS, ASV_SCORES = "ASVspoof2019_LA_asv_protocols", "ASVspoof2019_LA_asv_scores"
PARTS = {"train": "trn", "dev": "trl", "eval": "trl"}
CM_LINE = "SPEAKER FILE - SYSTEM KEY"
NAME = re.compile(r"\w[\w.-]*")


def read(root: Path, config: DatasetConfig) -> pd.DataFrame:
    """List the trials of the three protocols, with `speaker` and `attack` ('-' for bona fide).

    Parameters
    ----------
    root : Path
        The folder LA, or the one it lies in.
    config : DatasetConfig
    """
    folder = _la_folder(root)
    enrolment = _enrolment(folder)
    first_line: dict[str, str] = {}
    rows = []
    for part, kind in PARTS.items():
        protocol = folder / CM_PROTOCOLS / f"ASVspoof2019.LA.cm.{part}.{kind}.txt"
        flac = (folder / f"ASVspoof2019_LA_{part}" / "flac").relative_to(root).as_posix()
        for where, cells in read_lines(protocol):
            speaker, name, attack, key = _trial(where, cells)
            if name in first_line:
                raise InputError(f"{where}: {name} is already in {first_line[name]}; keep one of the two")
            if name in enrolment:
                raise InputError(f"{where}: {name} enrols a speaker in {enrolment[name]}, so it cannot be a trial")
            first_line[name] = where
            rows.append((f"{flac}/{name}.flac", key, speaker, part, speaker, attack))
    table = pd.DataFrame(rows, columns=["path", "label", "group", "subset", "speaker", "attack"])
    return table.assign(fold="")


def read_asv_scores(root: Path) -> pd.DataFrame:
    """Scores of the organisers' speaker verification system on eval, which the t-DCF needs; empty where there are none.

    Returns
    -------
    DataFrame
        `system` ('-' for bona fide speech, else the attack), `key` (target, nontarget, spoof), `score`.

    Raises
    ------
    InputError
        A line is malformed, or is not the trial that the ASV protocol lists there.
    """
    folder = _la_folder(root)
    source = folder / ASV_SCORES / "ASVspoof2019.LA.asv.eval.gi.trl.scores.txt"
    protocol = folder / ASV_PROTOCOLS / "ASVspoof2019.LA.asv.eval.gi.trl.txt"
    if not source.exists():
        return pd.DataFrame(columns=ASV_COLUMNS)
    scores = score_files.read_asv_scores(source)
    trials = _asv_trials(protocol)
    if trials and len(trials) != len(scores):
        raise InputError(f"{source} has {len(scores)} trials, {protocol} {len(trials)}; take both from one release")
    for (where, trial), system, key in zip(trials, scores["system"], scores["key"], strict=False):
        if trial != (system, key):
            raise InputError(
                f"{where}: {' '.join(trial)}, but {source} has {system} {key} there; take both from one release"
            )
    return scores


def _la_folder(root: Path) -> Path:
    for folder in (root, root / "LA"):
        if (folder / CM_PROTOCOLS).is_dir():
            return folder
    below = sorted(root.glob(f"*/*/{CM_PROTOCOLS}")) if root.is_dir() else []
    hint = (
        f"set dataset.root={below[0].parent}" if below else "give the folder LA of the unpacked LA.zip, or its parent"
    )
    raise InputError(f"{root / CM_PROTOCOLS} not found, so {root} is not ASVspoof 2019 LA; {hint}")


def _trial(where: str, cells: list[str]) -> tuple[str, str, str, str]:
    """Speaker, file, attack and key of a line of a countermeasure protocol."""
    if len(cells) != 5:
        raise InputError(
            f"{where}: {shown(' '.join(cells))} has {len(cells)} columns, ASVspoof 2019 LA has 5 ({CM_LINE}); is it "
            "the protocol of another year?"
        )
    speaker, name, third, system, key = cells
    attack = system_of(where, system, key, CM_KEYS)
    if third != "-":
        raise InputError(
            f"{where}: column 3 is {shown(third)}, in LA it is '-'; is it the protocol of physical access (PA)?"
        )
    for what, value in (("file", name), ("speaker", speaker)):
        if not NAME.fullmatch(value):
            raise InputError(
                f"{where}: {what} {shown(value)} must be a plain name of letters, digits, '_', '-' and '.'"
            )
    return speaker, name, attack, key


def _enrolment(folder: Path) -> dict[str, str]:
    """Recordings that enrol speakers in the ASV system, and the line that says so; none where the lists are missing."""
    found: dict[str, str] = {}
    for source in sorted((folder / ASV_PROTOCOLS).glob("*.trn.txt")):
        for where, cells in read_lines(source):
            if len(cells) != 2:
                raise InputError(f"{where}: {len(cells)} columns, an enrolment list has 2 (SPEAKER FILE,FILE,...)")
            found |= dict.fromkeys(cells[1].split(","), where)
    return found


def _asv_trials(protocol: Path) -> list[tuple[str, tuple[str, str]]]:
    """Where each trial of an ASV protocol stands, its system and key; none where the file is missing."""
    trials = []
    for where, cells in read_lines(protocol) if protocol.exists() else ():
        if len(cells) != 4:
            raise InputError(f"{where}: {shown(' '.join(cells))} is not 'SPEAKER FILE SYSTEM KEY'")
        _, _, system, key = cells
        trials.append((where, (system_of(where, system, key, ASV_KEYS), key)))
    return trials


DATASET = Dataset(
    title="ASVspoof 2019 LA",
    licence="ODC-By 1.0",
    citation="""@article{wang2020asvspoof,
  author = {Xin Wang and Junichi Yamagishi and Massimiliano Todisco and Héctor Delgado and Andreas Nautsch and
    Nicholas Evans and Md Sahidullah and Ville Vestman and Tomi Kinnunen and Kong Aik Lee and others},
  title = {{ASVspoof} 2019: A large-scale public database of synthesized, converted and replayed speech},
  journal = {Computer Speech and Language},
  volume = {64},
  pages = {101114},
  year = {2020},
  doi = {10.1016/j.csl.2020.101114},
  url = {https://arxiv.org/abs/1911.01601}
}""",
    read=read,
    asv_scores=read_asv_scores,
)
