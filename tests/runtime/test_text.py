import pytest

from adaspec.runtime.text import did_you_mean, is_printable, one_line, visible


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
    [
        ("", True),
        ('ümlaut 犬, "x"', True),
        ("a\nb", False),
        ("a\tb", False),
        ("\x1b[31m", False),
        ("a\x85b", False),
        ("a\u2028b", False),
        ("a\u200bb", True),
        ("caf\udce9", False),
    ],
)
def test_is_printable_refuses_control_characters_and_undecoded_bytes(text: str, printable: bool) -> None:
    assert is_printable(text) is printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ümlaut 犬 🎵", "ümlaut 犬 🎵"),
        ("a\x1b[31m\x00\r\n\t\x7f", r"a\x1b[31m\x00\r\n\t\x7f"),
        ("caf\udce9.wav", r"caf\xe9.wav"),
        ("\x85\x9b\u2028\u2029", r"\x85\x9b\u2028\u2029"),
        ("a\u200b\ufeff\u202e\U000e0041", r"a\u200b\ufeff\u202e\U000e0041"),
        ("\ud800", r"\ud800"),
        (r"back\slash", r"back\slash"),
    ],
)
def test_visible_escapes_what_would_not_show(text: str, shown: str) -> None:
    assert visible(text) == shown
    assert visible(text).isprintable()
