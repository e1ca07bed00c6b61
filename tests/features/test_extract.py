from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch

from adaspec.audio import clip_digest
from adaspec.config import Config, load_config
from adaspec.errors import InputError
from adaspec.features.extract import extract
from adaspec.features.representation import feature_contract, representation_of
from adaspec.features.store import FeatureStore
from adaspec.frontends import Fbank

CONFIG = load_config(Path(__file__).parents[2] / "params.yaml")
RATE = 8000


def configure(
    root: Path, *, name: str = "stft", clips_per_shard: int = 3, trim_db: float | None = None, workers: int = 1
) -> Config:
    fbank = CONFIG.frontend.fixed.fbank.model_copy(update={"n_mels": 20})
    return CONFIG.model_copy(
        update={
            "dataset": CONFIG.dataset.model_copy(update={"name": "folder", "root": str(root)}),
            "audio": CONFIG.audio.model_copy(update={"sample_rate": RATE, "trim_db": trim_db}),
            "engine": CONFIG.engine.model_copy(update={"workers": workers}),
            "features": CONFIG.features.model_copy(update={"clips_per_shard": clips_per_shard}),
            "frontend": CONFIG.frontend.model_copy(update={"name": name, "fbank": fbank}),
        }
    )


def record(root: Path, samples: dict[str, np.ndarray], rate: int = RATE, subtype: str = "PCM_16") -> pd.DataFrame:
    for clip_id, values in samples.items():
        soundfile.write(root / f"{clip_id}.wav", values, rate, subtype=subtype)
    return pd.DataFrame(
        {
            "clip_id": list(samples),
            "path": [f"{clip_id}.wav" for clip_id in samples],
            "digest": [clip_digest((root / f"{clip_id}.wav").read_bytes()) for clip_id in samples],
        }
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "raw").mkdir()
    return tmp_path / "raw"


@pytest.fixture
def samples() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {f"clip{i}": rng.integers(-30_000, 30_000, 400 + 150 * i).astype(np.int16) for i in range(8)}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_extract_stores_the_recorded_samples(root: Path, samples: dict[str, np.ndarray], tmp_path: Path) -> None:
    config = configure(root)
    extract(record(root, samples), config, tmp_path / "features")
    store = FeatureStore(tmp_path / "features", feature_contract(config))
    assert len(store) == len(samples)
    for clip_id, values in samples.items():
        np.testing.assert_array_equal(store[clip_id], values)


@pytest.mark.parametrize(("clips_per_shard", "n_shards"), [(1, 8), (3, 3), (4, 2), (8, 1), (100, 1)])
def test_extract_number_of_shards(
    root: Path, samples: dict[str, np.ndarray], tmp_path: Path, clips_per_shard: int, n_shards: int
) -> None:
    config = configure(root, clips_per_shard=clips_per_shard)
    extract(record(root, samples), config, tmp_path / "features")
    assert sorted(contents(tmp_path / "features")) == [f"{index:05d}.arrow" for index in range(n_shards)]
    assert len(FeatureStore(tmp_path / "features", feature_contract(config))) == len(samples)


@pytest.mark.parametrize("name", ["stft", "fbank"])
def test_extract_number_of_workers_does_not_change_a_byte(
    root: Path, samples: dict[str, np.ndarray], tmp_path: Path, name: str
) -> None:
    clips = record(root, samples)
    for workers, folder in ((1, "one"), (2, "two")):
        extract(clips, configure(root, name=name, workers=workers), tmp_path / folder)
    assert len(contents(tmp_path / "one")) == 3
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_extract_resamples_to_the_configured_rate(root: Path, tmp_path: Path) -> None:
    frequency = 440.0
    sine = 0.5 * np.sin(2 * np.pi * frequency * np.arange(16_000) / 16_000)
    config = configure(root)
    extract(record(root, {"a": sine}, rate=16_000), config, tmp_path / "features")
    stored = FeatureStore(tmp_path / "features", feature_contract(config))["a"]
    assert abs(len(stored) - RATE) <= 1
    expected = 0.5 * np.sin(2 * np.pi * frequency * np.arange(len(stored)) / RATE)
    np.testing.assert_allclose(stored[500:-500] / 32768, expected[500:-500], rtol=0, atol=2e-3)


