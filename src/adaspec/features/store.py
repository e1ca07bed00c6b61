"""Clips in Arrow IPC shards, read by memory map.

A shard holds `clip_id`, `n_steps` and `values`: the whole clip but for its silent ends, as a representation encodes it,
flattened. Clips stand in the order of their names, within a shard and from shard to shard, so that one is found without
an index of all. The schema's metadata carries the contract: which representation it is and which settings made it. A
reader that expects another contract refuses.
"""

from __future__ import annotations

import bisect
import functools
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from adaspec.errors import InputError
from adaspec.features.representation import REPRESENTATIONS, Contract, Representation, Values, representation_of
from adaspec.runtime.text import one_line

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["FeatureStore", "read_shard", "write_shard"]

METADATA_KEY = b"adaspec"
FIELDS = ["clip_id", "n_steps", "values"]
DAMAGE = (pa.ArrowException, OSError, ValueError, KeyError, TypeError, IndexError)  # what reading broken bytes raises
BATCH_VALUES = 16 * 2**20  # numbers per record batch: bounds the memory of a shard of long clips
N_OPEN = 4096  # shards that stay mapped; Linux allows a process some 65,000 mappings


def write_shard(path: Path, contract: Contract, clips: Iterable[tuple[str, Values]]) -> int:
    """Write one shard, and return the number of its clips.

    Parameters
    ----------
    path : Path
    contract : dict
        From `feature_contract`.
    clips : iterable of (clip_id, values)
        In the order of their names, as the contract's representation encodes them; taken one at a time.
    """
    kind = pa.from_numpy_dtype(REPRESENTATIONS[contract["representation"]].dtype)
    fields = [("clip_id", pa.string()), ("n_steps", pa.int32()), ("values", pa.large_list(kind))]
    schema = pa.schema(fields, metadata={METADATA_KEY: json.dumps(contract, sort_keys=True)})
    n_clips = 0
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        for clip_ids, values in _batches(clips):
            offsets = np.cumsum([0] + [value.size for value in values])
            flat = (
                values[0].reshape(-1) if len(values) == 1 else np.concatenate([value.reshape(-1) for value in values])
            )
            column = pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), pa.array(flat))
            n_steps = pa.array([len(value) for value in values], pa.int32())
            writer.write_batch(pa.record_batch([pa.array(clip_ids, pa.string()), n_steps, column], schema=schema))
            n_clips += len(clip_ids)
    return n_clips


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


def _open_shard(path: Path, contract: Contract) -> list[pa.RecordBatch]:
    """Content of a shard, mapped; lengths, offsets and order, on which everything rests, are checked.

    Raises
    ------
    InputError
        It is damaged, or was made by another contract.
    """
    try:
        with pa.memory_map(str(path)) as file:  # what is mapped stays so when the file is closed
            reader = pa.ipc.open_file(file)
            found = json.loads(reader.schema.metadata[METADATA_KEY])
            batches = [reader.get_batch(index) for index in range(reader.num_record_batches)]
        if reader.schema.names != FIELDS:
            raise ValueError(f"its columns are {', '.join(reader.schema.names)}")
        for batch in batches:
            batch.validate(full=True)
        if not _ordered(batches):
            raise ValueError("its clips are not in the order of their names")
    except DAMAGE as error:
        raise InputError(
            f"{path} is damaged ({one_line(error, 100)}); run 'dvc repro features', which makes it again"
        ) from None
    if found != contract:
        raise InputError(
            f"{path} was made with other settings: {_differences(found, contract)}; run 'dvc repro features'"
        )
    return batches


def _ordered(batches: list[pa.RecordBatch]) -> bool:
    ids = pa.chunked_array([batch.column(0) for batch in batches], pa.string())
    return len(ids) > 0 and pc.all(pc.less(ids[:-1], ids[1:]), min_count=0).as_py()


def _stored(batch: pa.RecordBatch, row: int) -> pa.Array:
    """What is kept of a clip, flattened: a view of the mapped file."""
    column = batch.column("values")
    start, end = column.offsets[row].as_py(), column.offsets[row + 1].as_py()
    return column.values.slice(start, end - start)


