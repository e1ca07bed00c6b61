from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import DataLoader
from toydata import small_config

from adaspec.features.representation import feature_contract
from adaspec.features.store import FeatureStore, write_shard
from adaspec.features.windows import Pad
from adaspec.training.batches import train_batches

N_CLIPS, N_SAMPLES, STEP = 14, 1000, 2000
SHORT = 30  # samples of the last clip
LABELS = ["even", "odd"]
WAVEFORM = small_config(Path("raw"))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    """Clip k holds k * STEP + sample index, so that a window tells where it comes from."""
    folder = tmp_path_factory.mktemp("store")
    contract = feature_contract(WAVEFORM)
    lengths = [N_SAMPLES] * (N_CLIPS - 1) + [SHORT]
    clips = [(f"c{k:02d}", (k * STEP + np.arange(n)).astype(np.int16)) for k, n in enumerate(lengths)]
    write_shard(folder / "0.arrow", contract, clips[:8])
    write_shard(folder / "1.arrow", contract, clips[8:])
    return FeatureStore(folder, contract)


def table(n_clips: int = N_CLIPS, weights: list[int] | None = None) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "clip_id": [f"c{k:02d}" for k in range(n_clips)],
            "label": [LABELS[k % 2] for k in range(n_clips)],
            "weight": weights or [1] * n_clips,
        }
    )


def loader_of(
    store: FeatureStore,
    train: pd.DataFrame,
    n_window: int = 100,
    pad: Pad = "repeat",
    batch_size: int = 4,
    keys: tuple[int, int] = (42, 1),
    *,
    even_labels: bool = False,
) -> DataLoader[tuple[torch.Tensor, torch.Tensor]]:
    return train_batches(store, train, LABELS, n_window, pad, batch_size, keys, even_labels=even_labels)


Drawn = list[tuple[int, int, int]]  # clip, start, target


