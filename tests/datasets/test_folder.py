import os
from pathlib import Path

import pytest

from adaspec.config import DatasetConfig
from adaspec.datasets import read_dataset
from adaspec.datasets.folder import read
from adaspec.errors import InputError


def config(root: Path) -> DatasetConfig:
    return DatasetConfig(name="folder", root=str(root), variant=None, on_bad_clip="fail", on_missing="fail")


def touch(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"")


def make(root: Path) -> None:
    """A small data set for the contract."""
    touch(root, "dog/2.wav", "dog/deep/1.flac", "cat/a.ogg", "cat/.hidden.wav")


def test_folder_takes_labels_from_the_first_folder(tmp_path: Path) -> None:
    touch(tmp_path, "dog/1.wav", "dog/deep/er/2.FLAC", "NA/a.mp3", "007/x.y.ogg", "ümlaut, ja/犬.opus")
    table = read_dataset(config(tmp_path))
    assert table[["path", "label", "group", "fold", "subset"]].to_numpy().tolist() == [
        ["007/x.y.ogg", "007", "007/x.y.ogg", "", ""],
        ["NA/a.mp3", "NA", "NA/a.mp3", "", ""],
        ["dog/1.wav", "dog", "dog/1.wav", "", ""],
        ["dog/deep/er/2.FLAC", "dog", "dog/deep/er/2.FLAC", "", ""],
        ["ümlaut, ja/犬.opus", "ümlaut, ja", "ümlaut, ja/犬.opus", "", ""],
    ]


def test_folder_passes_over_hidden_files_and_other_suffixes(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "dog/1.wav",
        "dog/._1.wav",
        "dog/.cache/2.wav",
        ".git/3.wav",
        "dog/notes.txt",
        "dog/4.wav.part",
        "dog/cover.jpg",
        "cat/README",
        "cat/5.wav",
    )
    assert read(tmp_path, config(tmp_path))["path"].tolist() == ["cat/5.wav", "dog/1.wav"]


def test_folder_below_a_hidden_folder_is_read(tmp_path: Path) -> None:
    root = tmp_path / ".hidden" / "data"
    touch(root, "dog/1.wav")
    assert read(root, config(root))["path"].tolist() == ["dog/1.wav"]


def test_folder_lists_files_and_no_folders(tmp_path: Path) -> None:
    touch(tmp_path, "dog/session.wav/1.wav", "dog/2.wav")
    assert read(tmp_path, config(tmp_path))["path"].tolist() == ["dog/2.wav", "dog/session.wav/1.wav"]


def test_folder_order_does_not_depend_on_the_disk(tmp_path: Path) -> None:
    touch(tmp_path / "one", "b/2.wav", "a/1.wav", "a/0.wav")
    touch(tmp_path / "other", "a/0.wav", "a/1.wav", "b/2.wav")
    one, other = (read_dataset(config(tmp_path / name)) for name in ("one", "other"))
    assert one.to_dict("list") == other.to_dict("list")
    assert one["path"].tolist() == ["a/0.wav", "a/1.wav", "b/2.wav"]


@pytest.mark.parametrize("name", ["missing", "file.wav"])
def test_folder_refuses_a_root_that_is_none(tmp_path: Path, name: str) -> None:
    touch(tmp_path, "file.wav")
    with pytest.raises(InputError) as caught:
        read(tmp_path / name, config(tmp_path))
    expected = f"dataset.root={tmp_path / name} is not a folder; it must hold one folder per class"
    assert str(caught.value) == expected


@pytest.mark.parametrize("paths", [[], ["1.wav"], ["dog/notes.txt"], [".dog/1.wav"]])
def test_folder_refuses_a_root_without_class_folders(tmp_path: Path, paths: list[str]) -> None:
    touch(tmp_path, *paths)
    with pytest.raises(InputError) as caught:
        read(tmp_path, config(tmp_path))
    assert str(caught.value).startswith(f"dataset.root={tmp_path} has no class folder with audio files; ")
    assert f"{tmp_path}/LABEL/FILE" in str(caught.value)
    assert ".wav" in str(caught.value)


@pytest.mark.parametrize("name", [b"caf\xe9.wav", b"a\rb.wav", b"a\tb.wav"])
def test_file_names_that_a_table_cannot_hold_are_refused(tmp_path: Path, name: bytes) -> None:
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        (tmp_path / label / "fine.wav").touch()
    (tmp_path / "a" / os.fsdecode(name)).touch()
    config = DatasetConfig(name="folder", root=str(tmp_path), variant=None, on_bad_clip="fail", on_missing="fail")
    with pytest.raises(InputError, match="control character, an end of a line or a byte that is not UTF-8; rename it"):
        read_dataset(config)
