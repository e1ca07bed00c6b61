"""The speaker network: waveforms to vectors whose directions tell speakers apart."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from torch import Tensor, nn

from adaspec.backbones import ResNet
from adaspec.config import SpeakerNetworkConfig
from adaspec.errors import InputError
from adaspec.frontends.fbank import Fbank
from adaspec.runtime.files import write_json
from adaspec.runtime.text import one_line

__all__ = ["SpeakerNetwork", "copy_network", "has_network", "load_network", "save_network"]

FRAME_MS, SHIFT_MS = 25.0, 10.0
SPREAD = 0.4  # brings log energies of speech without their mean to a standard deviation of about 1
N_HIDDEN, SMALLEST_VARIANCE = 64, 1e-4
WEIGHTS, DESCRIPTION = "network.safetensors", "network.json"


class _Statistics(nn.Module):
    """Mean and standard deviation over time, of times weighted by what a small network makes of them.

    References
    ----------
    K. Okabe, T. Koshinaka and K. Shinoda, "Attentive Statistics Pooling for Deep Speaker Embedding", Interspeech 2018,
    eq. 4 to 6, https://arxiv.org/abs/1803.10963
    """

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.weights = nn.Sequential(nn.Conv1d(n_features, N_HIDDEN, 1), nn.Tanh(), nn.Conv1d(N_HIDDEN, n_features, 1))

    def forward(self, features: Tensor) -> Tensor:
        """From (batch, n_features, n_times) to (batch, 2 * n_features)."""
        weights = self.weights(features).softmax(dim=2)
        mean = (weights * features).sum(dim=2)
        variance = (weights * features.square()).sum(dim=2) - mean.square()
        return torch.cat([mean, variance.clamp_min(SMALLEST_VARIANCE).sqrt()], dim=1)


class SpeakerNetwork(nn.Module):
    """Log-mel filterbank without its mean over time, which takes channels away; residual blocks; statistics over time.

    Frequencies stay apart to the end: averaging over them, as the classifiers' residual network does, tells speakers
    apart much worse.

    Parameters
    ----------
    sample_rate : int
        In Hz.
    n_dimensions : int
        Length of a vector.
    config : SpeakerNetworkConfig
        Of which `n_mels`, `widths` and `window_s` count.

    Shapes
    ------
    (batch, n_samples), +-1 -> (batch, n_dimensions) of length 1
    """

    def __init__(self, sample_rate: int, n_dimensions: int, config: SpeakerNetworkConfig) -> None:
        super().__init__()
        self.sample_rate, self.n_dimensions, self.window_s = sample_rate, n_dimensions, config.window_s
        self.frontend = Fbank(
            sample_rate=sample_rate, frame_length_ms=FRAME_MS, frame_shift_ms=SHIFT_MS, n_mels=config.n_mels
        )
        self.backbone = ResNet(
            n_channels=1,
            n_features=config.n_mels,
            n_frames=self.frontend.n_frames(round(config.window_s * sample_rate)),
            n_classes=1,
            dropout=0.0,
            widths=config.widths,
        ).to(memory_format=torch.channels_last)
        self.backbone.head = nn.Identity()  # its maps alone are used
        n_rows = -(-config.n_mels // 2 ** len(config.widths))
        self.pooling = _Statistics(config.widths[-1] * n_rows)
        n_statistics = 2 * config.widths[-1] * n_rows
        self.vector = nn.Sequential(
            nn.BatchNorm1d(n_statistics), nn.Linear(n_statistics, n_dimensions), nn.BatchNorm1d(n_dimensions)
        )

    def forward(self, waveform: Tensor) -> Tensor:
        """Vectors of waveforms."""
        return self.embed(self.normal(waveform))

    def normal(self, waveform: Tensor) -> Tensor:
        """Log energies (batch, 1, n_mels, n_frames) without their mean over time."""
        energies: Tensor = self.frontend(waveform)
        return SPREAD * (energies - energies.mean(dim=3, keepdim=True))

    def embed(self, normal: Tensor) -> Tensor:
        """Second half of `forward`."""
        maps = self.backbone.forward_maps(normal.contiguous(memory_format=torch.channels_last))
        return nn.functional.normalize(self.vector(self.pooling(maps.flatten(1, 2))))


def save_network(network: SpeakerNetwork, config: SpeakerNetworkConfig, folder: Path) -> None:
    """Write `network.safetensors` and `network.json` into an existing folder."""
    weights = {name: tensor.detach().contiguous() for name, tensor in network.state_dict().items()}
    (folder / WEIGHTS).write_bytes(safetensors.torch.save(weights))
    description = {
        "config": config.model_dump(mode="json"),
        "n_dimensions": network.n_dimensions,
        "sample_rate": network.sample_rate,
    }
    write_json(folder / DESCRIPTION, description)


def has_network(folder: Path) -> bool:
    """Whether a folder holds a network."""
    return (folder / DESCRIPTION).exists()


def copy_network(source: Path, folder: Path) -> None:
    """Copy a network into a new folder."""
    folder.mkdir()
    for name in (DESCRIPTION, WEIGHTS):
        shutil.copyfile(source / name, folder / name)


def load_network(folder: Path) -> SpeakerNetwork:
    """Load a speaker network for inference, on the CPU.

    Raises
    ------
    InputError
        A file is missing, or is no such network.
    """
    try:
        description: dict[str, Any] = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        config = SpeakerNetworkConfig.model_validate(description["config"])
        with torch.device("meta"):  # nothing of the described size is made before the weights have it
            network = SpeakerNetwork(description["sample_rate"], description["n_dimensions"], config)
        network.load_state_dict(safetensors.torch.load_file(folder / WEIGHTS), assign=True)
    except FileNotFoundError as error:
        raise InputError(f"{error.filename or folder / WEIGHTS} not found; train again with 'dvc repro'") from None
    except (OSError, TypeError, ValueError, KeyError, RuntimeError, ValidationError, SafetensorError) as error:
        raise InputError(
            f"{folder} holds no speaker network ({one_line(error)}); train again with 'dvc repro'"
        ) from None
    network.backbone.to(memory_format=torch.channels_last)  # as it was trained, to the last bit
    return network.eval().requires_grad_(False)
