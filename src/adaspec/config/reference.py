"""docs/knobs.md, from the descriptions of the fields: `python -m adaspec.config.reference > docs/knobs.md`."""

from __future__ import annotations

import json
import typing
from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from adaspec.config.knobs import STAGES, flatten, reads
from adaspec.config.reading import load_config, read_yaml
from adaspec.config.renamed import RENAMED
from adaspec.config.schema import Config

__all__ = ["knobs_page"]

UNTOLD = ("validate", "report")  # stages that nearly every knob runs again, in seconds

TITLE = """# Knobs

Every knob of params.yaml, by its dotted name, as `dvc exp run -S NAME=VALUE` takes it. Generated from the descriptions
in `src/adaspec/config`; the values are those of params.yaml.

A knob is read only where what it belongs to is chosen; elsewhere its value is left unread, and never refused. Refused
are requests that cannot be met together, such as a front end that is fixed and is to learn. What a layer's settings
may be, the layer checks before anything runs. `null` means the data set's own value, or none, as the knob says.

The last column names the stages that run again when the knob changes. Where it is empty, the knob decides time, or
what `adaspec tune` searches, and no result.
"""


def knobs_page(params: Path) -> str:
    """The page, as Markdown.

    Parameters
    ----------
    params : Path
        params.yaml, for the values.
    """
    values = flatten(load_config(params))
    lines = [TITLE]
    order = ["", *read_yaml(params)]  # as the file has its sections
    for prefix, section in sorted(_sections(Config), key=lambda each: order.index(each[0].partition(".")[0])):
        rows = [_row(f"{prefix}{name}", field, values) for name, field in _leaves(section)]
        if not rows:
            continue
        about = " ".join((section.__doc__ or "").split())
        title = prefix.rstrip(".") or "seed"
        lines += [f"\n## {title}\n", *([f"{about}\n"] if prefix else [])]
        lines += ["| knob | value | allowed | what it does | stages |", "|---|---|---|---|---|", *rows]
    lines += ["\n## Former names\n", "An old name is refused, with the new one in the message.\n"]
    lines += ["| formerly | now |", "|---|---|", *(f"| `{old}` | `{new}` |" for old, new in RENAMED.items())]
    return "\n".join(lines) + "\n"


def _sections(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    yield prefix, model
    for name, field in model.model_fields.items():
        if _is_section(field):
            assert isinstance(field.annotation, type)
            yield from _sections(field.annotation, f"{prefix}{name}.")


def _is_section(field: FieldInfo) -> bool:
    return isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)


def _leaves(section: type[BaseModel]) -> Iterator[tuple[str, FieldInfo]]:
    return ((name, field) for name, field in section.model_fields.items() if not _is_section(field))


def _row(knob: str, field: FieldInfo, values: dict[str, Any]) -> str:
    stages = [name for name in STAGES if name not in UNTOLD and reads(knob, STAGES[name].sections)]
    value = "" if isinstance(values[knob], tuple) and values[knob] and isinstance(values[knob][0], BaseModel) else None
    shown = f"`{json.dumps(values[knob])}`" if value is None else "see params.yaml"
    cells = [f"`{knob}`", shown, _allowed(field), " ".join((field.description or "").split()), ", ".join(stages)]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _allowed(field: FieldInfo) -> str:
    """What a value may be, in words."""
    parts = _members(field.annotation, field.metadata)
    return " or ".join(dict.fromkeys(parts))


def _members(annotation: Any, metadata: list[Any]) -> list[str]:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        inner, *more = arguments
        return _members(inner, [*metadata, *more])
    if origin in (typing.Union, UnionType):
        return [part for each in arguments for part in _members(each, metadata)]
    if origin is typing.Literal:
        return ["null" if each is None else f"`{json.dumps(each)}`".replace('"', "") for each in arguments]
    if annotation is NoneType:
        return ["null"]
    if origin is tuple:
        kinds = [each for each in arguments if each is not ...]
        if ... in arguments:
            return [f"list of {' or '.join(dict.fromkeys(_members(kinds[0], [])))}"]
        return [f"[{', '.join(' or '.join(_members(each, [])) for each in kinds)}]"]
    names = {bool: "true or false", int: "whole number", float: "number", str: "text"}
    return [names.get(annotation, "entries") + _bounds(metadata)]


def _bounds(metadata: list[Any]) -> str:
    told = []
    for each in _flat(metadata):
        for key, sign in (("gt", ">"), ("ge", ">="), ("lt", "<"), ("le", "<=")):
            if (limit := getattr(each, key, None)) is not None:
                told.append(f"{sign} {limit}")
    return f" {', '.join(told)}" if told else ""


def _flat(metadata: list[Any]) -> Iterator[Any]:
    for each in metadata:
        yield from _flat(each.metadata) if isinstance(each, FieldInfo) else [each]


if __name__ == "__main__":
    print(knobs_page(Path("params.yaml")), end="")
