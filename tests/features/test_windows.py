from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from adaspec.features.representation import representation_of
from adaspec.features.store import FeatureStore, write_shard
from adaspec.features.windows import TOLERANCE, EvenWindows, cut, even_starts, random_start, vote, window_samples

WAVEFORM: dict[str, Any] = {"representation": "waveform", "sample_rate": 8000, "trim_db": None}
FBANK: dict[str, Any] = {
    "representation": "log_spectrogram",
    "sample_rate": 8000,
    "trim_db": None,
    "frontend": {"name": "fbank", "frame_length_ms": 25.0, "frame_shift_ms": 10.0, "n_mels": 20},
}
KEPT = {1: representation_of(WAVEFORM), 2: representation_of(FBANK)}  # by the dimensions of a clip

lengths = st.integers(1, 3000)
overlaps = st.sampled_from([0.0, 0.3, 0.5, 0.9])
clips = hnp.arrays(np.int16, st.integers(1, 60)) | hnp.arrays(
    np.float16, st.tuples(st.integers(1, 60), st.just(2)), elements=st.floats(-20, 20, width=16)
)


@given(n_clip=lengths, n_window=lengths, overlap=overlaps)
def test_even_starts_cover_the_clip_and_stay_within(n_clip: int, n_window: int, overlap: float) -> None:
    starts = even_starts(n_clip, n_window, overlap)
    assert all(isinstance(start, int) for start in starts)
    assert starts == sorted(starts)
    assert starts[0] >= 0
    assert starts[-1] + n_window <= max(n_clip, n_window)
    covered = np.zeros(max(n_clip, n_window), dtype=bool)
    for start in starts:
        covered[start : start + n_window] = True
    # Of each clip at most a tenth of a window is left out.
    assert np.count_nonzero(~covered[:n_clip]) <= TOLERANCE * n_window + 1e-6
    if len(starts) > 1:
        assert starts[0] == 0
        assert starts[-1] == n_clip - n_window
        assert max(np.diff(starts)) - min(np.diff(starts)) <= 1
    else:
        assert starts[0] == max(0, n_clip - n_window) // 2


@given(n_clip=lengths, n_window=lengths, overlap=overlaps)
def test_even_starts_are_no_more_than_needed(n_clip: int, n_window: int, overlap: float) -> None:
    starts = even_starts(n_clip, n_window, overlap)
    n_fewer = len(starts) - 2  # with so many steps of the overlap, more than the tolerance would be left out
    assert len(starts) == 1 or (1 + n_fewer * (1 - overlap) + TOLERANCE) * n_window < n_clip + 1e-6


@given(n_clip=lengths, n_window=lengths, overlap=overlaps)
def test_even_starts_overlap_by_what_is_asked_for(n_clip: int, n_window: int, overlap: float) -> None:
    steps = np.diff(even_starts(n_clip, n_window, overlap))
    if len(steps):
        # The tenth of a window that may be left out is shared by all steps; starts are whole samples.
        assert steps.max() <= (1 - overlap) * n_window + TOLERANCE * n_window / len(steps) + 1


def test_even_starts_are_more_with_overlap() -> None:
    assert even_starts(200, 100, 0.5) == [0, 50, 100]
    assert even_starts(200, 100, 0.75) == [0, 25, 50, 75, 100]
    assert even_starts(90, 100, 0.9) == [0]


@pytest.mark.parametrize(
    ("n_clip", "n_window", "starts"),
    [
        (100, 100, [0]),
        (1, 100, [0]),
        (108, 100, [4]),
        (120, 100, [0, 20]),
        (200, 100, [0, 100]),
        (205, 100, [0, 105]),
        (250, 100, [0, 75, 150]),
        (7, 1, list(range(7))),
    ],
)
def test_even_starts_examples(n_clip: int, n_window: int, starts: list[int]) -> None:
    assert even_starts(n_clip, n_window, 0.0) == starts


@given(n_clip=lengths, n_window=lengths, draw=st.floats(0, 1, exclude_max=True))
def test_random_start_is_in_range(n_clip: int, n_window: int, draw: float) -> None:
    assert 0 <= random_start(n_clip, n_window, "zeros", draw) <= max(0, n_clip - n_window)
    assert 0 <= random_start(n_clip, n_window, "repeat", draw) < n_clip


