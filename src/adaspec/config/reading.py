"""Reading YAML safely, with numbers as DVC reads them, and params.yaml with a line per mistake."""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from adaspec.config.renamed import renamed
from adaspec.config.schema import Config
from adaspec.config.tune import SearchedKnob
from adaspec.errors import InputError
from adaspec.runtime.sources import read_source
from adaspec.runtime.text import did_you_mean, one_line, shown

__all__ = ["explain", "load_config", "parse_yaml", "read_yaml"]

MOST_NODES = 100_000  # after aliases are written out: params.yaml has a hundred
DEEPEST = 100
LONGEST_NUMBER = 100  # characters; int() takes quadratic time for what has no end
MOST_BYTES = 2**17  # params.yaml has ten thousand; reading takes some 20 microseconds a byte
MOST_PROBLEMS = 200  # told; the rest are counted


class _Loader(yaml.SafeLoader):
    """Safe, and reads scalars as YAML 1.2 does: DVC writes params.yaml, and its dvc.lock, by that standard.

    PyYAML's own rules are those of YAML 1.1, where 1e-3 is text, 010 is eight, 1:30 is ninety and yes is true.
    """

    yaml_implicit_resolvers = {}  # noqa: RUF012 - as the class that it derives from

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Refuse what is nested too deeply while it is read: reading on takes quadratic time."""
        self.depth: int = getattr(self, "depth", 0) + 1
        if self.depth > DEEPEST:
            raise yaml.YAMLError(f"nested more than {DEEPEST} deep")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Refuse keys that are there twice: the last one would win without a word."""
        lines: dict[Any, int] = {}
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key, line = self.construct_object(key_node, deep=True), key_node.start_mark.line + 1
            if isinstance(key, Hashable) and key in lines:
                raise yaml.YAMLError(f"line {line}: key {key!r} is already in line {lines[key]}; keep one of the two")
            lines[key if isinstance(key, Hashable) else line] = line
        return super().construct_mapping(node, deep)

    def construct_number(self, node: yaml.ScalarNode) -> int | float:
        """A whole number in base ten, eight (0o17) or sixteen (0x1f), or a float."""
        text = str(self.construct_scalar(node))
        if len(text) > LONGEST_NUMBER:
            raise yaml.YAMLError(f"line {node.start_mark.line + 1}: a number of {len(text)} characters")
        text = text.replace("_", "")
        if node.tag == "tag:yaml.org,2002:int":
            sign, digits = (-1, text[1:]) if text[0] == "-" else (1, text.lstrip("+"))
            base = {"0o": 8, "0x": 16, "0b": 2}.get(digits[:2].lower(), 10)
            return sign * int(digits[2:] if base != 10 else digits, base)
        special = {".inf": "inf", ".nan": "nan"}
        unsigned = text.lstrip("+-").lower()
        return float(text[: len(text) - len(unsigned)] + special.get(unsigned, unsigned))


for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?(0b[01_]+|0o?[0-7_]+|[0-9][0-9_]*|0x[0-9a-fA-F_]+)", "-+0123456789"),
    (
        "float",
        r"[-+]?([0-9][0-9_]*\.[0-9_]*|\.[0-9_]+)([eE][-+]?[0-9]+)?|[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+"
        r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
    ("merge", "<<", "<"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), list(_first))
for _tag in ("int", "float"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_tag}", _Loader.construct_number)


def parse_yaml(text: str | bytes) -> Any:
    """Content of a YAML document.

    Raises
    ------
    yaml.YAMLError
        It is malformed, has a key twice, is nested too deeply or grows too large where its aliases are written out.
    """
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _check_size(node)
        return loader.construct_document(node)
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        # A tag with content that it is not for, such as !!bool x, ends in any of these in PyYAML.
        raise yaml.YAMLError(f"{type(error).__name__}: {one_line(error)}") from None
    finally:
        loader.dispose()


