import io
import logging
import subprocess
import sys

import pytest

from adaspec.errors import InputError, SettingError
from adaspec.runtime.console import command_line, configure_logging, show, show_command

log = logging.getLogger("adaspec.somewhere")


def test_command_line_tells_an_input_error_in_one_line_and_exits_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught, command_line():
        raise InputError("a.csv line 3: label is empty")
    assert caught.value.code == 1
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    printed = capsys.readouterr()
    assert printed.err == "error: a.csv line 3: label is empty\n"
    assert printed.out == ""


def test_command_line_keeps_percent_signs(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit), command_line():
        raise InputError("100 % of %s clips")
    assert capsys.readouterr().err == "error: 100 % of %s clips\n"


def test_command_line_lets_other_errors_through(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="a mistake of ours"), command_line():
        raise ValueError("a mistake of ours")
    assert capsys.readouterr().err == ""


def test_command_line_is_silent_without_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with command_line():
        print("done")
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("done\n", "")


def test_messages_go_to_stderr_with_their_level_where_they_are_no_news(capsys: pytest.CaptureFixture[str]) -> None:
    with command_line():
        log.debug("nobody asked")
        log.info("%s clips", 3)
        log.warning("a.wav is digital silence")
        log.error("it broke")
    printed = capsys.readouterr()
    assert printed.err == "3 clips\nwarning: a.wav is digital silence\nerror: it broke\n"
    assert printed.out == ""


def test_messages_are_shown_once_however_often_they_are_configured(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(3):
        configure_logging()
    with command_line(), command_line():
        log.info("once")
    assert capsys.readouterr().err == "once\n"


def test_messages_stay_with_the_programs_own_logging_where_adaspec_is_a_library() -> None:
    code = "import logging; logging.basicConfig(format='%(name)s: %(message)s'); import adaspec.runtime.console; "
    code += "logging.getLogger('adaspec.audio').warning('heard')"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stderr == "adaspec.audio: heard\n"


def test_a_setting_error_begins_with_the_setting() -> None:
    error = SettingError("win_length", "=2048 exceeds n_fft=1024; raise n_fft or lower win_length")
    assert str(error) == "win_length=2048 exceeds n_fft=1024; raise n_fft or lower win_length"
    assert (error.setting, error.reason[:6]) == ("win_length", "=2048 ")
    assert isinstance(error, InputError)
    assert issubclass(InputError, ValueError)


def test_messages_show_what_a_name_hides(capsys: pytest.CaptureFixture[str]) -> None:
    # Not logged: what pytest records of half a pair cannot be sent between its processes.
    hidden = ("a\x1b[2J\nerror: b\udce9.wav", 2)
    record = logging.makeLogRecord({"levelno": logging.WARNING, "msg": "%s is %.1f s\n  long", "args": hidden})
    record.levelname = "WARNING"
    handler, *_ = logging.getLogger("adaspec").handlers  # the others are of pytest
    assert handler.format(record) == "warning: a\\x1b[2J\\nerror: b\\xe9.wav is 2.0 s\n  long"
    with pytest.raises(SystemExit), command_line():
        raise InputError("caf\u200b.csv\r line 3")
    assert capsys.readouterr().err == "error: caf\\u200b.csv\\r line 3\n"


def test_problems_that_are_found_together_have_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit), command_line():
        raise InputError("a: one\n", "b: two")
    assert capsys.readouterr().err == "error: a: one\\n\n       b: two\n"


def test_results_are_printed_in_any_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    with command_line():
        show("name   é\nb\x1b  0.5")
        show_command("dvc repro")
    stream.flush()
    assert stream.buffer.getvalue() == b"name   \\xe9\nb\\x1b  0.5\ndvc repro\n"
    with pytest.raises(InputError, match=r"cannot be printed as ascii: .*; set PYTHONUTF8=1"):
        show_command("dvc exp run -S dataset.root=/é")
