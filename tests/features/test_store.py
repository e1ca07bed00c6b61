import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from adaspec.config import load_config
from adaspec.errors import InputError
from adaspec.features import store as store_module
from adaspec.features.representation import feature_contract
from adaspec.features.store import FeatureStore, write_shard

CONFIG = load_config(Path(__file__).parents[2] / "params.yaml")
WAVEFORM = feature_contract(CONFIG)
FBANK = feature_contract(CONFIG.model_copy(update={"frontend": CONFIG.frontend.model_copy(update={"name": "fbank"})}))
N_MELS = 3

waveforms = hnp.arrays(np.int16, st.integers(1, 40))
features = hnp.arrays(np.float16, st.tuples(st.integers(1, 12), st.just(N_MELS)), elements=st.floats(-60, 60, width=16))


def write_shards(folder: Path, contract: dict[str, Any], shards: Iterable[Iterable[Any]]) -> dict[str, Any]:
    written = {}
    for index, shard in enumerate(shards):
        clips = [(f"clip-{index:03d}-{row}", values) for row, values in enumerate(shard)]
        write_shard(folder / f"{index:05d}.arrow", contract, clips)
        written |= dict(clips)
    return written


def assert_holds(store: FeatureStore, written: dict[str, Any]) -> None:
    assert len(store) == len(written)
    for clip_id, values in written.items():
        assert clip_id in store
        found = store[clip_id]
        assert found.dtype == values.dtype
        assert found.shape == values.shape
        assert found.tobytes() == values.tobytes()


@settings(max_examples=40, deadline=None)
@given(
    shards=st.lists(st.lists(waveforms, min_size=1, max_size=5), min_size=1, max_size=3),
    batch_values=st.integers(1, 100),
)
def test_store_returns_waveforms_as_written(tmp_path_factory, shards, batch_values) -> None:
    folder = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store_module, "BATCH_VALUES", batch_values)
        written = write_shards(folder, WAVEFORM, shards)
    assert_holds(FeatureStore(folder, WAVEFORM), written)


@settings(max_examples=40, deadline=None)
@given(
    shards=st.lists(st.lists(features, min_size=1, max_size=5), min_size=1, max_size=3),
    batch_values=st.integers(1, 100),
)
def test_store_returns_features_as_written(tmp_path_factory, shards, batch_values) -> None:
    folder = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store_module, "BATCH_VALUES", batch_values)
        written = write_shards(folder, FBANK, shards)
    assert_holds(FeatureStore(folder, FBANK), written)


def test_store_splits_a_shard_into_record_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "BATCH_VALUES", 100)
    written = write_shards(tmp_path, WAVEFORM, [[np.full(60, row, np.int16) for row in range(7)]])
    with pa.ipc.open_file(pa.memory_map(str(tmp_path / "00000.arrow"))) as reader:
        assert [reader.get_batch(index).num_rows for index in range(reader.num_record_batches)] == [2, 2, 2, 1]
    assert_holds(FeatureStore(tmp_path, WAVEFORM), written)


def test_store_features_that_are_not_contiguous_are_kept(tmp_path: Path) -> None:
    values = np.arange(12, dtype=np.float16).reshape(3, 4).T
    write_shard(tmp_path / "0.arrow", FBANK, [("a", values)])
    np.testing.assert_array_equal(FeatureStore(tmp_path, FBANK)["a"], values)


def test_store_gives_views_of_the_mapped_file(tmp_path: Path) -> None:
    for contract, values in ((WAVEFORM, np.arange(50_000, dtype=np.int16)), (FBANK, np.ones((500, 100), np.float16))):
        folder = tmp_path / contract["representation"]
        folder.mkdir()
        write_shard(folder / "0.arrow", contract, [("a", values), ("b", values)])
        before = pa.total_allocated_bytes()
        store = FeatureStore(folder, contract)
        first, again = store["b"], store["b"]
        assert not first.flags.owndata
        assert not first.flags.writeable
        assert np.shares_memory(first, again)
        assert pa.total_allocated_bytes() - before < values.nbytes / 10


def test_store_clip_outlives_the_store(tmp_path: Path) -> None:
    values = np.arange(1000, dtype=np.int16)
    write_shard(tmp_path / "0.arrow", WAVEFORM, [("a", values)])
    store = FeatureStore(tmp_path, WAVEFORM)
    view = store["a"]
    del store
    np.testing.assert_array_equal(view, values)


def test_store_of_many_shards_holds_no_file_open(tmp_path: Path) -> None:
    written = write_shards(tmp_path, WAVEFORM, [[np.full(3, index, np.int16)] for index in range(100)])
    before = len(os.listdir("/proc/self/fd"))
    store = FeatureStore(tmp_path, WAVEFORM)
    views = [store[clip_id] for clip_id in written]
    assert len(os.listdir("/proc/self/fd")) == before
    assert [int(view[0]) for view in views] == list(range(100))


