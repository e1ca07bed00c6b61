"""From a data set's list to clips.csv: every file is read and decoded once, measured and fingerprinted."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

import pandas as pd

from adaspec.audio import BadClipError, clip_digest, decode, read_bytes
from adaspec.engine import run_tasks
from adaspec.errors import InputError
from adaspec.progress import ClipProgress

__all__ = ["CLIP_COLUMNS", "examine_clips"]

CLIP_COLUMNS = ("clip_id", "path", "digest", "label", "group", "fold", "subset", "n_samples", "sample_rate")
CHUNK = 16  # clips per task: large enough to hide the cost of a task, small enough for a smooth progress bar
N_NAMED = 5  # bad clips named in an error; the rest are counted


def examine_clips(
    table: pd.DataFrame, root: Path, on_bad_clip: Literal["fail", "skip"], n_workers: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Open every clip, and complete the table.

    Parameters
    ----------
    table : DataFrame
        From `read_dataset`.
    root : Path
        Folder that `path` is relative to.
    on_bad_clip : {"fail", "skip"}
        What a missing, empty, truncated or undecodable clip, or one with NaN or infinite samples, leads to. Digital
        silence is allowed with a warning.
    n_workers : int
        Processes.

    Returns
    -------
    clips : DataFrame
        Columns `CLIP_COLUMNS`, sorted by `clip_id`.
    skipped : DataFrame
        `path`, `reason` of every bad clip; empty unless `on_bad_clip` is "skip".

    Raises
    ------
    InputError
        A clip is bad and `on_bad_clip` is "fail", or no good one is left, or only one label.
    """
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
        print(f"skipped {len(bad)} of {len(table)} clips that cannot be used", file=sys.stderr)
    good = measured[measured["reason"] == ""]
    for path in good.loc[good["silent"], "path"]:
        print(f"warning: {root / path} is digital silence", file=sys.stderr)
    if good["label"].nunique() < 2:
        labels = ", ".join(sorted(good["label"].unique())) or "none"
        raise InputError(f"{len(good)} usable clips with {good['label'].nunique()} labels ({labels}); two are needed")
    clip_id = good["path"].str.replace(r"\.[^./]*$", "", regex=True)
    if clip_id.duplicated().any():  # files that differ in their suffix only
        clip_id = good["path"]
    clips = good.assign(clip_id=clip_id).sort_values("clip_id", ignore_index=True)
    return clips[list(CLIP_COLUMNS)], bad[["path", "reason"]].reset_index(drop=True)


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
