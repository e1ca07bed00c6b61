"""From a data set's list to clips.csv: every file is read and decoded once, measured and fingerprinted."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from adaspec.audio import BadClipError, clip_digest, open_recording, recording_of
from adaspec.datasets.labels import check_copies
from adaspec.datasets.verification import check_uses
from adaspec.errors import InputError
from adaspec.runtime.engine import LOCAL, Engine, run_tasks
from adaspec.runtime.progress import ClipProgress
from adaspec.tables import CLIP_COLUMNS, ENROLMENT, trial_rows

__all__ = ["examine_clips"]

log = logging.getLogger(__name__)

Choice = Literal["fail", "skip"]
CHUNK = 16  # clips per task: large enough to hide the cost of a task, small enough for a smooth progress bar
N_NAMED = 5  # bad clips named in an error; the rest are counted


class _Finding(NamedTuple):
    """What came out of a file; `reason` is what is wrong with it, or ""."""

    digest: str
    n_samples: int
    sample_rate: int
    notes: tuple[str, ...]
    reason: str


def examine_clips(
    table: pd.DataFrame,
    root: Path,
    on_bad_clip: Choice,
    on_missing: Choice,
    n_workers: int | None,
    engine: Engine = LOCAL,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Open every clip, and complete the table.

    Parameters
    ----------
    table : DataFrame
        From `read_dataset`.
    root : Path
        Folder that `path` is relative to.
    on_bad_clip : {"fail", "skip"}
        What a clip that cannot be used leads to: empty, truncated, not audio, or with samples that no recording has.
        Digital silence, and bytes that are not read, are allowed with a warning.
    on_missing : {"fail", "skip"}
        What a clip that is not there leads to.
    n_workers : int or None
        Processes; None: as many as there are cores for.
    engine : Engine
        Where they run.

    Returns
    -------
    clips : DataFrame
        Columns `CLIP_COLUMNS`, then what the data set adds, sorted by `clip_id`.
    skipped : DataFrame
        `path`, `reason` of every clip that is left out.

    Raises
    ------
    InputError
        A clip is bad and `on_bad_clip` is "fail", or missing and `on_missing` is "fail"; or no good one is left, or
        only one label, or a label has only copies of other labels' clips; or a trial has the bytes of an enrolment.
    """
    added = [column for column in table if column not in CLIP_COLUMNS]
    there = np.array([os.path.exists(root / path) for path in table["path"]], dtype=bool)
    missing = table[~there]
    if len(missing):
        _tell_missing(table, missing, root, on_missing)
        table = table[there].reset_index(drop=True)
    chunks = [list(table["path"][i : i + CHUNK]) for i in range(0, len(table), CHUNK)]
    findings: list[_Finding] = []
    with ClipProgress("reading", len(table)) as progress:
        for found in run_tasks(_examine_chunk, ((root, chunk) for chunk in chunks), engine, wanted=n_workers):
            findings += found
            progress.advance(len(found))
    measured = table.assign(**{name: [getattr(found, name) for found in findings] for name in _Finding._fields})
    bad = measured[measured["reason"] != ""]
    if len(bad) and on_bad_clip == "fail":
        named = [f"{root / path}: {reason}" for path, reason in bad[["path", "reason"]].head(N_NAMED).to_numpy()]
        more = f"; and {len(bad) - N_NAMED} more" if len(bad) > N_NAMED else ""
        raise InputError(
            f"{len(bad)} of {len(table)} clips cannot be used: {'; '.join(named)}{more}; repair or remove them, or set "
            "dataset.on_bad_clip=skip"
        )
    if len(bad):
        log.info("skipped %s of %s clips that cannot be used", len(bad), len(table))
    good = measured[measured["reason"] == ""]
    for path, notes in good[["path", "notes"]].to_numpy():
        for note in notes:
            log.warning("%s %s", root / path, note)
    trials = trial_rows(good)
    labels = sorted(trials["label"].unique())
    if len(labels) < 2:
        told = ", ".join(labels) or "none"
        raise InputError(f"{len(trials)} usable clips with {len(labels)} labels ({told}); two are needed")
    check_uses(good, root)
    check_copies(trials, root)
    clip_id = good["path"].str.replace(r"\.[^./]*$", "", regex=True)
    if clip_id.duplicated().any():  # files that differ in their suffix only
        clip_id = good["path"]
    clips = good.assign(clip_id=clip_id).sort_values("clip_id", ignore_index=True)
    skipped = pd.concat([missing.assign(reason="missing"), bad])[["path", "reason"]]
    return clips[[*CLIP_COLUMNS, *added]], skipped.sort_values("path", ignore_index=True)


def _tell_missing(table: pd.DataFrame, missing: pd.DataFrame, root: Path, on_missing: Choice) -> None:
    """Count the clips that are not there, in each official part where there are such."""
    listed = table["subset"].value_counts().sort_index()
    counts = missing["subset"].value_counts()
    parts = [f"{counts.get(part, 0)} of {n}{f' of {part}' if part else ''}" for part, n in listed.items()]
    told = f"{', '.join(parts)} clips that the data set lists are missing in {root}"
    if "use" in missing and (n_enrolling := int((missing["use"] == ENROLMENT).sum())):
        told += f" ({n_enrolling} of them enrol a speaker)"
    if on_missing == "fail":
        raise InputError(
            f"{told}, the first {root / missing['path'].iloc[0]}; complete the copy, or set dataset.on_missing=skip"
        )
    log.info("%s", told)


def _examine_chunk(root: Path, paths: list[str]) -> list[_Finding]:
    return [_examine(root / path) for path in paths]


def _examine(path: Path) -> _Finding:
    try:
        with open_recording(path) as file:
            digest = clip_digest(file)
            recording = recording_of(file)
            for _ in recording.blocks():
                pass
    except BadClipError as error:
        return _Finding("", 0, 0, (), str(error))
    return _Finding(digest, recording.n_samples, recording.sample_rate, tuple(recording.notes), "")