def test_random_starts_are_equally_likely_everywhere() -> None:
    draws = (np.arange(1200) + 0.5) / 1200
    within = [random_start(13, 10, "zeros", draw) for draw in draws]
    around = [random_start(6, 10, "repeat", draw) for draw in draws]
    assert np.bincount(within).tolist() == [300] * 4
    assert np.bincount(around).tolist() == [200] * 6


@given(clip=clips, n_window=st.integers(1, 150), data=st.data())
def test_cut_repeat_continues_with_the_clip_again(clip: np.ndarray, n_window: int, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(clip) - 1))
    window = cut(torch.from_numpy(clip), start, n_window, "repeat", KEPT[clip.ndim]).numpy()
    assert window.shape == (n_window, *clip.shape[1:])
    assert window.dtype == clip.dtype
    for index in range(n_window):
        assert window[index].tobytes() == clip[(start + index) % len(clip)].tobytes()


@given(clip=clips, n_window=st.integers(1, 150), data=st.data())
def test_cut_zeros_is_followed_by_silence(clip: np.ndarray, n_window: int, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, max(0, len(clip) - n_window)))
    window = cut(torch.from_numpy(clip), start, n_window, "zeros", KEPT[clip.ndim]).numpy()
    assert window.shape == (n_window, *clip.shape[1:])
    assert window.dtype == clip.dtype
    n_real = min(n_window, len(clip) - start)
    np.testing.assert_array_equal(window[:n_real], clip[start : start + n_real])
    silence = 0 if clip.ndim == 1 else clip.min()
    assert (window[n_real:] == silence).all()


@pytest.mark.parametrize(
    ("window_s", "sample_rate", "expected"),
    [(1e-6, 8000, 1), (0.01, 1000, 10), (0.3333, 22_050, 7349), (2.5, 8000, 20_000)],
)
def test_window_samples_are_rounded_and_at_least_one(window_s: float, sample_rate: int, expected: int) -> None:
    assert window_samples(window_s, sample_rate) == expected


