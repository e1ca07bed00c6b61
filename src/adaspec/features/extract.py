"""Extraction: every clip is decoded, resampled and stored once, a shard per task, on all cores."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from adaspec.audio import BadClipError, Quantised, Samples, clip_digest, open_recording, quantise, recording_of
from adaspec.config import Config
from adaspec.errors import InputError
from adaspec.features.representation import (
    Contract,
    LogSpectrogram,
    Values,
    feature_contract,
    representation_of,
    steps_of,
)
from adaspec.features.store import write_shard
from adaspec.runtime.engine import run_tasks
from adaspec.runtime.files import complete_folder
from adaspec.runtime.progress import ClipProgress

__all__ = ["extract"]

log = logging.getLogger(__name__)

N_NAMED = 5  # clips that saturate; the rest are counted


def extract(clips: pd.DataFrame, config: Config, folder: Path) -> None:
    """Fill a feature store.

    Parameters
    ----------
    clips : DataFrame
        clips.csv.
    config : Config
        Resolved; says what is stored, where the recordings lie, and how many processes there are (`engine`): memory is
        that of one long clip, or of short ones of 16 million samples, in each.
    folder : Path
        Written whole, or not at all.

    Raises
    ------
    InputError
        A file is gone or has changed since clips.csv was made; or the front end does not fit the sample rate.
    """
    contract = feature_contract(config)
    if contract["representation"] != "waveform":  # else nothing is computed, and torch need not be imported
        from adaspec.frontends import check_frontend

        check_frontend(config.frontend, config.audio.sample_rate)
    n_shard = config.features.clips_per_shard
    rows = sorted(clips[["clip_id", "path", "digest"]].itertuples(index=False, name=None))  # as the store has them
    saturated: list[str] = []
    with complete_folder(folder) as partial, ClipProgress("extracting", len(rows)) as progress:
        tasks = (
            (rows[start : start + n_shard], Path(config.dataset.root), contract, partial / f"{index:05d}.arrow")
            for index, start in enumerate(range(0, len(rows), n_shard))
        )
        for n_clips, loud in run_tasks(_extract_shard, tasks, config.engine, wanted=config.engine.workers):
            progress.advance(n_clips)
            saturated += loud
    if saturated:
        more = ", ..." if len(saturated) > N_NAMED else ""
        log.info(
            "note: %s of %s clips pass full scale and saturate at 16 bit: %s%s",
            *(len(saturated), len(rows), ", ".join(saturated[:N_NAMED]), more),
        )


def _extract_shard(
    rows: list[tuple[str, str, str]], root: Path, contract: Contract, path: Path
) -> tuple[int, list[str]]:
    """Write one shard; return the number of clips and the names of those that saturate."""
    saturated: list[str] = []

    def waveforms() -> Iterator[tuple[str, Samples]]:
        for clip_id, relative, digest in rows:
            kept = _read(root / relative, digest, contract)
            if kept.saturates:
                saturated.append(clip_id)
            yield clip_id, kept.samples

    representation = representation_of(contract)
    clips: Iterator[tuple[str, Values]]
    if isinstance(representation, LogSpectrogram):
        # Imported here: a worker that stores waveforms has no use for a second of importing torch.
        import torch

        torch.set_num_threads(1)
        clips = ((clip_id, representation.encode(steps_of(samples)).numpy()) for clip_id, samples in waveforms())
    else:
        clips = ((clip_id, samples[:]) for clip_id, samples in waveforms())
    write_shard(path, contract, clips)
    return len(rows), saturated


def _read(path: Path, digest: str, contract: Contract) -> Quantised:
    try:
        with open_recording(path) as file:
            if clip_digest(file) != digest:
                raise BadClipError("the file has changed since clips.csv was made")
            return quantise(recording_of(file), contract["sample_rate"], contract["trim_db"])
    except BadClipError as error:
        raise InputError(f"{path}: {error}; run 'dvc repro', which reads the data set again") from None
