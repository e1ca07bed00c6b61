"""Clips in Arrow IPC shards, read by memory map.

A shard holds `clip_id` and either `waveform` (int16, mono, the whole clip but for its silent ends) or `features`
(float16 logarithms of energies, n_frames x n_mels, flattened) with `n_frames`. The schema's metadata carries the
contract: what the numbers are and which settings made them. A reader that expects another contract refuses.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from adaspec.config import ModelConfig
from adaspec.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Contract", "FeatureStore", "feature_contract", "write_shard"]

Contract: TypeAlias = dict[str, Any]
Values: TypeAlias = npt.NDArray[np.int16] | npt.NDArray[np.float16]

METADATA_KEY = b"adaspec"
BATCH_VALUES = 16 * 2**20  # numbers per record batch: bounds the memory of a shard of long clips


def feature_contract(config: ModelConfig) -> Contract:
    """What the store must hold for this configuration: waveforms for a front end that may learn, else its features.

    Parameters
    ----------
    config : ModelConfig
        Resolved.

    Returns
    -------
    dict
        `representation` ("waveform" or "fbank"), `sample_rate` in Hz, `trim_db`, and for "fbank" its settings.
    """
    audio = {"sample_rate": config.audio.sample_rate, "trim_db": config.audio.trim_db}
    if config.frontend.name == "fbank":
        # What is normalised is the window that a model sees, not the whole clip.
        return {"representation": "fbank", **audio, "fbank": config.features.fbank.model_dump(exclude={"normalize"})}
    return {"representation": "waveform", **audio}


def write_shard(path: Path, contract: Contract, clips: Iterable[tuple[str, Values]]) -> None:
    """Write one shard.

    Parameters
    ----------
    path : Path
    contract : dict
        From `feature_contract`.
    clips : iterable of (clip_id, values)
        int16 (n_samples,), or float16 (n_frames, n_mels); taken one at a time.
    """
    waveform = contract["representation"] == "waveform"
    fields = [pa.field("clip_id", pa.string())]
    if waveform:
        fields.append(pa.field("waveform", pa.large_list(pa.int16())))
    else:
        fields += [pa.field("n_frames", pa.int32()), pa.field("features", pa.large_list(pa.float16()))]
    schema = pa.schema(fields, metadata={METADATA_KEY: json.dumps(contract, sort_keys=True)})
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        for clip_ids, values in _batches(clips):
            offsets = np.cumsum([0] + [value.size for value in values])
            flat = np.concatenate([value.reshape(-1) for value in values])
            column = pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), pa.array(flat))
            columns: list[pa.Array] = [pa.array(clip_ids, pa.string())]
            if not waveform:
                columns.append(pa.array([len(value) for value in values], pa.int32()))
            writer.write_batch(pa.record_batch([*columns, column], schema=schema))


def _batches(clips: Iterable[tuple[str, Values]]) -> Iterator[tuple[list[str], list[Values]]]:
    clip_ids: list[str] = []
    values: list[Values] = []
    for clip_id, value in clips:
        clip_ids.append(clip_id)
        values.append(value)
        if sum(pending.size for pending in values) >= BATCH_VALUES:
            yield clip_ids, values
            clip_ids, values = [], []
    if clip_ids:
        yield clip_ids, values


class FeatureStore:
    """Read access to a folder of shards; nothing is loaded until a clip is asked for.

    Parameters
    ----------
    folder : Path
        Output of the stage `features`.
    contract : dict
        What the reader needs, from `feature_contract`.

    Raises
    ------
    InputError
        There is no shard, or one holds something else.
    """

    def __init__(self, folder: Path, contract: Contract) -> None:
        shards = sorted(folder.glob("*.arrow"))
        if not shards:
            raise InputError(f"{folder} holds no features; run 'dvc repro features'")
        self.contract = contract
        self._where: dict[str, tuple[pa.RecordBatch, int]] = {}
        for shard in shards:
            reader = pa.ipc.open_file(pa.memory_map(str(shard)))
            found = json.loads(reader.schema.metadata[METADATA_KEY])
            if found != contract:
                differing = sorted(key for key in found.keys() | contract.keys() if found.get(key) != contract.get(key))
                told = ", ".join(f"{key}={found.get(key)!r} (wanted {contract.get(key)!r})" for key in differing)
                raise InputError(f"{shard} was made with other settings: {told}; run 'dvc repro features'")
            for index in range(reader.num_record_batches):
                batch = reader.get_batch(index)
                self._where |= {clip_id: (batch, row) for row, clip_id in enumerate(batch.column(0).to_pylist())}

    def __len__(self) -> int:
        return len(self._where)

    def __contains__(self, clip_id: str) -> bool:
        return clip_id in self._where

    def __getitem__(self, clip_id: str) -> Values:
        """A view of the mapped file: int16 (n_samples,), or float16 (n_frames, n_mels)."""
        batch, row = self._where[clip_id]
        column = batch.column(batch.num_columns - 1)
        start, end = column.offsets[row].as_py(), column.offsets[row + 1].as_py()
        values: Values = column.values.slice(start, end - start).to_numpy(zero_copy_only=True)
        if batch.num_columns == 3:
            return values.reshape(batch.column(1)[row].as_py(), -1)
        return values

    def tensor(self, clip_id: str) -> Tensor:
        """The same view as a tensor, not to be written to."""
        import torch

        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
            return torch.from_numpy(self[clip_id])
