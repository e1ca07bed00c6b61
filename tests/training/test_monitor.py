import contextlib
import os
import pty
import re
import sys
import threading
from pathlib import Path

import pytest

from adaspec.models.history import read_history, write_history
from adaspec.training.monitor import FoldMonitor, Rows


def rows_of(n_epochs: int, validation: bool = True) -> Rows:
    rows = []
    for epoch in range(1, n_epochs + 1):
        row = {"epoch": epoch, "train_loss": 2 / epoch, "learning_rate": 0.1}
        if validation:
            row |= {"validation_loss": 3 / epoch, "validation_accuracy": 1 - 0.5 / epoch}
        rows.append(row)
    return rows


class Listener:
    def __init__(self) -> None:
        self.told: list[tuple[int, Rows]] = []
        self.heard = threading.Event()

    def __call__(self, fold: int, rows: Rows) -> None:
        self.told.append((fold, list(rows)))
        self.heard.set()


def test_history_reads_what_was_written(tmp_path: Path) -> None:
    assert read_history(tmp_path) == []
    write_history(tmp_path, rows_of(3))
    assert read_history(tmp_path) == rows_of(3)


def test_monitor_tells_all_rows_of_every_fold(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = {1: tmp_path / "fold-1", 2: tmp_path / "fold-2"}
    listener = Listener()
    with FoldMonitor(folders, 12, listener):
        write_history(folders[1], rows_of(2))
        assert listener.heard.wait(60)
        write_history(folders[1], rows_of(12))
        write_history(folders[2], rows_of(12))
    last = dict(listener.told)
    assert last == {1: rows_of(12), 2: rows_of(12)}
    assert listener.told[0] == (1, rows_of(2))


def test_monitor_tells_the_rows_of_an_error_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listener = Listener()

    def fail() -> None:
        with FoldMonitor({1: tmp_path}, 12, listener):
            write_history(tmp_path, rows_of(5))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert listener.told[-1] == (1, rows_of(5))


def test_monitor_prints_plain_lines_where_nobody_watches(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listener = Listener()
    with FoldMonitor({3: tmp_path}, 12, listener):
        write_history(tmp_path, rows_of(6))
        assert listener.heard.wait(60)
        listener.heard.clear()
        write_history(tmp_path, rows_of(10))
        assert listener.heard.wait(60)
        write_history(tmp_path, rows_of(12))
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == ""
    assert "\x1b" not in err
    assert len(lines) == 3
    assert all(line.startswith("fold 3  epoch ") for line in lines)
    assert re.search(r"epoch +6/12  loss 0\.333  validation loss 0\.500 accuracy 0\.917$", lines[0])
    assert re.search(r"epoch +10/12  loss 0\.200 .* ETA \d", lines[1])
    assert re.search(r"epoch +12/12  loss 0\.167 .* done$", lines[2])
    assert [line.endswith("done") for line in lines] == [False, False, True]


def test_monitor_prints_no_validation_where_there_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with FoldMonitor({1: tmp_path}, 3, Listener()):
        write_history(tmp_path, rows_of(3, validation=False))
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "fold 1  epoch   3/3  loss 0.667  done"


def test_monitor_tells_the_last_validation_where_not_every_epoch_has_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [*rows_of(10), *({"epoch": epoch, "train_loss": 0.1, "learning_rate": 0.1} for epoch in (11, 12))]
    with FoldMonitor({1: tmp_path}, 12, Listener()):
        write_history(tmp_path, rows)
    assert "validation loss 0.300 accuracy 0.950" in capsys.readouterr().err


def test_monitor_prints_nothing_of_folds_that_have_not_begun(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listener = Listener()
    with FoldMonitor({1: tmp_path / "none"}, 3, listener):
        pass
    assert listener.told == []
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("n_epochs", [1, 6, 7, 60, 1000])
def test_monitor_prints_a_handful_of_lines_however_many_epochs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], n_epochs: int
) -> None:
    monitor = FoldMonitor({1: tmp_path}, n_epochs, Listener())
    for n_rows in range(0, n_epochs + 1):
        if n_rows < 20 or n_rows % 25 == 0 or n_rows == n_epochs:
            write_history(tmp_path, rows_of(n_rows))
            monitor._look()
    lines = capsys.readouterr().err.splitlines()
    assert 1 <= len(lines) <= 8
    assert sum(line.endswith("done") for line in lines) == 1
    assert lines[-1].endswith("done")


def test_monitor_shows_a_live_table_on_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    reading, writing = pty.openpty()
    listener = Listener()
    with os.fdopen(writing, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        with FoldMonitor({1: tmp_path / "fold-1", 2: tmp_path / "fold-2"}, 3, listener):
            write_history(tmp_path / "fold-1", rows_of(3))
    content = b""
    with contextlib.suppress(OSError):  # the other end is closed, and all of it is read
        while part := os.read(reading, 100_000):
            content += part
    os.close(reading)
    shown = content.decode()
    assert re.search(r"fold 1\b.*epoch +3/3.*done", shown)
    assert re.search(r"fold 2\b.*waiting", shown)
    assert listener.told == [(1, rows_of(3))]
