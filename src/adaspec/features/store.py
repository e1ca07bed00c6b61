"""Clips in Arrow IPC shards, read by memory map.

A shard holds `clip_id`, `n_steps` and `values`: the whole clip but for its silent ends, as a representation encodes it,
flattened. The schema's metadata carries the contract: which representation it is and which settings made it. A reader
that expects another contract refuses.
"""

from __future__ import annotations

import functools
import json
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from adaspec.errors import InputError
from adaspec.features.representation import REPRESENTATIONS, Contract, Representation, Values, representation_of
from adaspec.runtime.text import one_line

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["FeatureStore", "write_shard"]

METADATA_KEY = b"adaspec"
FIELDS = ["clip_id", "n_steps", "values"]
DAMAGE = (pa.ArrowException, OSError, ValueError, KeyError, TypeError, IndexError)  # what reading broken bytes raises
BATCH_VALUES = 16 * 2**20  # numbers per record batch: bounds the memory of a shard of long clips


def write_shard(path: Path, contract: Contract, clips: Iterable[tuple[str, Values]]) -> None:
    """Write one shard.

    Parameters
    ----------
    path : Path
    contract : dict
        From `feature_contract`.
    clips : iterable of (clip_id, values)
        As the contract's representation encodes them; taken one at a time.
    """
    kind = pa.from_numpy_dtype(REPRESENTATIONS[contract["representation"]].dtype)
    fields = [("clip_id", pa.string()), ("n_steps", pa.int32()), ("values", pa.large_list(kind))]
    schema = pa.schema(fields, metadata={METADATA_KEY: json.dumps(contract, sort_keys=True)})
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        for clip_ids, values in _batches(clips):
            offsets = np.cumsum([0] + [value.size for value in values])
            flat = (
                values[0].reshape(-1) if len(values) == 1 else np.concatenate([value.reshape(-1) for value in values])
            )
            column = pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), pa.array(flat))
            n_steps = pa.array([len(value) for value in values], pa.int32())
            writer.write_batch(pa.record_batch([pa.array(clip_ids, pa.string()), n_steps, column], schema=schema))


def _batches(clips: Iterable[tuple[str, Values]]) -> Iterator[tuple[list[str], list[Values]]]:
    clip_ids: list[str] = []
    values: list[Values] = []
    for clip_id, value in clips:
        if value.size >= BATCH_VALUES and clip_ids:  # a long clip is not copied together with others
            yield clip_ids, values
            clip_ids, values = [], []
        clip_ids.append(clip_id)
        values.append(value)
        if sum(pending.size for pending in values) >= BATCH_VALUES:
            yield clip_ids, values
            clip_ids, values = [], []
    if clip_ids:
        yield clip_ids, values


def _differences(found: Contract, wanted: Contract) -> str:
    """Name what two contracts differ in, those of a front end one by one."""
    ours, theirs = (
        {
            name if inner is None else f"{name}.{inner}": repr(value)
            for name, content in contract.items()
            for inner, value in (content.items() if isinstance(content, dict) else [(None, content)])
        }
        for contract in (found, wanted)
    )
    names = sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
    return ", ".join(f"{name}={ours.get(name, 'unset')} (wanted {theirs.get(name, 'unset')})" for name in names)


def _read_shard(path: Path) -> tuple[Contract, list[pa.RecordBatch]]:
    """Contract and content of a shard, mapped; lengths and offsets, on which everything rests, are checked."""
    reader = pa.ipc.open_file(pa.memory_map(str(path)))
    contract = json.loads(reader.schema.metadata[METADATA_KEY])
    batches = [reader.get_batch(index) for index in range(reader.num_record_batches)]
    if reader.schema.names != FIELDS:
        raise ValueError(f"its columns are {', '.join(reader.schema.names)}")
    for batch in batches:
        batch.validate(full=True)
    return contract, batches


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
        There is no shard, or one is damaged or holds something else.
    """

    def __init__(self, folder: Path, contract: Contract) -> None:
        shards = sorted(folder.glob("*.arrow"))
        if not shards:
            raise InputError(f"{folder} holds no features; run 'dvc repro features'")
        self.contract = contract
        self._where: dict[str, tuple[pa.RecordBatch, int]] = {}
        for shard in shards:
            try:
                found, batches = _read_shard(shard)
            except DAMAGE as error:
                raise InputError(
                    f"{shard} is damaged ({one_line(error, 100)}); run 'dvc repro features', which makes it again"
                ) from None
            if found != contract:
                raise InputError(
                    f"{shard} was made with other settings: {_differences(found, contract)}; run 'dvc repro features'"
                )
            for batch in batches:
                self._where |= {clip_id: (batch, row) for row, clip_id in enumerate(batch.column(0).to_pylist())}

    @functools.cached_property
    def representation(self) -> Representation:
        """How its clips are kept."""
        return representation_of(self.contract)

    def __len__(self) -> int:
        return len(self._where)

    def __contains__(self, clip_id: str) -> bool:
        return clip_id in self._where

    def __getitem__(self, clip_id: str) -> Values:
        """A view of the mapped file, whose first axis is time."""
        batch, row = self._where[clip_id]
        column = batch.column("values")
        start, end = column.offsets[row].as_py(), column.offsets[row + 1].as_py()
        values: Values = column.values.slice(start, end - start).to_numpy(zero_copy_only=True)
        if REPRESENTATIONS[self.contract["representation"]].n_dims == 1:
            return values
        return values.reshape(batch.column("n_steps")[row].as_py(), -1)

    def tensor(self, clip_id: str) -> Tensor:
        """The same view as a tensor, not to be written to."""
        import torch

        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
            return torch.from_numpy(self[clip_id])
