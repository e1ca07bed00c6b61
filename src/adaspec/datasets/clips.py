"""From a data set's list to clips.csv: every file is read and decoded once, measured and fingerprinted."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from adaspec.audio import BadClipError, clip_digest, decode, read_bytes
from adaspec.errors import InputError
from adaspec.runtime.engine import run_tasks
from adaspec.runtime.progress import ClipProgress
from adaspec.tables import CLIP_COLUMNS

__all__ = ["examine_clips"]

log = logging.getLogger(__name__)

Choice = Literal["fail", "skip"]
CHUNK = 16  # clips per task: large enough to hide the cost of a task, small enough for a smooth progress bar
N_NAMED = 5  # bad clips named in an error; the rest are counted


def examine_clips(
    table: pd.DataFrame, root: Path, on_bad_clip: Choice, on_missing: Choice, n_workers: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Open every clip, and complete the table.

    Parameters
    ----------
    table : DataFrame
        From `read_dataset`.
    root : Path
        Folder that `path` is relative to.
    on_bad_clip : {"fail", "skip"}
        What an empty, truncated or undecodable clip, or one with NaN or infinite samples, leads to. Digital silence is
        allowed with a warning.
    on_missing : {"fail", "skip"}
        What a clip that is not there leads to.
    n_workers : int
        Processes.

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
        only one label.
    """
    added = [column for column in table if column not in CLIP_COLUMNS]
    there = np.array([(root / path).exists() for path in table["path"]], dtype=bool)
    missing = table[~there]
    if len(missing):
        _tell_missing(table, missing, root, on_missing)
        table = table[there].reset_index(drop=True)
    chunks = [list(table["path"][i : i + CHUNK]) for i in range(0, len(table), CHUNK)]
    findings: list[tuple[str, int, int, bool, str]] = []
    with ClipProgress("reading", len(table)) as progress:
        for found in run_tasks(_examine_chunk, ((root, chunk) for chunk in chunks), n_workers):
            findings += found
            progress.advance(len(found))
    measured = table.assign(
        digest=[digest for digest, *_ in findings],
        n_samples=[n_samples for _, n_samples, *_ in findings],
        sample_rate=[rate for *_, rate, _, _ in findings],
        silent=[silent for *_, silent, _ in findings],
        reason=[reason for *_, reason in findings],
    )
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
    for path in good.loc[good["silent"], "path"]:
        log.warning("%s is digital silence", root / path)
    if good["label"].nunique() < 2:
        labels = ", ".join(sorted(good["label"].unique())) or "none"
        raise InputError(f"{len(good)} usable clips with {good['label'].nunique()} labels ({labels}); two are needed")
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
    if on_missing == "fail":
        raise InputError(
            f"{told}, the first {root / missing['path'].iloc[0]}; complete the copy, or set dataset.on_missing=skip"
        )
    log.info("%s", told)


def _examine_chunk(root: Path, paths: list[str]) -> list[tuple[str, int, int, bool, str]]:
    """Digest, samples, rate, silence and what is wrong (or '') of each file."""
    return [_examine(root / path) for path in paths]


def _examine(path: Path) -> tuple[str, int, int, bool, str]:
    try:
        content = read_bytes(path)
        waveform, sample_rate = decode(content)
    except BadClipError as error:
        return "", 0, 0, False, str(error)
    return clip_digest(content), len(waveform), sample_rate, not waveform.any(), ""
