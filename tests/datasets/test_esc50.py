import os
from pathlib import Path

import pytest

from adaspec.config import DatasetConfig
from adaspec.datasets import read_dataset
from adaspec.datasets.clips import examine_clips
from adaspec.datasets.esc50 import read
from adaspec.errors import InputError

HEADER = "filename,fold,target,category,esc10,src_file,take\n"
GOOD = HEADER + "1-100-A-0.wav,1,0,dog,True,100,A\n1-100-B-0.wav,1,0,dog,True,100,B\n2-7-A-3.wav,2,3,cow,False,7,A\n"
REAL = Path(os.environ.get("ADASPEC_SHARED", Path(__file__).parents[3] / "shared")) / "data" / "esc10"


def config(root: Path, variant: str | None = None) -> DatasetConfig:
    return DatasetConfig.model_validate(
        {"name": "esc50", "root": str(root), "variant": variant, "on_bad_clip": "fail", "on_missing": "fail"}
    )


def put_meta(root: Path, content: str | bytes) -> Path:
    meta = root / "meta" / "esc50.csv"
    meta.parent.mkdir(parents=True)
    meta.write_bytes(content if isinstance(content, bytes) else content.encode())
    return meta


def make(root: Path) -> None:
    """A small data set for the contract."""
    put_meta(root, GOOD)
    (root / "audio").mkdir()
    for line in GOOD.splitlines()[1:]:
        (root / "audio" / line.split(",")[0]).write_bytes(b"")


def test_esc50_lists_clips_with_source_recordings_as_groups(tmp_path: Path) -> None:
    put_meta(tmp_path, GOOD)
    table = read_dataset(config(tmp_path))
    assert table[["path", "label", "group", "fold", "subset"]].to_numpy().tolist() == [
        ["audio/1-100-A-0.wav", "dog", "100", "1", ""],
        ["audio/1-100-B-0.wav", "dog", "100", "1", ""],
        ["audio/2-7-A-3.wav", "cow", "7", "2", ""],
    ]


def test_esc50_variant_keeps_esc10_only(tmp_path: Path) -> None:
    put_meta(tmp_path, GOOD)
    assert read_dataset(config(tmp_path, "esc10"))["path"].tolist() == ["audio/1-100-A-0.wav", "audio/1-100-B-0.wav"]


def test_esc50_variant_without_clips_is_refused(tmp_path: Path) -> None:
    meta = put_meta(tmp_path, GOOD.replace("True", "False"))
    with pytest.raises(InputError) as caught:
        read(tmp_path, config(tmp_path, "esc10"))
    assert str(caught.value) == f"{meta}: no clip has esc10=True; set dataset.variant to null"


@pytest.mark.parametrize("content", [b"\xef\xbb\xbf" + GOOD.encode(), GOOD.replace("\n", "\r\n").encode()])
def test_esc50_reads_marks_and_line_ends_of_other_systems(tmp_path: Path, content: bytes) -> None:
    put_meta(tmp_path, content)
    assert read(tmp_path, config(tmp_path))["label"].tolist() == ["dog", "dog", "cow"]


def test_esc50_hints_at_the_folder_below(tmp_path: Path) -> None:
    put_meta(tmp_path / "ESC-50-master", GOOD)
    with pytest.raises(InputError) as caught:
        read(tmp_path, config(tmp_path))
    assert str(caught.value).endswith(f"is not an ESC-50 folder; set dataset.root={tmp_path / 'ESC-50-master'}")


@pytest.mark.parametrize("root", ["", "missing"])
def test_esc50_hints_at_fetch_where_nothing_is_found(tmp_path: Path, root: str) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path / root, config(tmp_path))
    assert str(caught.value).startswith(f"{tmp_path / root / 'meta/esc50.csv'} not found")
    assert "'adaspec fetch esc50 --to DIR' downloads it" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "start"),
    [
        (GOOD.replace("src_file", "source"), " line 1: column 'src_file' is missing, got filename, fold, "),
        ("", " line 1: column 'filename' is missing, got nothing"),
        (HEADER, " lists no clips"),
        (GOOD + "x.wav,1,0\n", " line 5: 3 cells, the header has 7"),
        (GOOD + "../x.wav,1,0,dog,True,1,A\n", " line 5: filename='../x.wav' must be the name of a file in audio/"),
        (GOOD + "/x.wav,1,0,dog,True,1,A\n", " line 5: filename='/x.wav' must be the name of a file in audio/"),
        (GOOD + "sub/x.wav,1,0,dog,True,1,A\n", " line 5: filename='sub/x.wav' must be "),
        (GOOD + ".,1,0,dog,True,1,A\n", " line 5: filename='.' must be "),
        (GOOD + "..,1,0,dog,True,1,A\n", " line 5: filename='..' must be "),
        (GOOD + ",1,0,dog,True,1,A\n", " line 5: "),
        (GOOD + "x.wav,,0,dog,True,1,A\n", " line 5: "),
        (GOOD + "x.wav,1,0,,True,1,A\n", " line 5: "),
        (GOOD + "1-100-A-0.wav,1,0,dog,True,100,A\n", " line 5: "),
        (b"\xff" + GOOD.encode(), " is not a UTF-8 CSV file ("),
    ],
)
def test_esc50_names_the_line_at_fault(tmp_path: Path, content: str | bytes, start: str) -> None:
    meta = put_meta(tmp_path, content)
    with pytest.raises(InputError) as caught:
        read(tmp_path, config(tmp_path))
    message = str(caught.value)
    assert message.startswith(f"{meta}{start}")
    assert "\n" not in message


@pytest.mark.skipif(not REAL.is_dir(), reason="the recordings of ESC-10 are not at hand; see ADASPEC_SHARED")
def test_esc50_lists_the_real_recordings_of_esc10() -> None:
    table = read_dataset(config(REAL, "esc10"))
    assert len(table) == 400
    assert (table["label"].value_counts() == 40).all()
    assert table["label"].nunique() == 10
    assert table["fold"].value_counts().to_dict() == {fold: 80 for fold in "12345"}
    assert (table.groupby("group")["fold"].nunique() == 1).all()
    assert all((REAL / path).is_file() for path in table["path"])
    some = table.groupby("label").head(2).reset_index(drop=True)
    clips, skipped = examine_clips(some, REAL, "fail", "fail", 1)
    assert len(clips) == 20
    assert set(clips["sample_rate"]) == {44_100}
    assert skipped.empty
