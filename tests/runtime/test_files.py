import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from adaspec.runtime.files import complete_file, complete_folder, is_sealed, read_csv, seal, write_csv, write_json


class Stop(Exception):  # noqa: N818
    pass


def stop_after_writing(path: Path) -> None:
    path.write_text("half")
    raise Stop


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_complete_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "new" / "a.txt"
    with complete_file(target) as partial:
        partial.write_text("half")
        assert not target.exists()
    assert target.read_text() == "half"
    assert names(tmp_path) == ["new", "new/a.txt"]


def test_complete_file_keeps_the_old_content_when_the_block_raises(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(Stop), complete_file(target) as partial:
        stop_after_writing(partial)
    assert target.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_complete_file_raises_without_a_partial_when_nothing_was_written(tmp_path: Path) -> None:
    with pytest.raises(Stop), complete_file(tmp_path / "a.txt"):
        raise Stop
    assert names(tmp_path) == []


def test_complete_folder_replaces_the_whole_folder(tmp_path: Path) -> None:
    target = tmp_path / "data"
    target.mkdir()
    (target / "old.txt").write_text("old")
    with complete_folder(target) as partial:
        (partial / "new.txt").write_text("new")
        assert names(target) == ["old.txt"]
    assert names(tmp_path) == ["data", "data/new.txt"]


def test_complete_folder_keeps_the_old_content_when_the_block_raises(tmp_path: Path) -> None:
    target = tmp_path / "data"
    target.mkdir()
    (target / "old.txt").write_text("old")
    with pytest.raises(Stop), complete_folder(target) as partial:
        stop_after_writing(partial / "new.txt")
    assert names(tmp_path) == ["data", "data/old.txt"]
    assert (target / "old.txt").read_text() == "old"


def test_complete_folder_starts_empty_after_a_killed_run(tmp_path: Path) -> None:
    for name in (".data.0badcafe.partial", ".data.partial"):  # the second is how earlier versions named them
        (tmp_path / name).mkdir()
        (tmp_path / name / "stale.txt").write_text("stale")
    (tmp_path / ".data.file.partial").write_text("stale")
    with complete_folder(tmp_path / "data") as partial:
        assert names(partial) == []
    assert names(tmp_path) == ["data"]


@pytest.mark.parametrize("complete", [complete_file, complete_folder])
def test_two_at_once_do_not_touch_each_others_work(
    tmp_path: Path, complete: Callable[[Path], AbstractContextManager[Path]]
) -> None:
    def write(partial: Path, text: str) -> None:
        (partial / "a" if complete is complete_folder else partial).write_text(text)

    with complete(tmp_path / "it") as first:
        write(first, "first")
        with complete(tmp_path / "it") as second:
            write(second, "second")
        assert first.exists()
    held = tmp_path / "it" / "a" if complete is complete_folder else tmp_path / "it"
    assert held.read_text() == "first"  # who ends last; whole
    assert {name.partition("/")[0] for name in names(tmp_path)} == {"it"}


def test_complete_folder_takes_the_place_of_a_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "data").symlink_to(tmp_path / "elsewhere")
    with complete_folder(tmp_path / "data") as partial:
        (partial / "a").touch()
    assert names(tmp_path) == ["data", "data/a", "elsewhere"]


def test_a_name_as_long_as_the_system_allows_can_be_written(tmp_path: Path) -> None:
    with complete_file(tmp_path / ("n" * 255)) as partial:
        partial.write_text("whole")
    longer = tmp_path / ("n" * 256)
    with pytest.raises(OSError, match="File name too long") as refusal, complete_file(longer) as partial:
        partial.write_text("never")
    assert refusal.value.filename == str(longer)
    assert names(tmp_path) == ["n" * 255]


def test_a_sealed_folder_tells_of_every_change(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert not is_sealed(tmp_path)
    seal(tmp_path)
    assert is_sealed(tmp_path)
    for content in (b"abd", b"ab", b""):
        (tmp_path / "a").write_bytes(content)
        assert not is_sealed(tmp_path)
    (tmp_path / "a").write_bytes(b"abc")
    (tmp_path / "b").touch()
    assert not is_sealed(tmp_path)


def test_write_json_gives_equal_bytes_for_equal_content(tmp_path: Path) -> None:
    one, other = tmp_path / "one.json", tmp_path / "other.json"
    write_json(one, {"b": 1, "a": {"y": 0.1, "x": [1, None, "ü"]}})
    write_json(other, {"a": {"x": [1, None, "ü"], "y": 0.1}, "b": 1})
    assert one.read_bytes() == other.read_bytes()
    assert json.loads(one.read_text(encoding="utf-8")) == {"a": {"x": [1, None, "ü"], "y": 0.1}, "b": 1}
    assert one.read_bytes().endswith(b"}\n")


def test_write_json_refuses_nan_and_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"loss": 1.0})
    before = path.read_bytes()
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"loss": float("nan")})
    assert path.read_bytes() == before
    assert names(tmp_path) == ["a.json"]


LABELS = [
    "NA",
    "",
    "007",
    "nan",
    "None",
    "null",
    "-inf",
    "1e5",
    "TRUE",
    "ümlaut 犬",
    "a,b",
    'say "hi"',
    " space ",
    "a\nb",
]


def test_csv_keeps_labels_as_text(tmp_path: Path) -> None:
    table = pd.DataFrame({"label": LABELS, "clip_id": [f"c{index}" for index in range(len(LABELS))]})
    write_csv(tmp_path / "a.csv", table)
    assert read_csv(tmp_path / "a.csv")["label"].tolist() == LABELS


@settings(deadline=None)
@example([" "])  # no blank line to be skipped
@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"])), min_size=1, max_size=8))
def test_csv_round_trips_any_text(tmp_path_factory: pytest.TempPathFactory, labels: list[str]) -> None:
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    write_csv(path, pd.DataFrame({"label": labels}))
    first = path.read_bytes()
    table = read_csv(path)
    assert table["label"].tolist() == labels
    write_csv(path, table)
    assert path.read_bytes() == first


def test_csv_types_are_those_asked_for(tmp_path: Path) -> None:
    table = pd.DataFrame({"fold": [1, 2], "name": ["01", "2"], "score": [0.1, 1 / 3]})
    write_csv(tmp_path / "a.csv", table)
    assert (tmp_path / "a.csv").read_bytes() == b"fold,name,score\n1,01,0.1\n2,2,0.33333333\n"
    again = read_csv(tmp_path / "a.csv", fold="int64", score="float64")
    assert again["fold"].tolist() == [1, 2]
    assert again["name"].tolist() == ["01", "2"]
    np.testing.assert_allclose(again["score"], [0.1, 1 / 3], rtol=1e-7)


def test_csv_without_rows_keeps_its_columns(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", pd.DataFrame({"path": [], "reason": []}))
    table = read_csv(tmp_path / "a.csv")
    assert list(table.columns) == ["path", "reason"]
    assert len(table) == 0
