"""The classifier: a front end and a backbone, saved as safetensors with a JSON description beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from pydantic import ValidationError
from torch import Tensor, nn

import adaspec
from adaspec.backbones import build_backbone
from adaspec.config import ModelConfig, explain
from adaspec.errors import InputError
from adaspec.features.store import feature_contract
from adaspec.frontends import build_frontend
from adaspec.frontends.stored import from_stored
from adaspec.windows import window_samples

__all__ = ["AudioClassifier", "load", "save"]

WEIGHTS, DESCRIPTION = "model.safetensors", "model.json"


class AudioClassifier(nn.Module):
    """Waveforms to logits.

    Parameters
    ----------
    config : ModelConfig
        Resolved.
    labels : list of str
        Class names; logit i belongs to labels[i].
    pretrained : bool
        Begin with other weights where the configuration asks for them.

    Shapes
    ------
    (batch, n_samples), +-1 -> (batch, n_classes)

    Attributes
    ----------
    n_samples, n_frames : int
        Of a window of `audio.window_s`.
    """

    def __init__(self, config: ModelConfig, labels: list[str], *, pretrained: bool = False) -> None:
        super().__init__()
        if config.audio.sample_rate is None or config.audio.window_s is None:
            raise ValueError("audio.sample_rate or audio.window_s is null: resolve it first")
        self.config, self.labels, self.sample_rate = config, labels, config.audio.sample_rate
        self.frontend = build_frontend(config)
        self.n_samples = window_samples(config.audio.window_s, self.sample_rate)
        self.n_frames = self.frontend.n_frames(self.n_samples)
        self.backbone = build_backbone(
            config.backbone,
            n_channels=self.frontend.n_channels,
            n_features=self.frontend.n_features,
            n_frames=self.n_frames,
            n_classes=len(labels),
            pretrained=pretrained,
        )

    @property
    def device(self) -> torch.device:
        """Where the model computes."""
        return next(self.backbone.parameters()).device

    def forward(self, waveform: Tensor, sample_rate: int | None = None) -> Tensor:
        """Logits of waveforms.

        Parameters
        ----------
        waveform : Tensor of shape (batch, n_samples)
            Float, +-1.
        sample_rate : int, optional
            In Hz; checked against the model's own where given.

        Raises
        ------
        ValueError
            The rate is not the model's.
        """
        if sample_rate not in (None, self.sample_rate):
            raise ValueError(f"waveform has {sample_rate} Hz, the model takes {self.sample_rate} Hz; resample it")
        return self.backbone(self.frontend(waveform))  # which may have been replaced by a baked one

    def input_of(self, stored: Tensor) -> Tensor:
        """From what the store holds to what the model computes with.

        int16 (batch, n_samples) -> waveform +-1; float16 (batch, n_frames, n_channels * n_features), logarithms ->
        energies (batch, n_channels, n_features, n_frames), which pass through.
        """
        if stored.ndim == 4:
            return stored
        if stored.ndim == 2:
            return stored.float() / 32768
        return from_stored(stored, self.frontend.n_channels)

    def energies(self, inputs: Tensor) -> Tensor:
        """(batch, n_channels, n_features, n_frames) of waveforms; energies pass through."""
        return self.frontend.energies(inputs) if inputs.ndim == 2 else inputs

    def classify(self, inputs: Tensor) -> Tensor:
        """Logits of waveforms or energies."""
        return self.backbone(self.frontend.compress(self.energies(inputs)))


def save(model: AudioClassifier, folder: Path) -> None:
    """Write `model.safetensors` and `model.json` into an existing folder."""
    weights = {name: tensor.detach().contiguous() for name, tensor in model.state_dict().items()}
    safetensors.torch.save_file(weights, folder / WEIGHTS)
    description = {
        "adaspec_version": adaspec.__version__,
        "config": model.config.model_dump(mode="json", include=set(ModelConfig.model_fields)),
        "features": feature_contract(model.config),
        "labels": model.labels,
        "sample_rate": model.sample_rate,
    }
    (folder / DESCRIPTION).write_text(json.dumps(description, indent=2, sort_keys=True) + "\n", encoding="utf-8")


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
        A file is missing or does not describe a model of this version's layout.
    """
    folder = Path(folder)
    try:
        description: dict[str, Any] = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        model = AudioClassifier(ModelConfig.model_validate(description["config"]), description["labels"])
        model.load_state_dict(safetensors.torch.load_file(folder / WEIGHTS))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(
            f"{error.filename or folder / WEIGHTS} not found; give a folder such as models/fold-1"
        ) from None
    except (TypeError, ValueError, KeyError, RuntimeError, safetensors.SafetensorError) as error:
        reason = explain(error.errors()[0]) if isinstance(error, ValidationError) else str(error).splitlines()[0]
        raise InputError(
            f"{folder} is no model of adaspec {adaspec.__version__} ({reason}); train it again with 'dvc repro'"
        ) from None
    return model.eval().requires_grad_(False)
