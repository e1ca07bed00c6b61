import contextlib
import os
import pty
import re
import sys

import pytest

from adaspec.runtime.progress import ClipProgress, format_seconds, stderr_is_terminal


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0, "0s"), (9.4, "9s"), (59.4, "59s"), (59.6, "1m00s"), (83, "1m23s"), (3599.6, "1h00m"), (7500, "2h05m")],
)
def test_format_seconds_is_short(seconds: float, told: str) -> None:
    assert format_seconds(seconds) == told


def test_progress_writes_one_line_where_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    assert stderr_is_terminal() is False
    with ClipProgress("reading", 50) as progress:
        for _ in range(5):
            progress.advance(10)
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"reading: 50 clips in \d+s, \d+ clips/s\n", err)


def test_progress_writes_a_line_per_interval_to_a_log(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adaspec.runtime.progress.LOG_INTERVAL_S", 0.0)
    with ClipProgress("extracting", 30) as progress:
        for _ in range(3):
            progress.advance(10)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in lines[:2]] == ["extracting: 10/30 clips", "extracting: 20/30 clips"]
    assert all(re.search(r"\d+ clips/s, ETA \d+s$", line) for line in lines[:2])
    assert len(lines) == 3
    assert lines[2].startswith("extracting: 30 clips in ")


@pytest.mark.parametrize(("after_s", "n_lines"), [(60.0, 0), (0.0, 1)])
def test_progress_says_nothing_of_what_is_soon_done(
    after_s: float, n_lines: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with ClipProgress("resampling", 20, "resamples", after_s) as progress:
        progress.advance(20)
    lines = capsys.readouterr().err.splitlines()
    assert [re.sub(r"\d+", "N", line) for line in lines] == ["resampling: N resamples in Ns, N resamples/s"] * n_lines


def test_progress_does_not_claim_to_have_finished_after_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        with ClipProgress("reading", 50) as progress:
            progress.advance(10)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert capsys.readouterr().err == ""


def test_progress_moves_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    reading, writing = pty.openpty()
    with os.fdopen(writing, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        assert stderr_is_terminal() is True
        with ClipProgress("reading", 50) as progress:
            progress.advance(50)
        terminal.flush()
        os.set_blocking(reading, False)
        written = b""
        with contextlib.suppress(BlockingIOError):
            while True:
                written += os.read(reading, 100_000)
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written.decode())  # without colours
    os.close(reading)
    assert "reading" in shown
    assert "50/50 clips" in shown
    assert "clips in" not in shown  # the line of a log file
