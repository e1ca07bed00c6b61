"""Recipes: named sets of knobs that did well on a task, each the part of params.yaml that it changes.

They are files of the repository, recipes/NAME.yaml: a comment that says what for, then knobs nested as in params.yaml.
"""

from __future__ import annotations

import logging
import re
import shlex
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from adaspec.config import SYNTHETIC_ROOT, Config, explain, flatten, load_config, parse_yaml, read_yaml
from adaspec.config.knobs import overlaid
from adaspec.config.renamed import renamed
from adaspec.errors import InputError
from adaspec.experiments.repository import committed
from adaspec.runtime.text import did_you_mean, is_printable, one_line, shown

__all__ = [
    "Knobs",
    "describe_recipes",
    "knob_options",
    "leftover_knobs",
    "read_recipe",
    "recipe_command",
    "tell_leftovers",
]

PARAMS, FOLDER = Path("params.yaml"), Path("recipes")
# What Hydra's grammar takes for this very text without quotes, as long as it is none of its words.
PLAIN, WORDS = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*"), {"true", "false", "null", "inf", "nan"}

Knobs = dict[str, Any]


def describe_recipes() -> list[tuple[str, str]]:
    """Name and purpose of every recipe of the repository in the current directory."""
    return [(path.stem, _purpose(path)) for path in _paths()]


def _purpose(path: Path) -> str:
    first = _text(path).partition("\n")[0]
    if not first.startswith("#"):
        raise InputError(f"{path} must begin with a comment of one line that says what it is for")
    return first.lstrip("# ")


def _paths() -> list[Path]:
    paths = sorted(FOLDER.glob("*.yaml"), key=lambda path: path.stem)  # a recipe before those that extend its name
    if not paths or not PARAMS.is_file():
        raise InputError(f"{Path.cwd()} lacks {PARAMS} or {FOLDER}/*.yaml; run from the root of the repository")
    return paths


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from None


def read_recipe(name: str, root: Path | None = None, settings: Sequence[str] = ()) -> tuple[Knobs, Config]:
    """Lay a recipe over params.yaml, and check the whole.

    Parameters
    ----------
    name : str
    root : Path or None
        Folder of the recordings; needed unless the recipe is for the embedded data set.
    settings : sequence of str
        Further knobs, which win over the recipe's: KEY=VALUE, as `dvc exp run -S` takes them.

    Returns
    -------
    knobs : dict of str to object
        What the recipe, `settings` and `root` set, by dotted name.
    config : Config

    Raises
    ------
    InputError
        No such recipe, knob, value or folder; or a data set or model that there cannot be.
    """
    known = [path.stem for path in _paths()]
    if name not in known:
        raise InputError(f"there is no recipe {name!r}{did_you_mean(name, known)} (known: {', '.join(known)})")
    path = FOLDER / f"{name}.yaml"
    knobs = _read_knobs(path)
    origins = dict.fromkeys(knobs, str(path))  # who says so, for messages
    for setting in settings:
        key, value = _parse(setting)
        knobs[key], origins[key] = value, f"-S {setting}"
    if root is not None:
        if origins.get("dataset.root", "").startswith("-S"):
            raise InputError(f"--root {root} and {origins['dataset.root']}: say once where the recordings lie")
        if not root.is_dir():
            raise InputError(f"--root {root} is not a folder; give the one that holds the recordings")
        knobs["dataset.root"], origins["dataset.root"] = str(root.absolute()), f"--root {root}"
    base = load_config(PARAMS)
    _check_known(base, origins)
    content = overlaid(base.model_dump(mode="json"), knobs)
    dataset = content["dataset"]
    if dataset["name"] != "synthetic" and dataset["root"] == SYNTHETIC_ROOT:
        raise InputError(f"{path}: dataset.name={dataset['name']} needs its recordings; add --root FOLDER")
    try:
        config = Config.model_validate(content)
    except ValidationError as error:
        problems = [f"{_origin(problem['loc'], origins, path)}: {explain(problem)}" for problem in error.errors()]
        raise InputError("; ".join(problems)) from None
    _check_can_be_built(config, path)
    _check_survives_dvc(knobs, config, path)
    return knobs, config


def _read_knobs(path: Path) -> Knobs:
    content = read_yaml(path)
    if not isinstance(content, dict) or not content:
        raise InputError(f"{path} must hold knobs, nested as in {PARAMS}; got {shown(content)}")
    return _flatten(content)


def _flatten(section: dict[Any, Any], prefix: str = "") -> Knobs:
    flat: Knobs = {}
    for key, value in section.items():
        name = f"{prefix}{key}"
        flat |= _flatten(value, f"{name}.") if isinstance(value, dict) and value else {name: value}
    return flat


