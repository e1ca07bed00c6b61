from pathlib import Path

import numpy as np
import pytest
import soundfile
from toydata import small_config

from adaspec.config import DatasetConfig
from adaspec.config.resolve import resolve
from adaspec.datasets import read_dataset
from adaspec.datasets.clips import examine_clips
from adaspec.errors import InputError
from adaspec.tables.splits import make_folds

# Two of each part of the fault-filtered split.
PARTS = {"00029": "train", "00030": "train", "00000": "dev", "00001": "dev", "00012": "eval", "00013": "eval"}


def config(root: Path) -> DatasetConfig:
    return DatasetConfig(name="gtzan", root=str(root), variant=None, on_bad_clip="fail", on_missing="fail")


def write(folder: Path, names: list[str], suffix: str = ".au") -> None:
    for index, name in enumerate(names):
        genre = name.split(".")[0]
        (folder / genre).mkdir(parents=True, exist_ok=True)
        samples = np.random.default_rng([index, len(genre)]).uniform(-0.1, 0.1, 500)
        soundfile.write(folder / genre / f"{name}{suffix}", samples, 22050)


def make(root: Path) -> None:
    """A small data set for the contract."""
    write(root / "genres", [f"blues.{number}" for number in PARTS] + ["jazz.00033", "jazz.00054"])


@pytest.fixture
def gtzan(tmp_path: Path) -> Path:
    make(tmp_path)
    return tmp_path


def test_read_gives_genres_and_the_fault_filtered_split(gtzan: Path) -> None:
    table = read_dataset(config(gtzan))
    blues = table[table["label"] == "blues"]
    assert dict(zip(blues["path"].str[-8:-3], blues["subset"], strict=True)) == PARTS
    assert table["path"].str.startswith("genres/").all()
    assert (table["group"] == table["path"]).all()
    assert read_dataset(config(gtzan / "genres"))["path"].iloc[0] == "blues/blues.00000.au"


@pytest.mark.parametrize("suffix", [".wav", ".mp3"])
def test_read_takes_the_common_copies(tmp_path: Path, suffix: str) -> None:
    write(tmp_path / "genres_original", ["rock.00001", "metal.00002"], suffix)
    table = read_dataset(config(tmp_path))
    assert table["path"].tolist() == [f"genres_original/{g}{suffix}" for g in ("metal/metal.00002", "rock/rock.00001")]


def test_official_scheme_leaves_out_what_the_split_leaves_out(tmp_path: Path) -> None:
    names = [f"{genre}.{number}" for genre in ("blues", "rock") for number in ("00000", "00029", "00030")]
    write(tmp_path / "genres", names)
    table = read_dataset(config(tmp_path)).assign(subset=["dev", "train", "eval", "", "train", "eval"])
    clips, _ = examine_clips(table, tmp_path, "fail", "fail", 1)
    split = small_config(tmp_path, **{"split.scheme": "official"}).split
    folds = make_folds(clips, split, 1)
    assert folds["role"].tolist() == ["validation", "train", "test", "train", "test"]


def test_without_a_scheme_there_are_k_folds(gtzan: Path) -> None:
    clips, _ = examine_clips(read_dataset(config(gtzan)), gtzan, "fail", "fail", 1)
    assert resolve(small_config(gtzan, **{"split.scheme": None}), clips).split.scheme == "group_kfold"


def test_a_broken_excerpt_is_skipped_with_its_reason(gtzan: Path) -> None:
    (gtzan / "genres/jazz/jazz.00054.au").write_bytes(b"RIFF\0\0")
    clips, skipped = examine_clips(read_dataset(config(gtzan)), gtzan, "skip", "fail", 1)
    assert len(clips) == 7
    [(path, reason)] = skipped.to_numpy().tolist()
    assert path == "genres/jazz/jazz.00054.au"
    assert reason.startswith("not readable as audio (")


def test_read_refuses_what_is_not_gtzan(gtzan: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"so it is not GTZAN; give the folder genres or genres_original"):
        read_dataset(config(tmp_path / "genres/blues"))
    (tmp_path / "deep").mkdir()
    (gtzan / "genres").rename(tmp_path / "deep/genres")
    with pytest.raises(InputError, match=rf"set dataset.root={tmp_path / 'deep'}"):
        read_dataset(config(tmp_path))
    write(tmp_path / "deep/genres", ["blues.00000"], ".wav")
    with pytest.raises(InputError, match=r"blues.00000.wav and blues.00000.au are the same excerpt"):
        read_dataset(config(tmp_path / "deep"))
    (tmp_path / "deep/genres/blues/blues.00000.wav").rename(tmp_path / "deep/genres/blues/song.wav")
    with pytest.raises(InputError, match=r"song.wav: expected blues.00000.wav and so on"):
        read_dataset(config(tmp_path / "deep"))