@pytest.mark.parametrize("shards", [["ba"], ["aa"], ["ac", "b"], ["b", "a"], ["ab", "bc"]])
def test_store_clips_out_of_order_are_refused(tmp_path: Path, shards: list[str]) -> None:
    for index, clip_ids in enumerate(shards):
        write_shard(tmp_path / f"{index}.arrow", WAVEFORM, [(clip_id, np.ones(3, np.int16)) for clip_id in clip_ids])
    with pytest.raises(InputError, match=r"is damaged \(.*; run 'dvc repro features', which makes it again"):
        FeatureStore(tmp_path, WAVEFORM)


def test_store_unknown_clip_is_not_contained(tmp_path: Path) -> None:
    write_shard(tmp_path / "0.arrow", WAVEFORM, [("a", np.ones(3, np.int16))])
    store = FeatureStore(tmp_path, WAVEFORM)
    assert "b" not in store
    with pytest.raises(KeyError, match="b"):
        store["b"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"sample_rate": 16_000}, "sample_rate=22050 (wanted 16000)"),
        ({"trim_db": None}, "trim_db=60.0 (wanted None)"),
        ({"representation": "log_spectrogram"}, "representation='waveform' (wanted 'log_spectrogram')"),
        ({"frontend": {"n_mels": 8}}, "frontend.n_mels=unset (wanted 8)"),
        (
            {"trim_db": 40.0, "sample_rate": 8000},
            "sample_rate=22050 (wanted 8000), trim_db=60.0 (wanted 40.0)",
        ),
    ],
)
def test_store_other_contract_is_refused_with_what_differs(tmp_path: Path, change: dict[str, Any], told: str) -> None:
    write_shard(tmp_path / "00000.arrow", WAVEFORM, [("a", np.ones(3, np.int16))])
    with pytest.raises(InputError) as refusal:
        FeatureStore(tmp_path, WAVEFORM | change)
    assert str(tmp_path / "00000.arrow") in str(refusal.value)
    assert f"made with other settings: {told}; run 'dvc repro features'" in str(refusal.value)


def test_store_one_odd_shard_among_many_is_refused(tmp_path: Path) -> None:
    write_shard(tmp_path / "00000.arrow", WAVEFORM, [("a", np.ones(3, np.int16))])
    write_shard(tmp_path / "00001.arrow", WAVEFORM | {"sample_rate": 8000}, [("b", np.ones(3, np.int16))])
    with pytest.raises(InputError, match=r"00001\.arrow was made with other settings: sample_rate=8000"):
        FeatureStore(tmp_path, WAVEFORM)


def test_store_damaged_shard_is_told_in_one_line(tmp_path: Path) -> None:
    written = write_shards(tmp_path, WAVEFORM, [[np.arange(20, dtype=np.int16), np.arange(9, dtype=np.int16)]])
    [shard] = tmp_path.iterdir()
    whole = shard.read_bytes()
    rng = np.random.default_rng(1)
    told = []
    for place in rng.integers(len(whole), size=200):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << rng.integers(8)
        for content in (bytes(damaged), whole[:place]):
            shard.unlink()  # else what is mapped would change
            shard.write_bytes(content)
            try:
                store = FeatureStore(tmp_path, WAVEFORM)
                assert all(store[clip_id].dtype == np.int16 for clip_id in written if clip_id in store)
            except InputError as error:
                told.append(str(error))
    assert len(told) >= 200  # every truncated one
    assert all(re.fullmatch(rf"{shard} .*; run 'dvc repro features'.*", line) for line in told)


def test_store_empty_or_missing_folder_is_refused(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(InputError) as refusal:
            FeatureStore(folder, WAVEFORM)
        assert str(refusal.value) == f"{folder} holds no features; run 'dvc repro features'"


def test_store_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    clips = [(f"c{row}", rng.integers(-9, 9, row + 1).astype(np.int16)) for row in range(5)]
    reordered = dict(reversed(WAVEFORM.items()))
    write_shard(tmp_path / "a.arrow", WAVEFORM, clips)
    write_shard(tmp_path / "b.arrow", reordered, iter(clips))
    assert (tmp_path / "a.arrow").read_bytes() == (tmp_path / "b.arrow").read_bytes()
    write_shard(tmp_path / "c.arrow", WAVEFORM, clips[:-1])
    assert (tmp_path / "a.arrow").read_bytes() != (tmp_path / "c.arrow").read_bytes()


def test_contract_of_waveforms_ignores_what_does_not_change_them() -> None:
    other = CONFIG.model_copy(
        update={
            "seed": 1,
            "frontend": CONFIG.frontend.model_copy(update={"n_fft": 2048, "learn_window": True}),
            "features": CONFIG.features.model_copy(update={"clips_per_shard": 3}),
        }
    )
    assert feature_contract(other) == WAVEFORM
    rate = CONFIG.model_copy(update={"audio": CONFIG.audio.model_copy(update={"sample_rate": 8000})})
    assert feature_contract(rate) != WAVEFORM


def test_contract_of_fbank_names_each_of_its_settings() -> None:
    assert FBANK["representation"] == "log_spectrogram"
    assert FBANK["frontend"] == {"name": "fbank", **CONFIG.frontend.fixed.fbank.model_dump(exclude={"normalize"})}
    assert FBANK["sample_rate"] == CONFIG.audio.sample_rate
