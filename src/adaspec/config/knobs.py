"""Knobs by their dotted names, and the only list of what decides a result: which stage reads which sections and rooms.

dvc.yaml is checked against `STAGES`. The digest of a training, the names of ablation experiments, the space of tuning
and the parameters in MLflow derive from it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

if TYPE_CHECKING:
    from adaspec.config import Config

__all__ = [
    "RESULTS",
    "STAGES",
    "UNDECIDING",
    "Stage",
    "code_digest",
    "deciding",
    "flatten",
    "overlaid",
    "reads",
    "training_stages",
]


@dataclass(frozen=True)
class Stage:
    """What a stage of the pipeline depends on.

    Attributes
    ----------
    sections : tuple of str
        Sections of params.yaml, or single knobs where two stages share a section.
    rooms : tuple of str
        Folders and files below src/adaspec that decide its result.
    carried : tuple of str
        Knobs that it reads and does not list, as what they decide comes with its inputs.
    """

    sections: tuple[str, ...]
    rooms: tuple[str, ...]
    carried: tuple[str, ...] = ()


LAYERS = ("backbones", "frontends", "linalg")
CLIPS = ("config/resolve.py", "runtime/files.py", "tables")
TRAINED = (*LAYERS, *CLIPS, "features", "models", "runtime/seeding.py", "speakers", "tasks")
MODEL = ("audio", "backbone", "features.window", "frontend")
# Stages that share a section list single knobs of it, so that a change of the others does not run them again. Left out
# is what decides time and messages, never a result: the sections below (evaluation lists tracking all the same, so that
# a run is recorded anew), the rooms experiments and tracking, what is not named here of config and runtime.
UNDECIDING = ("engine", "tracking", "tune")
STAGES = {
    # Whole sections, so that a mistyped key is seen even where no stage reads it; without `engine`, which must not
    # leave a trace in dvc.lock.
    "validate": Stage(
        sections=(
            *("audio", "augment", "backbone", "dataset", "evaluate", "features", "frontend", "seed", "speaker"),
            *("robustness", "split", "synthetic", "tracking", "train", "tune"),
        ),
        rooms=(*LAYERS, "attributes", "config", "datasets", "models"),
    ),
    "synthesize": Stage(sections=("synthetic",), rooms=("audio", "datasets", "runtime/files.py", "tables")),
    "prepare": Stage(sections=("dataset",), rooms=("audio", "datasets", "runtime/files.py", "tables")),
    "features": Stage(
        sections=("audio", "features.clips_per_shard", "frontend.fixed", "frontend.name"),
        rooms=(*CLIPS, "audio", "features", "frontends", "linalg"),
        carried=("dataset.root",),
    ),
    "split": Stage(sections=("seed", "split"), rooms=(*CLIPS, "runtime/figures.py", "runtime/seeding.py")),
    "embed": Stage(
        sections=("audio", "seed", "speaker", "train.device", "train.threads_per_fold"),
        rooms=(*LAYERS, *CLIPS, "features", "runtime/seeding.py", "speakers", "training"),
        carried=("frontend",),
    ),
    "train": Stage(
        sections=(*MODEL, "augment", "seed", "split.balance", "train"),
        rooms=(*TRAINED, "attributes", "audio", "training"),
        carried=("speaker", "split.scheme"),
    ),
    "evaluate": Stage(
        sections=("evaluate", "seed", "tracking", "train.device", "train.threads_per_fold"),
        rooms=(*TRAINED, "evaluation", "runtime/figures.py"),
        carried=(*MODEL, "augment", "dataset.root", "speaker", "split", "train"),
    ),
    "robustness": Stage(
        sections=("evaluate.n_bootstrap", "robustness", "seed", "train.device", "train.threads_per_fold"),
        rooms=(
            *(*LAYERS, *CLIPS, "attributes", "audio", "evaluation", "features", "models", "robustness"),
            *("runtime/figures.py", "runtime/seeding.py"),
        ),
        carried=(*MODEL, "augment", "dataset.root", "split.scheme"),
    ),
    # All that decide a result: the page tells which differ from those committed.
    "report": Stage(
        sections=(
            *("audio", "augment", "backbone", "dataset", "evaluate", "features", "frontend", "robustness", "seed"),
            *("speaker", "split", "synthetic", "train"),
        ),
        rooms=(*CLIPS, "audio", "report"),
    ),
}


# The others check, ask what was trained and evaluated about further clips, or show.
RESULTS = tuple(stage for stage in STAGES if stage not in ("validate", "robustness", "report"))


def deciding(config: BaseModel, stage: str | None = None) -> dict[str, Any]:
    """Knobs, by their dotted names, that decide what a stage makes; without a stage, what any of them makes."""
    stages = [STAGES[stage]] if stage else [STAGES[name] for name in RESULTS]
    sections = {section for each in stages for section in each.sections}
    return {
        name: value for name, value in flatten(config).items() if reads(name, sections) and not reads(name, UNDECIDING)
    }


def code_digest(*stages: str, package: Path | None = None) -> str:
    """Fingerprint of the code that decides what these stages make, by default this code."""
    content, package = hashlib.sha256(), package or Path(__file__).parents[1]
    for room in sorted({room for stage in stages for room in STAGES[stage].rooms}):
        path = package / room
        for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
            content.update(file.relative_to(package).as_posix().encode() + file.read_bytes())
    return content.hexdigest()


def training_stages(config: Config) -> tuple[str, ...]:
    """Stages whose knobs and code decide a training: also those of speakers' vectors, where the model takes such."""
    return ("train",) if config.backbone.claim == "none" else ("train", "embed")


def flatten(section: BaseModel) -> dict[str, Any]:
    """Every knob under its dotted name, as `dvc exp run -S` takes it."""
    flat: dict[str, Any] = {}
    for key, value in section:
        if isinstance(value, BaseModel):
            flat |= {f"{key}.{inner}": leaf for inner, leaf in flatten(value).items()}
        else:
            flat[key] = value
    return flat


def overlaid(content: Mapping[str, Any], knobs: Mapping[str, Any]) -> dict[str, Any]:
    """A nested copy of params with other values, by their dotted names.

    Raises
    ------
    KeyError
        The first name that is no knob.
    """
    copied = {key: overlaid(value, {}) if isinstance(value, dict) else value for key, value in content.items()}
    for name, value in knobs.items():
        *sections, key = name.split(".")
        section: Any = copied
        for part in sections:
            section = section.get(part) if isinstance(section, dict) else None
        if not isinstance(section, dict) or key not in section:
            raise KeyError(name)
        section[key] = value
    return copied


def reads(name: str, sections: Iterable[str]) -> bool:
    """Whether a knob is one of these, or lies in one of these sections."""
    return any(name == section or name.startswith(f"{section}.") for section in sections)