@pytest.fixture(params=["waveform", "fbank"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> FeatureStore:
    """Clips of 1, 9, 10, 25 and 47 samples or frames."""
    contract, shape, dtype = (WAVEFORM, (), np.int16) if request.param == "waveform" else (FBANK, (20,), np.float16)
    rng = np.random.default_rng(0)
    written = [(f"c{n}", rng.integers(-99, 99, (n, *shape)).astype(dtype)) for n in (1, 10, 25, 47, 9)]
    write_shard(tmp_path / "0.arrow", contract, written)
    return FeatureStore(tmp_path, contract)


CLIP_IDS = ["c47", "c1", "c10", "c25", "c9"]


@pytest.mark.parametrize("pad", ["repeat", "zeros"])
def test_even_windows_are_those_of_each_clip_in_order(store: FeatureStore, pad: Literal["repeat", "zeros"]) -> None:
    expected = [
        (position, cut(store.tensor(clip_id), start, 10, pad, store.representation))
        for position, clip_id in enumerate(CLIP_IDS)
        for start in even_starts(len(store[clip_id]), 10, 0.0)
    ]
    assert [position for position, _ in expected] == [0, 0, 0, 0, 0, 1, 2, 3, 3, 3, 4]
    positions, windows = zip(*EvenWindows(store, CLIP_IDS, 10, pad, 0.0, batch_size=4), strict=True)
    assert [len(batch) for batch in positions] == [4, 4, 3]
    assert positions[0].dtype == torch.int64
    assert torch.cat(positions).tolist() == [position for position, _ in expected]
    np.testing.assert_array_equal(torch.cat(windows), np.stack([window for _, window in expected]))


def test_even_windows_do_not_depend_on_the_batch_size(store: FeatureStore) -> None:
    def gather(batch_size: int) -> tuple[torch.Tensor, torch.Tensor]:
        batches = list(EvenWindows(store, CLIP_IDS, 10, "repeat", 0.5, batch_size))
        assert all(len(windows) == batch_size for _, windows in batches[:-1])
        return torch.cat([positions for positions, _ in batches]), torch.cat([windows for _, windows in batches])

    positions, windows = gather(1)
    for batch_size in (2, 3, 11, 1000):
        other_positions, other_windows = gather(batch_size)
        assert torch.equal(other_positions, positions)
        assert torch.equal(other_windows, windows)


def test_even_windows_can_be_iterated_again(store: FeatureStore) -> None:
    windows = EvenWindows(store, CLIP_IDS, 10, "zeros", 0.0, 4)
    first, second = list(windows), list(windows)
    assert len(first) == len(second) == 3
    assert all(torch.equal(a[1], b[1]) for a, b in zip(first, second, strict=True))


def slow_vote(probabilities: np.ndarray, positions: list[int], n_clips: int, method: str) -> tuple[Any, list[int]]:
    """Mean or share of windows won, in float64, and the class that a clip goes to."""
    scores, winners = [], []
    for clip in range(n_clips):
        windows = probabilities[[row for row, position in enumerate(positions) if position == clip]].astype(float)
        mean = windows.mean(axis=0)
        share = np.bincount(windows.argmax(axis=1), minlength=probabilities.shape[1]) / len(windows)
        scores.append(mean if method == "mean" else share)
        ranked = mean if method == "mean" else [(share[k], mean[k]) for k in range(len(mean))]
        winners.append(max(range(len(mean)), key=ranked.__getitem__))
    return np.array(scores), winners


@settings(deadline=None)
@given(data=st.data(), method=st.sampled_from(["mean", "majority"]))
def test_vote_equals_a_slow_count(data: st.DataObject, method: Literal["mean", "majority"]) -> None:
    n_clips, n_classes = data.draw(st.integers(1, 4)), data.draw(st.integers(2, 4))
    counts = data.draw(st.lists(st.integers(1, 6), min_size=n_clips, max_size=n_clips))
    positions = data.draw(st.permutations([clip for clip, n in enumerate(counts) for _ in range(n)]))
    # Multiples of 1/64 sum without rounding, so that equal means are equal in any order.
    weights = data.draw(hnp.arrays(np.int64, (len(positions), n_classes - 1), elements=st.integers(0, 64 // n_classes)))
    parts = np.concatenate([weights, 64 - weights.sum(axis=1, keepdims=True)], axis=1)
    probabilities = (parts / 64).astype(np.float32)
    scores = vote(torch.from_numpy(probabilities), torch.tensor(positions), n_clips, method)
    expected, winners = slow_vote(probabilities, positions, n_clips, method)
    assert scores.shape == (n_clips, n_classes)
    np.testing.assert_allclose(scores.sum(dim=1), np.ones(n_clips), rtol=0, atol=1e-6)
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-6 if method == "mean" else 0.01)
    for clip, winner in enumerate(winners):  # the narrowest tie that the mean breaks is by 4e-6
        assert scores[clip, winner] >= scores[clip].max() - 5e-7


def test_vote_mean_and_majority_can_disagree() -> None:
    probabilities = torch.tensor([[0.6, 0.4], [0.6, 0.4], [0.0, 1.0]])
    positions = torch.zeros(3, dtype=torch.int64)
    assert vote(probabilities, positions, 1, "mean").argmax() == 1
    assert vote(probabilities, positions, 1, "majority").argmax() == 0


@pytest.mark.parametrize("n_windows", [2, 20, 60])
@pytest.mark.parametrize("gap", [0.1, 1e-3, 1e-4])
@pytest.mark.parametrize("winner", [0, 1])
def test_vote_majority_breaks_ties_by_the_mean(n_windows: int, gap: float, winner: int) -> None:
    """Half the windows go to either class, one of which wins its own by more."""
    probabilities = torch.full((n_windows, 2), 0.4)
    probabilities[: n_windows // 2, winner] = 0.6 + gap
    probabilities[: n_windows // 2, 1 - winner] = 0.4 - gap
    probabilities[n_windows // 2 :, 1 - winner] = 0.6
    scores = vote(probabilities, torch.zeros(n_windows, dtype=torch.int64), 1, "majority")
    assert scores[0, winner] > scores[0, 1 - winner]


def test_vote_majority_a_single_window_outweighs_any_mean() -> None:
    """With 1001 windows, 501 narrow wins beat 500 certain ones."""
    probabilities = torch.tensor([[0.501, 0.499]] * 501 + [[0.0, 1.0]] * 500)
    scores = vote(probabilities, torch.zeros(1001, dtype=torch.int64), 1, "majority")
    assert scores[0, 0] > scores[0, 1]
