import pytest

from adaspec.errors import InputError, exit_on_input_error


def test_exit_on_input_error_tells_one_line_and_exits_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught, exit_on_input_error():
        raise InputError("a.csv line 3: label is empty")
    assert caught.value.code == 1
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    printed = capsys.readouterr()
    assert printed.err == "error: a.csv line 3: label is empty\n"
    assert printed.out == ""


def test_exit_on_input_error_lets_other_errors_through(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="a mistake of ours"), exit_on_input_error():
        raise ValueError("a mistake of ours")
    assert capsys.readouterr().err == ""


def test_exit_on_input_error_is_silent_without_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with exit_on_input_error():
        print("done")
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("done\n", "")


def test_input_error_is_a_value_error() -> None:
    assert issubclass(InputError, ValueError)