def _shape(batch: pa.RecordBatch, row: int, contract: Contract) -> tuple[int, ...]:
    n_steps = batch.column("n_steps")[row].as_py()
    return (n_steps, -1) if REPRESENTATIONS[contract["representation"]].n_dims == 2 else (-1,)


def _tensor(batch: pa.RecordBatch, row: int, contract: Contract) -> Tensor:
    from torch.utils.dlpack import from_dlpack  # here: whoever only writes shards does without torch

    # Not by way of NumPy: of its views that are not to be written to torch warns.
    return from_dlpack(_stored(batch, row)).view(_shape(batch, row, contract))


def read_shard(path: Path, contract: Contract) -> Iterator[tuple[str, Tensor]]:
    """Clips of one shard, each a view of the mapped file, not to be written to.

    Raises
    ------
    InputError
        It is damaged, or was made by another contract.
    """
    for batch in _open_shard(path, contract):
        for row, clip_id in enumerate(batch.column(0)):
            yield clip_id.as_py(), _tensor(batch, row, contract)


class FeatureStore:
    """Read access to a folder of shards; nothing is loaded until a clip is asked for.

    Memory grows with the number of shards, not with that of clips.

    Parameters
    ----------
    folder : Path
        Output of the stage `features`.
    contract : dict
        What the reader needs, from `feature_contract`.
    representation : Representation, optional
        How its clips are kept; by default as the contract says.

    Raises
    ------
    InputError
        There is no shard, or one is damaged or holds something else.

    Attributes
    ----------
    shards : list of Path
    """

    def __init__(self, folder: Path, contract: Contract, representation: Representation | None = None) -> None:
        self.shards = sorted(folder.glob("*.arrow"), key=lambda path: (len(path.name), path.name))
        if not self.shards:
            raise InputError(f"{folder} holds no features; run 'dvc repro features'")
        self.contract, self._representation = contract, representation
        self._first_ids: list[str] = []
        self._n_clips, last = 0, ""
        shards = self.shards

        @functools.lru_cache(N_OPEN)
        def opened(index: int) -> list[pa.RecordBatch]:  # without self, or a store would keep itself, and files mapped
            return _open_shard(shards[index], contract)

        self._opened = opened
        for index, shard in enumerate(shards):
            batches = opened(index)
            first = batches[0].column(0)[0].as_py()
            if self._first_ids and first <= last:
                raise InputError(
                    f"{shard} is damaged (clip {first!r} does not follow {last!r}, the last one of the shard before); "
                    "run 'dvc repro features', which makes it again"
                )
            self._first_ids.append(first)
            self._n_clips += sum(batch.num_rows for batch in batches)
            last = batches[-1].column(0)[-1].as_py()

    @functools.cached_property
    def representation(self) -> Representation:
        """How its clips are kept."""
        return self._representation or representation_of(self.contract)

    def __len__(self) -> int:
        return self._n_clips

    def __contains__(self, clip_id: str) -> bool:
        return self._find(clip_id) is not None

    def __getitem__(self, clip_id: str) -> Values:
        """A view of the mapped file, whose first axis is time."""
        batch, row = self._found(clip_id)
        values: Values = _stored(batch, row).to_numpy(zero_copy_only=True)
        return values.reshape(_shape(batch, row, self.contract))

    def tensor(self, clip_id: str) -> Tensor:
        """The same view as a tensor, not to be written to."""
        return _tensor(*self._found(clip_id), self.contract)

    def _found(self, clip_id: str) -> tuple[pa.RecordBatch, int]:
        found = self._find(clip_id)
        if found is None:
            raise KeyError(clip_id)
        return found

    def _find(self, clip_id: str) -> tuple[pa.RecordBatch, int] | None:
        index = bisect.bisect_right(self._first_ids, clip_id) - 1
        for batch in self._opened(index) if index >= 0 else ():
            ids = batch.column(0)
            row = bisect.bisect_left(range(len(ids)), clip_id, key=lambda place: ids[place].as_py())
            if row < len(ids) and ids[row].as_py() == clip_id:
                return batch, row
        return None
