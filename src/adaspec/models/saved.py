"""Models as they are saved: `model.safetensors` and `model.json` in a folder."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from pydantic import ValidationError

import adaspec
from adaspec.config import ModelConfig, explain
from adaspec.errors import InputError
from adaspec.features.representation import feature_contract
from adaspec.models.classifier import AudioClassifier
from adaspec.models.evaluated import Evaluated
from adaspec.runtime.files import write_json
from adaspec.runtime.sources import open_regular, read_source
from adaspec.runtime.text import is_printable, one_line, visible

__all__ = [
    "DESCRIPTION",
    "FORMAT",
    "SPEAKER",
    "WEIGHTS",
    "load",
    "read_description",
    "read_evaluated",
    "save",
    "save_evaluated",
]

SPEAKER = "speaker"  # folder, within a model's, of what verifies speakers beside it
WEIGHTS, DESCRIPTION = "model.safetensors", "model.json"
FORMAT = 6  # of the folder; a change that older code cannot read, or that cannot read older folders, takes the next
MOST_BYTES = 2**24  # of a description, whose labels may be many


def save(model: AudioClassifier, folder: Path) -> None:
    """Write `model.safetensors` and `model.json` into an existing folder: a model that nobody has evaluated yet."""
    weights = {name: tensor.detach().contiguous() for name, tensor in model.state_dict().items()}
    content = safetensors.torch.save(weights)
    (folder / WEIGHTS).write_bytes(content)  # its `save_file` hides what the system refused
    description = {
        "adaspec_version": adaspec.__version__,
        "evaluation": None,
        "config": model.config.model_dump(mode="json", include=set(ModelConfig.model_fields)),
        "features": feature_contract(model.config),
        "format": FORMAT,
        "labels": model.labels,
        "n_claimed": model.n_claimed,
        "sample_rate": model.sample_rate,
        "weights_sha256": hashlib.sha256(content).hexdigest(),
    }
    write_json(folder / DESCRIPTION, description)


def save_evaluated(folder: Path, evaluated: Evaluated) -> None:
    """Write into a model's description what it was evaluated with."""
    write_json(folder / DESCRIPTION, read_description(folder) | {"evaluation": evaluated.model_dump(mode="json")})


def read_evaluated(folder: Path) -> Evaluated | None:
    """What a model was evaluated with; None where it only was trained.

    Raises
    ------
    InputError
        As `read_description`.
    """
    description = read_description(folder)
    if description.get("evaluation") is None:
        return None
    try:
        found = Evaluated.model_validate(description["evaluation"])
    except ValidationError as error:
        first = error.errors()[0]
        raise _not_a_model(folder, f"{'.'.join(map(str, ('evaluation', *first['loc'])))}: {first['msg']}") from None
    if found.threshold is not None and found.threshold.label not in description["labels"]:
        raise _not_a_model(folder, "its threshold is for a label that it does not have")
    return found


def read_description(folder: Path) -> dict[str, Any]:
    """Content of a model's `model.json`.

    Raises
    ------
    InputError
        It is missing, no JSON object, or of a format that this version does not read.
    """
    path = folder / DESCRIPTION
    try:
        description = json.loads(read_source(path, MOST_BYTES).decode("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{path} not found; give a folder such as models/fold-1") from None
    except (OSError, ValueError, RecursionError) as error:
        raise _not_a_model(folder, error) from None
    if not isinstance(description, dict):
        raise _not_a_model(folder, f"{DESCRIPTION} holds no object")
    found = description.get("format", 1)  # the first had no number
    if type(found) is not int or found != FORMAT:
        writer = description.get("adaspec_version")
        told = writer if isinstance(writer, str) and is_printable(writer) else "of an unknown version"
        shown = visible(one_line(repr(found), 60))
        raise InputError(
            f"{folder} was written by adaspec {told} in format {shown}, this is adaspec {adaspec.__version__}, "
            f"which reads format {FORMAT}; use the version that wrote it, or train again with 'dvc repro'"
        )
    if problem := _label_problem(description.get("labels")):
        raise _not_a_model(folder, f"labels must be two or more different texts, {problem}")
    return description


def load(folder: str | Path) -> AudioClassifier:
    """Load a trained model for inference.

    Parameters
    ----------
    folder : str or Path
        Such as "models/fold-1".

    Returns
    -------
    AudioClassifier
        In evaluation mode, on the CPU.

    Raises
    ------
    InputError
        A file is missing or damaged, or does not describe a model of this version's format.
    """
    folder = Path(folder)
    description = read_description(folder)
    _check_digest(folder, description.get("weights_sha256"))
    try:
        config = ModelConfig.model_validate(description["config"])
        _check_shapes(config, description, folder / WEIGHTS)
        model = AudioClassifier(config, description["labels"], n_claimed=description["n_claimed"])
        if (description["sample_rate"], description["features"]) != (model.sample_rate, feature_contract(model.config)):
            raise ValueError("its sample rate or features are not those of its configuration")
        weights = safetensors.torch.load_file(folder / WEIGHTS)
        if not all(bool(tensor.isfinite().all()) for tensor in weights.values()):
            raise ValueError("its weights are not all finite")
        model.load_state_dict(weights)
    except (TypeError, ValueError, KeyError, RuntimeError, safetensors.SafetensorError) as error:
        raise _not_a_model(
            folder, explain(error.errors()[0]) if isinstance(error, ValidationError) else error
        ) from None
    return model.eval().requires_grad_(False)


def _label_problem(labels: object) -> str | None:
    """What is wrong with the labels of a description."""
    if not isinstance(labels, list):
        return f"not {type(labels).__name__}"
    if len(labels) < 2:
        return f"not {len(labels)}"
    for position, label in enumerate(labels):
        if not isinstance(label, str) or not label.strip() or not is_printable(label):
            return f"and number {position} is none that can be printed"
    return None if len(set(labels)) == len(labels) else "and some are equal"


def _check_digest(folder: Path, expected: object) -> None:
    """Refuse weights other than those that were saved: most flipped bits leave a model that loads, and errs."""
    path = folder / WEIGHTS
    try:
        with open_regular(path) as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise InputError(f"{path} not found; give a folder such as models/fold-1") from None
    except OSError as error:
        raise _not_a_model(folder, f"{WEIGHTS}: {error.strerror}") from None
    if found != expected:
        raise InputError(
            f"{path} is damaged, or belongs to another {DESCRIPTION}: its SHA-256 is not the one there; copy the "
            "folder again, or restore it with 'dvc repro'"
        )


def _check_shapes(config: ModelConfig, description: dict[str, Any], weights: Path) -> None:
    """Compare a description with the shapes of its weights, before anything of the described size is built.

    Raises
    ------
    RuntimeError
        Weights are missing, left over, or of another shape.
    """
    with safetensors.safe_open(weights, "pt") as header:
        names = header.keys()
        shapes = {name: header.get_slice(name).get_shape() for name in names}
    with torch.device("meta"):
        described = AudioClassifier(config, description["labels"], n_claimed=description["n_claimed"])
        described.load_state_dict({name: torch.empty(shape) for name, shape in shapes.items()}, assign=True)


def _not_a_model(folder: Path, reason: object) -> InputError:
    told = visible(one_line(reason)) or type(reason).__name__
    return InputError(
        f"{folder} is no model of adaspec {adaspec.__version__} ({told}); train it again with 'dvc repro'"
    )
