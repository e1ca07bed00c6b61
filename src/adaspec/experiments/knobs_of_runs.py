"""Which knobs tell compared settings apart."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from adaspec.config.knobs import UNDECIDING, reads
from adaspec.config.reading import parse_yaml
from adaspec.errors import InputError
from adaspec.runtime.text import one_line

__all__ = ["MLFLOW", "UNKNOWN", "Knobs", "as_text", "differing_knobs", "flat_params"]

Knobs = dict[str, str]  # dotted name -> value as text
UNKNOWN = "-"  # of a setting none of whose runs tells the knob
NULL = "null"
MLFLOW = "mlflow:"  # before the name of a run


def flat_params(content: str, where: str) -> Knobs:
    """Every knob of a params.yaml, of whatever version of adaspec.

    Raises
    ------
    InputError
        It is not YAML.
    """
    try:
        found = parse_yaml(content)
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(
            f"{where} cannot be read ({one_line(error)}); mend it, or compare folders of metrics"
        ) from None
    return dict(_leaves(found if isinstance(found, dict) else {}, ""))


def _leaves(section: Mapping[str, Any], above: str) -> list[tuple[str, str]]:
    leaves: list[tuple[str, str]] = []
    for key, value in section.items():
        if isinstance(value, dict):
            leaves += _leaves(value, f"{above}{key}.")
        else:
            leaves.append((f"{above}{key}", as_text(value)))
    return leaves


def as_text(value: object) -> str:
    """A value such that YAML's and MLflow's are equal where they mean the same."""
    if value is None or value == "None":
        return NULL
    if isinstance(value, bool) or value in ("True", "False"):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(as_text, value))}]"
    text = str(value)
    if text[:1] in ("(", "[") and text[-1:] in (")", "]"):  # a sequence as Python writes it
        parts = [part.strip(" '\"") for part in text[1:-1].split(",")]
        return f"[{', '.join(as_text(part) for part in parts if part)}]"
    with contextlib.suppress(ValueError):
        return f"{float(text):.15g}"
    return text


def differing_knobs(settings: Sequence[Mapping[str, Knobs]]) -> dict[str, list[str]]:
    """Knobs whose values are not the same in all settings that tell them, without those that decide no result.

    A knob of params.yaml that is null, the data set's own value, is not held against what MLflow has, which is that
    value; nor is one that a setting does not know.

    Parameters
    ----------
    settings : sequence of mapping
        Of each setting: run -> its knobs.

    Returns
    -------
    dict of str to list of str
        Knob -> its value in each setting: those of the runs joined by commas, `UNKNOWN` where none tells it.
    """
    names = dict.fromkeys(name for runs in settings for knobs in runs.values() for name in knobs)
    resolved = any(run.startswith(MLFLOW) for runs in settings for run in runs)
    found: dict[str, list[str]] = {}
    for name in names:
        if reads(name, UNDECIDING):
            continue
        cells = [
            ", ".join(dict.fromkeys(knobs[name] for knobs in runs.values() if name in knobs)) or UNKNOWN
            for runs in settings
        ]
        told = set(cells) - {UNKNOWN}
        if len(told) > 1 and not (resolved and NULL in told):
            found[name] = cells
    return found
