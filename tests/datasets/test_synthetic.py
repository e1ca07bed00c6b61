import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import soundfile
from torchaudio.functional import melscale_fbanks

from adaspec.config import DatasetConfig, SyntheticConfig
from adaspec.datasets.synthetic import CLASSES, SAMPLE_RATE, read, synthesize

Array = npt.NDArray[np.float64]
PAIRS = [("partials_narrow", "partials_wide"), ("tremolo_fast", "tremolo_slow")]


def generate(root: Path, seed: int = 7, clips_per_class: int = 18) -> pd.DataFrame:
    return synthesize(SyntheticConfig(clips_per_class=clips_per_class, duration_s=0.5, seed=seed), root)


def make(root: Path) -> None:
    """A small data set for the contract."""
    generate(root, clips_per_class=10)


def digests(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic") / "data"
    generate(folder)
    return folder


def test_synthesize_gives_equal_bytes_for_equal_seeds(root: Path, tmp_path: Path) -> None:
    generate(tmp_path / "again")
    assert digests(tmp_path / "again") == digests(root)


def test_synthesize_gives_other_bytes_for_another_seed(root: Path, tmp_path: Path) -> None:
    generate(tmp_path / "other", seed=8)
    one, other = digests(root), digests(tmp_path / "other")
    assert one.keys() == other.keys()
    assert {path for path in one if one[path] == other[path]} == {"manifest.csv"}


def test_synthesize_extends_a_smaller_data_set(root: Path, tmp_path: Path) -> None:
    generate(tmp_path / "small", clips_per_class=10)
    small, large = digests(tmp_path / "small"), digests(root)
    del small["manifest.csv"]
    assert len(small) == 100
    assert {path: large[path] for path in small} == small


def test_synthesize_replaces_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "stale.wav").write_bytes(b"stale")
    table = generate(tmp_path / "data", clips_per_class=10)
    assert set(digests(tmp_path / "data")) == {*table["path"], "manifest.csv"}


def test_no_two_clips_are_equal(root: Path) -> None:
    found = digests(root)
    assert len(set(found.values())) == len(found)


def test_read_lists_what_synthesize_wrote(root: Path) -> None:
    table = read(
        root,
        DatasetConfig(name="synthetic", root="data/raw/synthetic", variant=None, on_bad_clip="fail", on_missing="fail"),
    )
    assert len(table) == 180
    assert set(table["label"]) == set(CLASSES)
    assert len(CLASSES) == 10
    assert (table["label"].value_counts() == 18).all()
    assert set(table["fold"]) == {"1", "2", "3", "4", "5"}
    assert (table.groupby("group").size() == 2).all()
    assert (table.groupby("group")[["fold", "label"]].nunique() == 1).all(axis=None)
    assert (table.groupby("fold")["label"].nunique() == 10).all()
    assert all((root / path).is_file() for path in table["path"])


def test_clips_are_16_bit_mono(root: Path) -> None:
    for path in sorted(root.rglob("*.wav")):
        info = soundfile.info(path)
        assert (info.subtype, info.channels, info.samplerate, info.frames) == ("PCM_16", 1, 22_050, 11_025)


def test_clips_stay_within_full_scale(root: Path) -> None:
    clipped = []
    for path in sorted(root.rglob("*.wav")):
        samples, _ = soundfile.read(path, dtype="int16")
        if samples.max() == 32_767 or samples.min() == -32_768:
            clipped.append(path.relative_to(root).as_posix())
    assert clipped == []


def test_clips_of_a_group_share_the_source_and_differ_in_level(root: Path) -> None:
    for label in CLASSES:
        takes = [soundfile.read(root / label / f"{label}-000-{take}.wav")[0] for take in range(2)]
        levels_db = [20 * np.log10(np.std(take)) for take in takes]
        assert len({round(level, 2) for level in levels_db}) == 2
        assert all(-32 < level < -11 for level in levels_db)


def source(label: str, seed: int, seconds: float) -> Array:
    """A clip without background; equal seeds give the members of a pair the same frequencies, rates and phases."""
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return CLASSES[label](time, np.random.default_rng([seed, 0]), np.random.default_rng([seed, 1]))


def mean_mel(signal: Array) -> Array:
    """Log of the 64 mel bands, averaged over frames of 1024 samples."""
    audible = signal / np.std(signal) + 0.05 * np.random.default_rng(0).standard_normal(len(signal))
    frames = np.lib.stride_tricks.sliding_window_view(audible, 1024)[::512] * np.hanning(1024)
    mel = melscale_fbanks(513, 0.0, SAMPLE_RATE / 2, 64, SAMPLE_RATE).numpy()
    return np.asarray(np.log10(1e-6 + np.abs(np.fft.rfft(frames)) ** 2 @ mel).mean(axis=0))


def test_fine_pairs_differ_less_in_mel_bands_than_other_classes() -> None:
    seeds = range(8)
    mel = {label: [mean_mel(source(label, seed, 2.0)) for seed in seeds] for label in CLASSES}
    labels = list(CLASSES)
    distance = {
        (one, other): np.mean([np.sqrt(np.mean((mel[one][seed] - mel[other][seed]) ** 2)) for seed in seeds])
        for index, one in enumerate(labels)
        for other in labels[index + 1 :]
    }
    nearest_coarse = min(value for pair, value in distance.items() if pair not in PAIRS)
    for pair in PAIRS:
        assert distance[pair] < nearest_coarse / 1.5, pair


def spacing_strength(signal: Array, spacing_hz: float) -> float:
    """How much the lines of a spectrum over the whole clip repeat at a spacing."""
    spectrum = np.abs(np.fft.rfft(signal * np.hanning(len(signal))))
    width_hz = SAMPLE_RATE / len(signal)
    band = spectrum[round(2_700 / width_hz) : round(5_800 / width_hz)]
    lag = round(spacing_hz / width_hz)
    return max(float(band[:-near] @ band[near:]) for near in range(lag - 3, lag + 4))


@pytest.mark.parametrize(
    ("label", "own_hz", "other_hz"),
    [
        ("partials_narrow", 90, 180),
        ("partials_wide", 180, 90),
        ("tremolo_slow", 70, 280),  # two side bands, one rate to each side of the carrier
        ("tremolo_fast", 280, 70),
    ],
)
def test_fine_pairs_are_told_apart_by_a_long_linear_transform(label: str, own_hz: float, other_hz: float) -> None:
    for seed in range(15):
        signal = source(label, seed, 3.0)
        assert spacing_strength(signal, own_hz) > 1.5 * spacing_strength(signal, other_hz), seed