def draw(
    store: FeatureStore,
    train: pd.DataFrame,
    epoch: int = 0,
    batch_size: int = 4,
    keys: tuple[int, int] = (42, 1),
    n_window: int = 100,
) -> list[Drawn]:
    loader = loader_of(store, train, n_window, batch_size=batch_size, keys=keys)
    loader.sampler.set_epoch(epoch)
    batches = []
    for windows, targets, _ in loader:
        assert windows.shape == (len(targets), n_window)
        assert windows.dtype == torch.int16
        firsts = windows[:, 0].tolist()
        batches.append([(v // STEP, v % STEP, t) for v, t in zip(firsts, targets.tolist(), strict=True)])
    return batches


def flat(batches: list[Drawn]) -> Drawn:
    return [item for batch in batches for item in batch]


@pytest.mark.parametrize("epoch", [0, 5])
def test_batches_hold_every_entry_as_often_as_its_weight(store: FeatureStore, epoch: int) -> None:
    weights = [1, 0, 3, 1, 2, 1, 1, 0, 1, 1, 1, 1, 5, 1]
    drawn = flat(draw(store, table(weights=weights), epoch))
    assert Counter(clip for clip, _, _ in drawn) == Counter({k: w for k, w in enumerate(weights) if w})
    assert all(target == clip % 2 for clip, _, target in drawn)


def test_batches_take_a_repeated_clip_at_different_places(store: FeatureStore) -> None:
    drawn = flat(draw(store, table(2, weights=[12, 1])))
    starts = {start for clip, start, _ in drawn if clip == 0}
    assert len(starts) > 6


def test_batches_cut_windows_within_the_clip(store: FeatureStore) -> None:
    loader = loader_of(store, table(13), pad="zeros")
    starts = []
    for epoch in range(60):
        loader.sampler.set_epoch(epoch)
        for windows, *_ in loader:
            assert torch.equal(windows[:, 1:] - windows[:, :-1], torch.ones(len(windows), 99, dtype=torch.int16))
            starts += [first % STEP for first in windows[:, 0].tolist()]
    assert max(starts) <= N_SAMPLES - 100
    assert min(starts) < 30  # the ends are reached
    assert max(starts) > N_SAMPLES - 130
    assert np.mean(starts) == pytest.approx(450, abs=40)


def test_batches_order_differs_between_epochs(store: FeatureStore) -> None:
    orders = {tuple(clip for clip, _, _ in flat(draw(store, table(), epoch))) for epoch in range(5)}
    assert len(orders) == 5
    assert tuple(range(N_CLIPS)) not in orders


def test_batches_are_the_same_for_the_same_seed_fold_and_epoch(store: FeatureStore) -> None:
    assert draw(store, table(), 3) == draw(store, table(), 3)


@pytest.mark.parametrize("keys", [(43, 1), (42, 2)])
def test_batches_differ_between_seeds_and_folds(store: FeatureStore, keys: tuple[int, int]) -> None:
    first, other = draw(store, table(), 3), draw(store, table(), 3, keys=keys)
    assert [clip for clip, _, _ in flat(first)] != [clip for clip, _, _ in flat(other)]
    assert sorted(flat(first))[:13] != sorted(flat(other))[:13]  # by clip: the windows differ as well


def test_batches_windows_differ_between_epochs(store: FeatureStore) -> None:
    first, second = (dict((c, s) for c, s, _ in flat(draw(store, table(13), epoch))) for epoch in (0, 1))
    assert sum(first[clip] != second[clip] for clip in range(13)) > 9


def test_batches_windows_are_independent_of_batch_size(store: FeatureStore) -> None:
    by_size = [sorted(flat(draw(store, table(), 2, batch_size))) for batch_size in (2, 5, 14, 100)]
    assert all(windows == by_size[0] for windows in by_size)


def test_batches_follow_the_sampler_from_epoch_to_epoch(store: FeatureStore) -> None:
    loader = loader_of(store, table())
    loader.sampler.set_epoch(1)
    first = [targets.tolist() for _, targets, _ in loader]
    loader.sampler.set_epoch(2)
    assert [targets.tolist() for _, targets, _ in loader] != first
    loader.sampler.set_epoch(1)
    assert [targets.tolist() for _, targets, _ in loader] == first


@pytest.mark.parametrize("n_clips", [1, 2, 5, 8, 13, 14])
@pytest.mark.parametrize("batch_size", [2, 3, 4, 13, 32])
def test_batches_differ_in_size_by_one_at_most(store: FeatureStore, n_clips: int, batch_size: int) -> None:
    batches = draw(store, table(n_clips), batch_size=batch_size)
    sizes = [len(batch) for batch in batches]
    assert sum(sizes) == n_clips
    assert max(sizes) <= batch_size
    assert max(sizes) - min(sizes) <= 1
    assert len(loader_of(store, table(n_clips), batch_size=batch_size, keys=(1, 1))) == len(sizes)


def test_batches_of_repeated_clips_go_round_their_end(store: FeatureStore) -> None:
    """With pad=repeat a window begins anywhere, and goes on at the clip's first sample after its last."""
    starts = set()
    loader = loader_of(store, table(13))
    for epoch in range(60):
        loader.sampler.set_epoch(epoch)
        for windows, *_ in loader:
            for window in windows.numpy().astype(int):
                clip, start = divmod(window[0], STEP)
                assert (window == clip * STEP + (start + np.arange(100)) % N_SAMPLES).all()
                starts.add(start)
    assert min(starts) < 30
    assert max(starts) > N_SAMPLES - 30


@pytest.mark.parametrize("pad", ["repeat", "zeros"])
def test_batches_pad_short_clips(store: FeatureStore, pad: Pad) -> None:
    ((windows, *_),) = loader_of(store, table().tail(1), pad=pad)
    whole = (N_CLIPS - 1) * STEP + np.arange(SHORT)
    turned = np.roll(whole, -(int(windows[0, 0]) - whole[0]))
    expected = np.tile(turned, 4)[:100] if pad == "repeat" else np.concatenate([whole, np.zeros(70)])
    assert windows.numpy().tolist() == [expected.tolist()]


def test_batches_of_features_are_windows_of_frames(tmp_path: Path) -> None:
    config = small_config(Path("raw"), **{"frontend.name": "fbank", "frontend.fixed.fbank.n_mels": 4})
    contract = feature_contract(config)
    frames = np.arange(50, dtype=np.float16)[:, None] + np.array([0, 100, 200, 300], dtype=np.float16)
    write_shard(tmp_path / "0.arrow", contract, [("c00", frames), ("c01", frames[:6])])
    store = FeatureStore(tmp_path, contract)
    ((windows, targets, _),) = loader_of(store, table(2), 10)
    assert windows.shape == (2, 10, 4)
    assert windows.dtype == torch.float16
    long, short = windows[targets.tolist().index(0)], windows[targets.tolist().index(1)]
    for window, n_frames in ((long, 50), (short, 6)):
        turned = (int(window[0, 0]) + np.arange(10)) % n_frames
        assert torch.equal(window, torch.from_numpy(frames[turned]))


def test_even_labels_come_equally_often_with_windows_of_their_own(store: FeatureStore) -> None:
    train = table(12)
    train["label"] = ["even"] * 2 + ["odd"] * 10
    counts: Counter[int] = Counter()
    starts: dict[int, list[int]] = {}
    for epoch in range(40):
        loader = loader_of(store, train, even_labels=True)
        loader.sampler.set_epoch(epoch)
        batches = list(loader)
        assert [len(targets) for _, targets, _ in batches] == [4, 4, 4]
        for windows, targets, _ in batches:
            counts.update(targets.tolist())
            for first in windows[:, 0].tolist():
                starts.setdefault(first // STEP, []).append(first % STEP)
    assert counts[0] / counts.total() == pytest.approx(0.5, abs=0.07)
    assert len(set(starts[0])) > 0.8 * len(starts[0])
    again = loader_of(store, train, even_labels=True)
    again.sampler.set_epoch(39)
    assert all(torch.equal(a, b) for (a, *_), (b, *_) in zip(again, batches, strict=True))
