import pytest

from adaspec.runtime.text import did_you_mean, is_printable, one_line


@pytest.mark.parametrize(
    ("name", "told"), [("gtzam", "; did you mean gtzan?"), ("esc50", "; did you mean esc50?"), ("urbansound", "")]
)
def test_did_you_mean_names_the_nearest(name: str, told: str) -> None:
    assert did_you_mean(name, {"gtzan": 1, "esc50": 2}) == told


def test_did_you_mean_says_something_else_where_none_is_near() -> None:
    assert did_you_mean("urbansound", ["gtzan"], "; known: gtzan") == "; known: gtzan"
    assert did_you_mean("gtzan", [], "; there are none") == "; there are none"


def test_one_line_joins_lines_and_is_cut() -> None:
    assert one_line(ValueError(" first\n\tsecond  line\r\n")) == "first second line"
    assert one_line("") == ""
    assert one_line("ab " * 500) == ("ab " * 100)[:300]
    assert one_line("abcdef", limit=3) == "abc"


@pytest.mark.parametrize(
    ("text", "printable"),
    [("", True), ('ümlaut 犬, "x"', True), ("a\nb", False), ("a\tb", False), ("\x1b[31m", False), ("caf\udce9", False)],
)
def test_is_printable_refuses_control_characters_and_undecoded_bytes(text: str, printable: bool) -> None:
    assert is_printable(text) is printable
