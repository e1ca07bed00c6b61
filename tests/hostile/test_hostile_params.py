"""params.yaml of any content: a configuration that can be built, or a line for each problem."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from bounded import flipped, outcome

from adaspec.config import Config, flatten, load_config
from adaspec.config.knobs import overlaid
from adaspec.errors import InputError
from adaspec.experiments.checks import check_knobs

PARAMS = (Path(__file__).parents[2] / "params.yaml").read_text(encoding="utf-8")
CONTENT = yaml.safe_load(PARAMS)
KNOBS = sorted(flatten(Config.model_validate(CONTENT)))
VALUE = "VALUE_HERE"

# As written in YAML.
VALUES = [
    *("", "~", "{}", "[]", "[[]]", "{a: 1}", "''", "' '", "yes", "true", "-1", "0", "0.0", "-0.0", "1", "0.5", "'1'"),
    *(".nan", ".inf", "-.inf", "1e400", "-1e400", "1e308", "1e-320", "1e-3", "1" * 90, "9" * 5000, "0." + "1" * 5000),
    *("0x" + "f" * 20, "0x" + "f" * 9000, "0b" + "1" * 80, "0o17", "010", "1_000", "1:30", "1" + ":59" * 2000),
    *("2147483648", "9223372036854775808", "-9223372036854775809", "2026-01-02", "2026-01-02T03:04:05Z"),
    *(
        "!!binary aGVsbG8=",
        "!!set {a, b}",
        "!!omap [a: 1]",
        "!!timestamp 2026-01-02",
        "!!int x",
        "!!float x",
        "!!bool x",
    ),
    *("!!python/object/apply:os.system [true]", "!!python/name:os.system", "!unknown x", "&x [*x]", "*missing", "<<"),
    *('"\\0"', '"\\ud800"', '"a\\nb"', '"\\e[2J"', '"\\u2028"', '"\\u202e"', "../../etc", "/dev/zero", "x" * 50_000),
    *("[kaiser, 1.0e+308]", "[kaiser, .nan]", "[kaiser, 1e400]", "[gaussian, -1]", "[[hann]]", "[hann, hann, hann]"),
    *("[general_cosine, [.nan]]", "[dpss, 1e300]", "[chebwin, -1e300]", "[tukey, 5]", "timm:../../x", "timm:", "none"),
]

laughs = ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
laughs += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
merges = ["b0: &b0 {k0: 1}"]
merges += [f"b{n}: &b{n} {{<<: [{', '.join([f'*b{n - 1}'] * 9)}], k{n}: 1}}" for n in range(1, 12)]

FILES: dict[str, bytes] = {
    "empty": b"",
    "a word": b"hello",
    "a list": b"- 1\n- 2\n",
    "two documents": PARAMS.encode() + b"---\n" + PARAMS.encode(),
    "laughs": ("\n".join(laughs) + "\n" + PARAMS.replace("seed: 42", "seed: *a11")).encode(),
    "merges": ("\n".join(merges) + "\n" + PARAMS).encode(),
    "many keys": b"".join(b"k%d: 1\n" % index for index in range(1_000)),
    "a million keys": b"".join(b"k%d: 1\n" % index for index in range(1_000_000)),
    "a thousand keys": PARAMS.encode() + b"".join(b"k%d: 1\n" % index for index in range(1_000)),
    "a long key": PARAMS.encode() + b"? " + b"k" * 100_000 + b"\n: 1\n",
    "keys of any kind": PARAMS.encode() + b"? [1, 2]\n: 1\n? {a: 1}\n: 2\n? 1.5\n: 3\n? ~\n: 4\n",
    "nested": b"seed: " + b"[" * 3_000 + b"]" * 3_000,
    "nested without end": b"{" * 3_000,
    "indented": b"".join(b" " * index + b"a:\n" for index in range(500)),
    "too large": b"# " + b"x" * 2**21,
    "nul": b"\0" * 1_000,
    "utf-16": PARAMS.encode("utf-16"),
    "latin-1": PARAMS.encode() + b"caf\xe9: 1\n",
    "a mark of order": b"\xef\xbb\xbf" + PARAMS.encode(),
    "escapes": PARAMS.encode() + b"\x1b[2J: 1\n",
    "tabs": PARAMS.replace("  ", "\t").encode(),
    "directives": b"%YAML 9.9\n%TAG ! x\n---\n" + PARAMS.encode(),
    "twice": PARAMS.encode() * 2,
}


def checked(path: Path) -> object:
    """What `validate` makes of a file, data set aside."""

    def check() -> Config:
        config = load_config(path)
        check_knobs(config)
        return config

    return outcome(check)


@pytest.mark.parametrize("kind", FILES)
def test_strange_files_are_read_or_refused(kind: str, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_bytes(FILES[kind])
    found = checked(tmp_path / "params.yaml")
    assert isinstance(found, Config) == (kind == "a mark of order")


@pytest.mark.parametrize("kind", ["pipe", "endless", "folder", "missing"])
def test_what_is_no_file_is_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "endless":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    assert isinstance(checked(path), InputError)


def with_value(knob: str, value: str) -> str:
    """params.yaml with a knob as it is written in YAML."""
    content: dict[str, Any] = overlaid(CONTENT, {knob: VALUE})
    return yaml.dump(content, Dumper=yaml.CSafeDumper, sort_keys=False).replace(VALUE, value)


@pytest.mark.parametrize("index", range(len(VALUES)))
def test_strange_values_of_knobs_are_taken_or_refused(index: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(index)
    typical = ["frontend.window", ["seed", "dataset.root", "frontend.hop_length"][index % 3]]
    path = tmp_path / "params.yaml"
    for knob in [*typical, *rng.choice(KNOBS, 1)]:
        path.write_text(with_value(str(knob), VALUES[index]), encoding="utf-8")
        checked(path)


@pytest.mark.parametrize("seed", range(20))
def test_damaged_files_are_read_or_refused(seed: int, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_bytes(flipped(PARAMS.encode(), np.random.default_rng(seed), 1 + seed % 6))
    checked(tmp_path / "params.yaml")


def test_a_window_that_is_no_number_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    for value in ("[kaiser, 1.0e+308]", "[kaiser, .nan]", "[gaussian, 0]"):
        path.write_text(with_value("frontend.window", value), encoding="utf-8")
        assert isinstance(checked(path), InputError), value


def test_a_seed_is_read_as_dvc_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(with_value("seed", "010"), encoding="utf-8")
    assert load_config(path).seed == 10
