"""The label set is looked at: what cannot be meant is refused, what may be is told with counts."""

import unicodedata
from pathlib import Path

import pandas as pd
import pytest

from adaspec.config import DatasetConfig
from adaspec.datasets import gtzan, read_dataset
from adaspec.datasets.labels import check_copies, check_labels
from adaspec.errors import InputError

NFC, NFD = unicodedata.normalize("NFC", "café"), unicodedata.normalize("NFD", "café")


def dataset(root: Path, *paths: str) -> pd.DataFrame:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return read_dataset(
        DatasetConfig(name="folder", root=str(root), variant=None, on_bad_clip="fail", on_missing="fail")
    )


def looked_at(*labels: str) -> None:
    check_labels(pd.Series([*labels, *labels]), "DATA")


@pytest.mark.parametrize(
    "labels",
    [
        ["train", "val", "test"],
        ["Training", "TEST"],
        ["train", "dev", "eval"],
        ["fold1", "fold2", "fold10"],
        ["train-clean-100", "dev_other", "test clean"],
        ["train"],
    ],
)
def test_parts_are_no_classes(labels: list[str]) -> None:
    with pytest.raises(InputError, match=r"DATA: all labels are names of parts, not of classes: '.*' \(2 clips\)"):
        looked_at(*labels)


def test_a_train_may_be_a_vehicle(capsys: pytest.CaptureFixture[str]) -> None:
    looked_at("train", "car", "trainer", "protest", "values")
    assert capsys.readouterr().err == ""
    looked_at("train", "test", "car")
    assert "'test' (2 clips), 'train' (2 clips) are labels like any other here" in capsys.readouterr().err


@pytest.mark.parametrize(
    "labels",
    [
        [NFC, NFD],
        [NFC, f"{NFC}\u200b"],
        ["cat", "\ufeffcat"],
        ["cat", "c\u00adat"],
        ["cat", "cat\ufe0f"],
        ["cat", "\u3164cat"],
        ["cat", "cat\u2800"],
        ["cat", "\u202ecat"],
        ["big cat", "big\u00a0cat"],
        ["big cat", "big  cat"],
        ["cat", "cat "],
        ["\u212b", "\u00c5"],  # the unit, and the letter
    ],
)
def test_labels_that_look_the_same_are_refused(labels: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        looked_at(*labels, "dog")
    assert str(caught.value).startswith("DATA: 2 labels look the same: ")
    assert all(f"{label!a} (2 clips)" in str(caught.value) for label in labels)


@pytest.mark.parametrize("label", ["\u200b", " ", "\u3164\u2060"])
def test_a_label_that_does_not_show_is_refused(label: str) -> None:
    with pytest.raises(InputError, match=r"DATA: the label '.*' does not show; rename it"):
        looked_at(label, "dog")


@pytest.mark.parametrize("labels", [["Dog", "dog"], ["STRASSE", "straße"], ["ﬁre", "fire"], ["CAT", "ｃａｔ"]])  # noqa: RUF001
def test_labels_that_differ_in_case_or_form_are_told(labels: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    looked_at(*labels, "bird")
    told = capsys.readouterr().err
    assert told.startswith("warning: DATA: ")
    assert all(f"{label!a}" in told.replace("\\\\", "\\") for label in labels)
    assert "bird" not in told


def test_ordinary_labels_are_not_mentioned(capsys: pytest.CaptureFixture[str]) -> None:
    looked_at(NFC, "cafe", "café au lait", "犬", "0", "00", "a-b", "a_b")
    assert capsys.readouterr().err == ""


def clips(*rows: tuple[str, str]) -> pd.DataFrame:
    """Label and content of each clip."""
    table = pd.DataFrame(rows, columns=["label", "digest"])
    return table.assign(path=[f"{index}.wav" for index in table.index])


def test_a_label_of_copies_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        check_copies(clips(("cat", "a"), ("cat", "b"), ("cat", "c"), ("dog", "a"), ("dog", "b"), ("dog", "a")), "DATA")
    assert str(caught.value) == (
        "DATA: every clip of 'dog' (3 clips) has the same bytes as one of another label, such as 0.wav (cat) and "
        "3.wav (dog); keep each recording under one label"
    )


def test_copies_under_two_labels_are_told_with_counts(capsys: pytest.CaptureFixture[str]) -> None:
    check_copies(clips(("cat", "a"), ("cat", "a"), ("cat", "b"), ("dog", "a"), ("dog", "d")), "DATA")
    assert capsys.readouterr().err == (
        "warning: DATA: 3 clips have the same bytes as one of another label ('cat' (2 clips), 'dog' (1 clips)), such "
        "as 0.wav (cat) and 3.wav (dog); keep each under one label\n"
    )
    check_copies(clips(("cat", "a"), ("cat", "a"), ("dog", "d")), "DATA")
    assert capsys.readouterr().err == ""


def test_a_class_of_other_audio_formats_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        dataset(tmp_path, "bird/1.m4a", "bird/2.M4A", "bird/cover.jpg", "cat/1.wav", "dog/1.wav")
    assert str(caught.value).startswith(f"{tmp_path}: bird (2 .m4a, 1 .jpg): classes without a file that can be read; ")


def test_what_is_passed_over_is_told_with_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = ["bird/1.m4a", "bird/2.wav", "cat/1.wav", "cat/notes.txt", "docs/README", "docs/.DS_Store", "loose.wav"]
    (tmp_path / "empty").mkdir()
    assert dataset(tmp_path, *paths)["path"].tolist() == ["bird/2.wav", "cat/1.wav"]
    assert capsys.readouterr().err.splitlines() == [
        f"warning: {tmp_path / 'bird'}: 1 of 2 audio files cannot be read and are passed over (1 .m4a)",
        f"warning: {tmp_path / 'docs'} holds no audio file (1 without suffix), so it is no class",
        f"warning: {tmp_path / 'empty'} holds no audio file (empty), so it is no class",
        f"{tmp_path}: passed over 2 files that are no audio by their suffix",
        f"warning: {tmp_path}: 1 audio files lie beside the class folders and are passed over",
    ]


def test_a_genre_of_other_audio_formats_is_refused(tmp_path: Path) -> None:
    for path in ("blues/blues.00000.au", "rock/rock.00000.m4a"):
        (tmp_path / "genres" / path).parent.mkdir(parents=True)
        (tmp_path / "genres" / path).touch()
    config = DatasetConfig(name="gtzan", root=str(tmp_path), variant=None, on_bad_clip="fail", on_missing="fail")
    with pytest.raises(InputError, match=r"rock \(1 \.m4a\): classes without a file that can be read"):
        gtzan.read(tmp_path, config)


def test_parts_below_the_classes_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset(tmp_path, "cat/train/1.wav", "cat/test/2.wav", "dog/train/3.wav", "dog/deep/4.wav")
    assert capsys.readouterr().err == ""
    dataset(tmp_path / "other", "cat/train/1.wav", "cat/test/2.wav", "dog/train/3.wav")
    assert "the folders test (1 clips), train (2 clips) below the classes are not taken" in capsys.readouterr().err