def _check_size(top: yaml.Node) -> None:
    """Count nodes as they are once aliases are written out, without writing them out."""
    sizes: dict[int, int] = {}

    def size(node: yaml.Node, depth: int) -> int:
        if depth > DEEPEST:
            raise yaml.YAMLError(f"nested more than {DEEPEST} deep, or an alias holds itself")
        if id(node) not in sizes:
            children = node.value if isinstance(node, yaml.CollectionNode) else []
            flat = [each for child in children for each in (child if isinstance(child, tuple) else (child,))]
            sizes[id(node)] = 1 + sum(size(each, depth + 1) for each in flat)
        return sizes[id(node)]

    if size(top, 0) > MOST_NODES:
        raise yaml.YAMLError(f"its aliases stand for more than {MOST_NODES} values; write out what is meant")


def read_yaml(path: Path) -> Any:
    """Content of a YAML file.

    Raises
    ------
    InputError
        It cannot be read, or is not valid.
    """
    try:
        return parse_yaml(read_source(path, MOST_BYTES).decode("utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); run from the root of the repository") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid YAML: {one_line(error)}") from None


def load_config(path: Path) -> Config:
    """Read and check a params file.

    Parameters
    ----------
    path : Path
        A YAML file with every key of `Config`.

    Returns
    -------
    Config
        Frozen.

    Raises
    ------
    InputError
        One line per problem: file, key, value got, values allowed.
    """
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise InputError(f"{path} must hold a mapping of sections, got {type(content).__name__}")
    try:
        return Config.model_validate(content)
    except ValidationError as error:
        lines = list(dict.fromkeys(f"{path} {explain(problem)}" for problem in error.errors()))
        more = [f"{path} has {len(lines) - MOST_PROBLEMS} more such problems"] if len(lines) > MOST_PROBLEMS else []
        raise InputError(*lines[:MOST_PROBLEMS], *more) from None


def explain(problem: Any) -> str:
    """Say one problem of a pydantic `ValidationError` as 'key=value: what is allowed', in at most 1000 characters."""
    return one_line(_explained(problem), 1000)


def _explained(problem: Any) -> str:
    keys, known = _keys_of(problem["loc"])
    if problem["type"] == "extra_forbidden":
        key = str(problem["loc"][-1])[:100]
        name = ".".join([*keys, key])
        if new := renamed(name):
            return f"{name}: is now called {new}; rename it"
        hint = did_you_mean(key, known, f"; known keys: {', '.join(known)}")
        return f"{name}: unknown key{hint}"
    key, told = ".".join(keys), shown(problem["input"])
    if (new := renamed(key)) and problem["type"] == "model_type":
        return f"{key}={told}: {key} is now a section; set {new} instead"
    if problem["type"] == "missing" and isinstance(problem["loc"][-1], int):
        return f"{key}={told}: too few values"
    if problem["type"] == "missing":
        return f"{key}: missing; every key of the file must be there, null where the data set's own value is wanted"
    message = problem["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:] if message.startswith("Input ") else message
    if problem["type"] == "value_error":
        return f"{key}: {message}" if key else message
    if problem["type"] == "model_type":
        message = f"must be a section with the keys {', '.join(known)}"
    return f"{key}={told}: {message}"


def _keys_of(location: tuple[Any, ...]) -> tuple[list[str], list[str]]:
    """The part of a pydantic location that is keys of the file, and the keys known at its end.

    What follows, such as the branch of a union, is pydantic's own.
    """
    model: Any = Config
    keys: list[str] = []
    for part in location:
        if isinstance(part, int) and model == tuple[SearchedKnob, ...]:
            keys[-1] += f"[{part}]"
            model = SearchedKnob
            continue
        if not (isinstance(model, type) and issubclass(model, BaseModel)) or part not in model.model_fields:
            break
        keys.append(part)
        model = model.model_fields[part].annotation
    return keys, list(getattr(model, "model_fields", []))