def test_extract_trims_silent_ends(root: Path, tmp_path: Path) -> None:
    body = np.array([9000, 0, 0, -9000], dtype=np.int16)
    clip = np.concatenate([np.zeros(50, np.int16), body, np.zeros(70, np.int16)])
    config = configure(root, trim_db=60.0)
    extract(record(root, {"a": clip}), config, tmp_path / "features")
    np.testing.assert_array_equal(FeatureStore(tmp_path / "features", feature_contract(config))["a"], body)


@pytest.mark.parametrize("normalize", [False, True])  # which happens to the windows that a model sees
def test_extract_stores_the_spectrogram_of_the_front_end(
    root: Path, samples: dict[str, np.ndarray], tmp_path: Path, normalize: bool
) -> None:
    config = configure(root, name="fbank")
    fbank = config.frontend.fixed.fbank.model_copy(update={"normalize": normalize})
    config = config.model_copy(update={"frontend": config.frontend.model_copy(update={"fbank": fbank})})
    extract(record(root, samples), config, tmp_path / "features")
    store = FeatureStore(tmp_path / "features", feature_contract(config))
    frontend = Fbank(sample_rate=RATE, **fbank.model_dump(exclude={"normalize"}))
    for clip_id, values in samples.items():
        expected = frontend(torch.from_numpy(values)[None].float() / 32768)[0, 0].T.numpy()  # ln of the power
        assert store[clip_id].dtype == np.float16
        assert store[clip_id].shape == expected.shape
        np.testing.assert_allclose(store[clip_id], expected, rtol=2**-11, atol=2**-11)
        encoded = representation_of(store.contract).encode(torch.from_numpy(values)).numpy()
        np.testing.assert_array_equal(store[clip_id], encoded)


@pytest.mark.parametrize("n_workers", [1, 2])
def test_extract_changed_file_is_refused_and_nothing_left(
    root: Path, samples: dict[str, np.ndarray], tmp_path: Path, n_workers: int
) -> None:
    clips = record(root, samples)
    soundfile.write(root / "clip7.wav", samples["clip7"][::-1], RATE)
    with pytest.raises(InputError) as refusal:
        extract(clips, configure(root, workers=n_workers), tmp_path / "out" / "features")
    assert str(refusal.value) == (
        f"{root / 'clip7.wav'}: the file has changed since clips.csv was made; run 'dvc repro', which reads the data "
        "set again"
    )
    assert list((tmp_path / "out").iterdir()) == []


def test_extract_missing_file_is_refused_and_earlier_features_stay(
    root: Path, samples: dict[str, np.ndarray], tmp_path: Path
) -> None:
    clips = record(root, samples)
    extract(clips, configure(root), tmp_path / "out" / "features")
    before = contents(tmp_path / "out" / "features")
    (root / "clip5.wav").unlink()
    with pytest.raises(InputError, match=r"clip5\.wav: cannot be opened \(No such file or directory\)"):
        extract(clips, configure(root), tmp_path / "out" / "features")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["features"]
    assert contents(tmp_path / "out" / "features") == before


def test_extract_replaces_earlier_features(root: Path, samples: dict[str, np.ndarray], tmp_path: Path) -> None:
    clips = record(root, samples)
    extract(clips, configure(root, clips_per_shard=1), tmp_path / "features")
    extract(clips, configure(root, clips_per_shard=100), tmp_path / "features")
    assert sorted(contents(tmp_path / "features")) == ["00000.arrow"]


def test_extract_notes_clips_that_saturate(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ramp = np.linspace(-1, 1, 500)
    clips = record(root, {"quiet": 0.5 * ramp, "full": ramp, "loud": 1.5 * ramp, "louder": 7 * ramp}, subtype="FLOAT")
    config = configure(root)
    extract(clips, config, tmp_path / "features")
    assert "note: 2 of 4 clips pass full scale and saturate at 16 bit: loud, louder\n" in capsys.readouterr().err
    loud = FeatureStore(tmp_path / "features", feature_contract(config))["loud"]
    assert (loud.min(), loud.max()) == (-32768, 32767)


def test_extract_says_nothing_of_saturation_without_any(
    root: Path, samples: dict[str, np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    extract(record(root, samples), configure(root), tmp_path / "features")
    told = capsys.readouterr().err
    assert "extracting: 8 clips in" in told
    assert "saturate" not in told