def _parse(setting: str) -> tuple[str, Any]:
    """Key and value of KEY=VALUE, in the grammar of `dvc exp run -S`, which is Hydra's."""
    from dvc.utils.hydra import to_hydra_overrides
    from hydra.errors import HydraException

    try:
        (override,) = to_hydra_overrides([setting])
    except HydraException:
        raise InputError(
            f"-S {setting}: must be KEY=VALUE, such as seed=1; text with '=', commas, quotes or brackets in it needs "
            "quotes of its own: -S 'KEY=\"a=b\"'"
        ) from None
    if override.is_sweep_override():
        raise InputError(f"-S {setting}: several values; give one, or a list as [1,2]")
    if override.is_add() or override.is_force_add() or override.is_delete() or override.package is not None:
        raise InputError(f"-S {setting}: knobs cannot be added, removed or put elsewhere; write KEY=VALUE")
    return override.key_or_group, override.value()


def _check_known(base: Config, origins: dict[str, str]) -> None:
    known = flatten(base)
    for key, origin in origins.items():
        if key in known:
            continue
        inner = [name.removeprefix(f"{key}.") for name in known if name.startswith(f"{key}.")]
        if new := renamed(key):
            now = "now a section: set" if inner else "now called"
            raise InputError(f"{origin}: {key} is {now} {new}")
        if inner:
            raise InputError(f"{origin}: {key} is a section of {PARAMS}; set its knobs: {', '.join(inner)}")
        raise InputError(f"{origin}: {key} is not a knob of {PARAMS}{did_you_mean(key, known)}")


def _origin(location: tuple[int | str, ...], origins: dict[str, str], path: Path) -> str:
    names = (".".join(map(str, location[:length])) for length in range(len(location), 0, -1))
    return next((origins[name] for name in names if name in origins), f"{path} over {PARAMS}")


def _check_can_be_built(config: Config, path: Path) -> None:
    from adaspec.experiments.checks import check_knobs  # here: pandas and torch take seconds, a list of recipes none

    try:
        check_knobs(config)
    except InputError as error:
        raise InputError(f"{path} over {error}") from None  # which begins with the file and the knob


def _check_survives_dvc(knobs: Knobs, config: Config, path: Path) -> None:
    """Refuse values that DVC would write into params.yaml so that the pipeline reads others: it breaks long lines."""
    from dvc.utils.hydra import apply_overrides

    with tempfile.TemporaryDirectory() as scratch:
        written = Path(scratch) / PARAMS
        written.write_text(_text(PARAMS), encoding="utf-8")
        apply_overrides(str(written), _overrides(knobs))
        where = f"{path}: after 'dvc exp run', {PARAMS} would not hold what was meant"
        try:
            found = flatten(load_config(written))
        except InputError as error:
            raise InputError(f"{where}: {one_line(str(error).replace(f'{written} ', ''))}") from None
    for key, value in flatten(config).items():
        if found[key] != value:
            raise InputError(f"{where}: {key}={found[key]!r} instead of {value!r}; use another value")


def leftover_knobs(knobs: Knobs) -> list[str]:
    """Knobs that params.yaml no longer has as committed, and that the recipe leaves as they are.

    `dvc exp run` leaves its values in params.yaml, so that one recipe after another would mix the two.
    """
    text = committed(PARAMS)
    if text is None:
        return []  # no repository, or none of its files: nothing to compare with
    try:
        before, present = _flatten(parse_yaml(text)), _flatten(parse_yaml(_text(PARAMS)))
    except (yaml.YAMLError, AttributeError):
        return []
    return [key for key, value in present.items() if key not in knobs and before.get(key, value) != value]


def tell_leftovers(knobs: Knobs) -> None:
    """Tell a user of `leftover_knobs`."""
    if leftovers := leftover_knobs(knobs):
        logging.getLogger(__name__).info(
            "note: params.yaml differs from the last commit in %s, which the recipe leaves as they are; 'git restore "
            "params.yaml' goes back to the baseline",
            ", ".join(leftovers),
        )


def recipe_command(knobs: Knobs) -> str:
    """The `dvc exp run` command that sets these knobs, for a POSIX shell."""
    return shlex.join(["dvc", "exp", "run", *knob_options(knobs)])


def knob_options(knobs: Knobs) -> list[str]:
    """The words that set these knobs in a `dvc exp run` command: -S, KEY=VALUE, and so on."""
    return [word for override in _overrides(knobs) for word in ("-S", override)]


def _overrides(knobs: Knobs) -> list[str]:
    return [f"{key}={_override(key, value)}" for key, value in knobs.items()]


def _override(key: str, value: Any) -> str:
    """Write a value so that Hydra's grammar, in which DVC reads -S, gives it back."""
    from hydra.core.override_parser.types import Quote, QuotedString

    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list | tuple):
        return f"[{','.join(_override(key, each) for each in value)}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{name}:{_override(key, each)}' for name, each in value.items())}}}"
    if not isinstance(value, str):
        return str(value)
    if "${" in value or value == "???" or not is_printable(value):
        raise InputError(
            f"{key}={value!r} cannot be given to DVC, where '${{' and '???' mean something else and control characters "
            "are lost; use another name"
        )
    if PLAIN.fullmatch(value) and value.lower() not in WORDS:
        return value
    return QuotedString(value, Quote.double).with_quotes()
