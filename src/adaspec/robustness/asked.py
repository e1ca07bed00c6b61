"""Test clips, changed, and what the model of their fold says of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from torch import Tensor

from adaspec.attributes import N_LEVELS, Clip, change, change_db
from adaspec.audio import BadClipError, Waveform, decode, resample, trimmed_int16
from adaspec.errors import InputError
from adaspec.features.representation import Contract, feature_contract, representation_of, steps_of
from adaspec.models.classifier import AudioClassifier
from adaspec.models.evaluated import Evaluated, decide
from adaspec.models.saved import load, read_evaluated
from adaspec.models.scoring import score_clips
from adaspec.runtime.engine import compute_alike, torch_device
from adaspec.runtime.seeding import generator
from adaspec.tables.columns import PREDICTED_COLUMNS, score_column

__all__ = [
    "CLEAN",
    "CONDITION",
    "LEVELS",
    "Evaluator",
    "ask_chunk",
    "changed",
    "decided",
    "recordings",
    "within_full_scale",
]

CLEAN = "clean"  # the change of level 0
CONDITION = ("change", "level")
LEVELS = range(1, N_LEVELS + 1)


@dataclass(frozen=True)
class Evaluator:
    """The model of a fold, to be loaded where it is asked.

    Attributes
    ----------
    folder : Path
        Such as models/fold-1.
    device : {"auto", "cpu"}
    n_threads : int
        As in training: their number decides the last bits.
    """

    folder: Path
    device: Literal["auto", "cpu"]
    n_threads: int

    def load(self) -> tuple[AudioClassifier, Evaluated]:
        """The classifier, on its device, and what it was evaluated with.

        Raises
        ------
        InputError
            It was not evaluated.
        """
        compute_alike(self.n_threads)
        evaluated = read_evaluated(self.folder)
        if evaluated is None:
            raise InputError(f"{self.folder} was not evaluated; run 'dvc repro evaluate'")
        return load(self.folder).to(torch_device(self.device)), evaluated


@dataclass
class _Versions:
    """Versions of one clip out of some, made as they are asked for; `Clips` for `score_clips`."""

    waveform: Waveform
    clips: Sequence[Waveform]  # all of them, within full scale
    position: int
    clip_id: str
    contract: Contract
    seed: int
    sizes: dict[str, float] = field(default_factory=dict)  # of each change, dB

    def __post_init__(self) -> None:
        self.representation = representation_of(self.contract)

    def tensor(self, clip_id: str) -> Tensor:
        """What the feature store would hold of the version CHANGE/LEVEL."""
        name, level = clip_id.rsplit("/", 1)
        if name == CLEAN:
            found, self.sizes[clip_id] = self.waveform, float("-inf")
        else:
            rate = self.contract["sample_rate"]
            found = changed(self.clips, self.position, self.clip_id, rate, name, int(level), self.seed)
            self.sizes[clip_id] = change_db(name, self.waveform, found)
        return self.representation.encode(steps_of(trimmed_int16(found, self.contract["trim_db"])))[:]


def changed(
    clips: Sequence[Waveform], position: int, clip_id: str, sample_rate: int, name: str, level: int, seed: int
) -> Waveform:
    """One of some clips, which are `within_full_scale`, with an attribute changed; babble is made of the others."""
    # Drawn for a clip and an attribute, not for a level: so levels of one clip differ in severity alone.
    rng = generator(seed, "robustness", clip_id, name)
    others = [*clips[:position], *clips[position + 1 :]]
    return change(name, level, Clip(clips[position], sample_rate, rng, others))


def within_full_scale(waveforms: Sequence[Waveform]) -> list[Waveform]:
    """Waveforms cut off at +-1, as the store has them."""
    return [np.clip(waveform, -1, 1) for waveform in waveforms]


def recordings(paths: Sequence[Path], sample_rate: int) -> Iterator[Waveform]:
    """Waveforms at one rate.

    Raises
    ------
    InputError
        One cannot be read.
    """
    for path in paths:
        try:
            yield resample(*decode(path.read_bytes()), sample_rate)
        except (BadClipError, OSError) as error:
            raise InputError(f"{path}: {error}; run 'dvc repro', which reads the data set again") from None


def ask_chunk(evaluator: Evaluator, rows: pd.DataFrame, root: Path, names: Sequence[str], seed: int) -> pd.DataFrame:
    """Ask a model about some clips as they are and with each attribute at every level.

    Parameters
    ----------
    evaluator : Evaluator
    rows : DataFrame
        Test clips: `path` and the columns of `PREDICTED_COLUMNS` but for `predicted`. The babble that a clip gets is
        of the others.
    root : Path
        Folder of the data set.
    names : sequence of str
        Keys of `ATTRIBUTES`.
    seed : int

    Returns
    -------
    DataFrame
        Of every clip and version: `change`, `level`, `change_db`, then `PREDICTED_COLUMNS` and `score_LABEL`.
    """
    model, evaluated = evaluator.load()
    contract = feature_contract(model.config)
    waveforms = list(recordings([root / path for path in rows["path"]], contract["sample_rate"]))
    clips = within_full_scale(waveforms)
    keys = [(CLEAN, 0), *((name, level) for name in names for level in LEVELS)]
    tables = []
    for position, row in enumerate(rows.to_dict("records")):
        versions = _Versions(waveforms[position], clips, position, row["clip_id"], contract, seed)
        clip_ids = [f"{name}/{level}" for name, level in keys]
        scores = score_clips(model, clip_ids, versions, evaluated.vote, evaluated.overlap)
        found = pd.DataFrame(keys, columns=list(CONDITION)).assign(change_db=[versions.sizes[key] for key in clip_ids])
        tables.append(decided(found.merge(rows.iloc[[position]], how="cross"), scores, model.labels, evaluated))
    return pd.concat(tables, ignore_index=True)


def decided(rows: pd.DataFrame, scores: Tensor, labels: list[str], evaluated: Evaluated) -> pd.DataFrame:
    """Rows with what a model says of them, in the order of columns that `ask_chunk` returns."""
    probabilities = scores.numpy()
    rows = rows.assign(predicted=decide(probabilities, labels, evaluated.threshold))
    rows[[score_column(label) for label in labels]] = probabilities
    kept = [name for name in (*CONDITION, "change_db", *PREDICTED_COLUMNS) if name in rows]
    return rows[[*kept, *map(score_column, labels)]]
