"""Recipes: named sets of knobs that did well on a task, as the part of params.yaml that they change."""

from __future__ import annotations

import difflib
import re
import shlex
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from adaspec.config import SYNTHETIC_ROOT, Config, explain
from adaspec.errors import InputError

__all__ = ["describe_recipes", "read_recipe", "recipe_command"]

PARAMS, FOLDER = Path("params.yaml"), Path("recipes")

Knobs = dict[str, Any]


def describe_recipes() -> list[tuple[str, str]]:
    """Name and first line of every recipe of the repository in the current directory."""
    return [(path.stem, path.read_text(encoding="utf-8").splitlines()[0].lstrip("# ")) for path in _paths()]


def _paths() -> list[Path]:
    paths = sorted(FOLDER.glob("*.yaml"))
    if not paths or not PARAMS.is_file():
        raise InputError(f"no {FOLDER}/ or {PARAMS} in {Path.cwd()}; run from the root of the repository")
    return paths


def read_recipe(name: str, root: Path | None, settings: list[str]) -> tuple[Knobs, Config]:
    """Lay a recipe over params.yaml.

    Parameters
    ----------
    name : str
    root : Path or None
        Where the recordings lie; needed unless the recipe is for the embedded data set.
    settings : list of str
        Further knobs, "key=value", which win over the recipe's.

    Returns
    -------
    knobs : dict of str to object
        What differs from params.yaml, by dotted name.
    config : Config

    Raises
    ------
    InputError
        No such recipe, knob, value or folder.
    """
    known = [path.stem for path in _paths()]
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        raise InputError(
            f"no recipe {name!r}; {f'did you mean {close[0]!r}? ' if close else ''}known: {', '.join(known)}"
        )
    path = FOLDER / f"{name}.yaml"
    try:
        knobs = _flatten(yaml.safe_load(path.read_text(encoding="utf-8")))
        content = yaml.safe_load(PARAMS.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} or {PARAMS} is not valid YAML: {' '.join(str(error).split())}") from None
    for setting in settings:
        key, separator, value = setting.partition("=")
        if not separator:
            raise InputError(f"-S {setting}: must be KEY=VALUE, such as seed=1")
        knobs[key] = yaml.safe_load(value)
    if root is not None:
        if not root.is_dir():
            raise InputError(f"--root {root} is no folder; give the one that holds the recordings")
        knobs["dataset.root"] = str(root.absolute())
    for key, value in knobs.items():
        _put(content, key, value, path)
    if content["dataset"]["name"] != "synthetic" and content["dataset"]["root"] == SYNTHETIC_ROOT:
        raise InputError(f"{name} needs the recordings of {content['dataset']['name']}: give --root FOLDER")
    try:
        return knobs, Config.model_validate(content)
    except ValidationError as error:
        raise InputError("; ".join(f"{path} over {PARAMS}: {explain(problem)}" for problem in error.errors())) from None


def _flatten(section: Any, prefix: str = "") -> Knobs:
    if not isinstance(section, dict):
        return {prefix: section}
    flat: Knobs = {}
    for key, value in section.items():
        flat |= _flatten(value, f"{prefix}.{key}" if prefix else str(key))
    return flat


def _put(content: Any, key: str, value: Any, path: Path) -> None:
    section = content
    *sections, last = key.split(".")
    for part in sections:
        section = section.get(part) if isinstance(section, dict) else None
    if not isinstance(section, dict) or last not in section or isinstance(section[last], dict):
        close = difflib.get_close_matches(key, _flatten(content), n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise InputError(f"{path} or -S: {key} is no knob of {PARAMS}{hint}")
    section[last] = value


def recipe_command(knobs: Knobs) -> str:
    """The `dvc exp run` command that sets these knobs, for a POSIX shell."""
    words = [part for key, value in knobs.items() for part in ("-S", f"{key}={_override(value)}")]
    return shlex.join(["dvc", "exp", "run", *words])


def _override(value: Any) -> str:
    """Write a value as Hydra's grammar, which DVC reads -S with, takes it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_override, value))}]"
    if isinstance(value, str) and not re.fullmatch(r"[\w./:+-]+", value):
        escaped = value.replace("'", "\\'")
        return f"'{escaped}'"
    return str(value)
