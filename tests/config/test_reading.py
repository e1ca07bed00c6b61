"""Numbers are read as DVC reads them, and nothing hostile gets in."""

import io
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from adaspec.config import parse_yaml


def as_dvc_reads(text: str) -> Any:
    """DVC's own parser: YAML 1.2."""
    return YAML(typ="safe").load(io.StringIO(text))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("2E5", 2e5),
        ("1.", 1.0),
        (".5", 0.5),
        ("-.5e+1", -5.0),
        ("010", 10),
        ("-010", -10),
        ("0o17", 15),
        ("0x1F", 31),
        ("1_000", 1000),
        ("1:30", "1:30"),
        ("yes", "yes"),
        ("off", "off"),
        ("true", True),
        ("~", None),
        ("", None),
        (".inf", float("inf")),
        ("-.INF", float("-inf")),
        ("1.2.3", "1.2.3"),
        ("e3", "e3"),
        ("2024-01-02", "2024-01-02"),
        ("'010'", "010"),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text: str, value: Any) -> None:
    found = parse_yaml(f"key: {text}\n")["key"]
    assert found == value
    assert type(found) is type(value)


numbers = st.one_of(
    st.integers(-(10**6), 10**6).map(str),
    st.integers(0, 10**6).map("0{}".format),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.floats(allow_nan=False, allow_infinity=False).map("{:.3e}".format),
    st.text(alphabet="0123456789.eE+-_xo", min_size=1, max_size=8).filter(lambda text: text.strip("-")),
)


@given(numbers)
def test_numbers_are_read_as_dvc_reads_them(text: str) -> None:
    try:
        expected = as_dvc_reads(f"key: {text}\n")
    except Exception:  # noqa: BLE001 - where DVC fails, we need not agree
        return
    assert parse_yaml(f"key: {text}\n") == expected


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: 1\na: 2\n", "line 2: key 'a' is already in line 1"),
        ("a: {b: 1, c: 2, b: 3}\n", "key 'b' is already in line 1"),
        ("a: &x [1, 2]\nb: *x\nb: 1\n", "key 'b'"),
    ],
)
def test_keys_that_are_there_twice_are_refused(text: str, told: str) -> None:
    with pytest.raises(yaml.YAMLError, match=told):
        parse_yaml(text)


def test_aliases_are_taken_while_they_are_small() -> None:
    assert parse_yaml("a: &x {b: 1}\nc: *x\nd: {<<: *x, e: 2}\n") == {
        "a": {"b": 1},
        "c": {"b": 1},
        "d": {"b": 1, "e": 2},
    }


def test_aliases_that_grow_are_refused_without_growing() -> None:
    laughs = ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    laughs += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    with pytest.raises(yaml.YAMLError, match="aliases stand for more than"):
        parse_yaml("\n".join(laughs))


@pytest.mark.parametrize("text", ["a: &x [*x]\n", "a: " + "[" * 5000 + "]" * 5000 + "\n", "{" * 5000])
def test_what_is_nested_without_end_is_refused(text: str) -> None:
    with pytest.raises(yaml.YAMLError):
        parse_yaml(text)


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.mkdir [x]", "!!python/name:os.system", "!other x"])
def test_no_tag_runs_anything(tag: str) -> None:
    with pytest.raises(yaml.YAMLError):
        parse_yaml(f"a: {tag}\n")
