import os
import subprocess
import threading
import time
from pathlib import Path

import pandas as pd
import pytest

from adaspec.errors import InputError
from adaspec.runtime import sources
from adaspec.tables.score_files import read_asv_scores, read_scores, write_scores


def test_scores_come_back_as_written(tmp_path: Path) -> None:
    rows = [("LA_E_1", "-", "bonafide", 1.25), ("LA_E_2", "A07", "spoof", -1e-7), ("LA_E_3", "A19", "spoof", -87.3365)]
    table = pd.DataFrame(rows, columns=["file", "attack", "label", "score"])
    write_scores(tmp_path / "scores.txt", table)
    assert (tmp_path / "scores.txt").read_text().startswith("LA_E_1 - bonafide 1.25\nLA_E_2 A07 spoof -1e-07\n")
    pd.testing.assert_frame_equal(read_scores(tmp_path / "scores.txt"), table)


@pytest.mark.parametrize("delay_s", [0.0, 0.2])
def test_scores_are_read_from_a_pipe_as_from_a_file(delay_s: float, tmp_path: Path) -> None:
    """As of the shell's `adaspec score <(command)`, which may take a while to begin."""
    path = tmp_path / "pipe"
    os.mkfifo(path)

    def write() -> None:
        with path.open("w") as pipe:
            time.sleep(delay_s)
            pipe.write("a - bonafide 1\n")
            pipe.flush()
            time.sleep(delay_s)
            pipe.write("b A01 spoof 0\n")

    writer = threading.Thread(target=write)
    writer.start()
    assert list(read_scores(path)["score"]) == [1, 0]
    writer.join()


def test_a_pipe_that_nobody_writes_to_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "PATIENCE_S", 0.05)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match=r"pipe cannot be read \(a pipe that nobody writes to\)$"):
        read_scores(tmp_path / "pipe")


def test_a_pipe_that_never_ends_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(f"yes > '{tmp_path / 'pipe'}'", shell=True) as endless:
        with pytest.raises(OSError, match="more than 100000 bytes"):
            sources.read_source(tmp_path / "pipe", 100_000)
        endless.wait(timeout=60)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a - bonafide 1\nb A01 spoof\n", "line 2: 'b A01 spoof' is not 'FILE SYSTEM KEY SCORE'"),
        ("a - bonafide 1\nb A01 spoof nan\n", "line 2: 'b A01 spoof nan' is not 'FILE SYSTEM KEY SCORE'"),
        ("a - bonafide high\n", "line 1: 'a - bonafide high' is not"),
        ("a - genuine 1\n", "line 1: key 'genuine' must be bonafide or spoof"),
        ("a - bonafide 1\n\na A01 spoof 1\n", "line 3: 'a' is already in "),
        ("a - bonafide 1\n", "has no spoof trial among 1"),
        ("", "has no bonafide trial among 0"),
        (None, "not found"),
    ],
)
def test_read_scores_says_what_is_wrong(text: str | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "scores.txt"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_scores(path)
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bonafide target 1\nbonafide impostor 1\n", "line 2: key 'impostor' must be target, nontarget or spoof"),
        ("A07 target 1\n", "line 1: system 'A07' does not go with key 'target'; bona fide speech has system '-'"),
        ("bonafide target\n", "line 1: "),
        ("bonafide target inf\n", "line 1: "),
        ("bonafide target 1\nbonafide nontarget 0\n", "has no spoof trial among 2"),
    ],
)
def test_read_asv_scores_says_what_is_wrong(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "asv.txt").write_text(text)
    with pytest.raises(InputError) as caught:
        read_asv_scores(tmp_path / "asv.txt")
    assert message in str(caught.value)
