"""Models as they are saved: `model.safetensors` and `model.json` in a folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import safetensors.torch
from pydantic import ValidationError

import adaspec
from adaspec.config import ModelConfig, explain
from adaspec.errors import InputError
from adaspec.features.representation import feature_contract
from adaspec.models.classifier import AudioClassifier
from adaspec.runtime.text import is_printable

__all__ = ["DESCRIPTION", "FORMAT", "WEIGHTS", "load", "read_description", "save"]

WEIGHTS, DESCRIPTION = "model.safetensors", "model.json"
FORMAT = 3  # of the folder; a change that older code cannot read, or that cannot read older folders, takes the next


def save(model: AudioClassifier, folder: Path) -> None:
    """Write `model.safetensors` and `model.json` into an existing folder."""
    weights = {name: tensor.detach().contiguous() for name, tensor in model.state_dict().items()}
    (folder / WEIGHTS).write_bytes(safetensors.torch.save(weights))  # its `save_file` hides what the system refused
    description = {
        "adaspec_version": adaspec.__version__,
        "config": model.config.model_dump(mode="json", include=set(ModelConfig.model_fields)),
        "features": feature_contract(model.config),
        "format": FORMAT,
        "labels": model.labels,
        "sample_rate": model.sample_rate,
    }
    (folder / DESCRIPTION).write_text(json.dumps(description, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def read_description(folder: Path) -> dict[str, Any]:
    """Content of a model's `model.json`.

    Raises
    ------
    InputError
        It is missing, no JSON object, or of a format that this version does not read.
    """
    path = folder / DESCRIPTION
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
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
        raise InputError(
            f"{folder} was written by adaspec {told} in format {found!r}, this is adaspec {adaspec.__version__}, "
            f"which reads format {FORMAT}; use the version that wrote it, or train again with 'dvc repro'"
        )
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
        A file is missing, or does not describe a model of this version's format.
    """
    folder = Path(folder)
    description = read_description(folder)
    try:
        model = AudioClassifier(ModelConfig.model_validate(description["config"]), description["labels"])
        if (description["sample_rate"], description["features"]) != (model.sample_rate, feature_contract(model.config)):
            raise ValueError("its sample rate or features are not those of its configuration")
        model.load_state_dict(safetensors.torch.load_file(folder / WEIGHTS))
    except FileNotFoundError as error:
        raise InputError(
            f"{error.filename or folder / WEIGHTS} not found; give a folder such as models/fold-1"
        ) from None
    except (TypeError, ValueError, KeyError, RuntimeError, safetensors.SafetensorError) as error:
        raise _not_a_model(
            folder, explain(error.errors()[0]) if isinstance(error, ValidationError) else error
        ) from None
    return model.eval().requires_grad_(False)


def _not_a_model(folder: Path, reason: object) -> InputError:
    first = str(reason).splitlines()[0] if str(reason) else type(reason).__name__
    return InputError(
        f"{folder} is no model of adaspec {adaspec.__version__} ({first}); train it again with 'dvc repro'"
    )
