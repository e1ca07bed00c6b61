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

from pathlib import Path

import pandas as pd

from adaspec.config import DatasetConfig
from adaspec.datasets.asv_lists import eval_trials, plain_name, read_trials, unlisted_recordings
from adaspec.datasets.contract import Dataset
from adaspec.errors import InputError
from adaspec.runtime.text import shown
from adaspec.tables import TRIAL, score_files
from adaspec.tables.score_files import ASV_COLUMNS, CM_KEYS, read_lines, system_of

__all__ = ["DATASET", "read", "read_asv_scores", "read_verification_trials"]

CM_PROTOCOLS = "ASVspoof2019_LA_cm_protocols"
ASV_SCORES = "ASVspoof2019_LA_asv_scores"
PARTS = {"train": "trn", "dev": "trl", "eval": "trl"}
CM_LINE = "SPEAKER FILE - SYSTEM KEY"


def read(root: Path, config: DatasetConfig) -> pd.DataFrame:
    """List the trials of the three protocols, with `speaker` and `attack` ('-' for bona fide).

    Where ASV lists enrol speakers, their recordings follow, and those of verification trials that no protocol lists;
    the column `use` then tells the three apart.

    Parameters
    ----------
    root : Path
        The folder LA, or the one it lies in.
    config : DatasetConfig
    """
    folder = _la_folder(root)
    listed = _listed(folder)
    table = listed.drop(columns="where")
    unlisted = unlisted_recordings(folder, listed)
    if len(unlisted):
        table = pd.concat([table.assign(use=TRIAL), unlisted], ignore_index=True)
    path = _path(root, folder, table)
    return table.drop(columns="name").assign(path=path, group=table["speaker"], fold="")


def read_verification_trials(root: Path, table: pd.DataFrame) -> pd.DataFrame:
    """List the trials of the ASV lists: `path`, `speaker` (the claimed one), `key`, `subset`.

    Parameters
    ----------
    root : Path
    table : DataFrame
        Of `read`, which has checked them.
    """
    folder = _la_folder(root)
    trials = read_trials(folder)
    return trials.assign(path=_path(root, folder, trials))[["path", "speaker", "key", "subset"]]


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
    if not source.exists():
        return pd.DataFrame(columns=ASV_COLUMNS)
    scores = score_files.read_asv_scores(source)
    protocol, trials = eval_trials(folder)
    if len(trials) not in (0, len(scores)):
        raise InputError(f"{source} has {len(scores)} trials, {protocol} {len(trials)}; take both from one release")
    for (where, *trial), *scored in zip(
        *(trials[["where", "attack", "key"]].to_numpy(), scores["system"], scores["key"]), strict=False
    ):
        if trial != scored:
            raise InputError(
                f"{where}: {' '.join(trial)}, but {source} has {' '.join(scored)} there; take both from one release"
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


def _listed(folder: Path) -> pd.DataFrame:
    """Trials of the countermeasure protocols, with `where` (file and line) and `name`."""
    first_line: dict[str, str] = {}
    rows = []
    for part, kind in PARTS.items():
        protocol = folder / CM_PROTOCOLS / f"ASVspoof2019.LA.cm.{part}.{kind}.txt"
        for where, cells in read_lines(protocol):
            speaker, name, attack, key = _trial(where, cells)
            if name in first_line:
                raise InputError(f"{where}: {name} is already in {first_line[name]}; keep one of the two")
            first_line[name] = where
            rows.append((where, name, key, speaker, part, attack))
    return pd.DataFrame(rows, columns=["where", "name", "label", "speaker", "subset", "attack"])


def _path(root: Path, folder: Path, recordings: pd.DataFrame) -> pd.Series:
    parts = {part: (folder / f"ASVspoof2019_LA_{part}/flac").relative_to(root).as_posix() for part in PARTS}
    return recordings["subset"].map(parts) + "/" + recordings["name"] + ".flac"


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
    return plain_name(where, "speaker", speaker), plain_name(where, "file", name), attack, key


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
    verification_trials=read_verification_trials,
)
