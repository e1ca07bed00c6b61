"""The classifier: a front end and a backbone."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from adaspec.backbones import Ensemble, build_backbone, combined
from adaspec.config import ModelConfig
from adaspec.errors import InputError
from adaspec.features.windows import window_samples
from adaspec.frontends import build_frontend

if TYPE_CHECKING:
    from adaspec.features.representation import Decoder

__all__ = ["AudioClassifier"]

NORMALIZED = {"none": (), "level": (2, 3), "band": (3,)}  # axes whose mean is subtracted: bands, frames
MOST_VALUES = 2**24  # of a window's spectrogram: 64 MiB, and many times as much in a network


class AudioClassifier(nn.Module):
    """Waveforms to logits.

    Parameters
    ----------
    config : ModelConfig
        Resolved.
    labels : list of str
        Class names; logit i belongs to labels[i].
    n_claimed : int
        Length of the claimed speaker's vector, for `backbone.claim`; 0 without.
    pretrained : bool
        Begin with other weights where the configuration asks for them.

    Shapes
    ------
    (batch, n_samples), +-1 -> (batch, n_classes)

    Raises
    ------
    InputError
        Windows are too long, or the front end's settings do not fit together.

    Attributes
    ----------
    n_samples, n_frames : int
        Of a window of `features.window.length_s`.
    """

    def __init__(self, config: ModelConfig, labels: list[str], *, n_claimed: int = 0, pretrained: bool = False) -> None:
        super().__init__()
        sample_rate, length_s = config.audio.sample_rate, config.features.window.length_s
        if sample_rate is None or length_s is None:
            raise ValueError("audio.sample_rate or features.window.length_s is null: resolve it first")
        if (config.backbone.claim != "none") != (n_claimed > 0):
            raise ValueError(
                f"backbone.claim={config.backbone.claim}, but a claimed speaker's vector has {n_claimed} numbers"
            )
        self.config, self.labels, self.sample_rate, self.n_claimed = config, labels, sample_rate, n_claimed
        self.n_samples = window_samples(length_s, sample_rate)
        self.frontend = build_frontend(config.frontend, sample_rate)
        self.n_frames = self.frontend.n_frames(self.n_samples)
        size = (self.frontend.n_channels, self.frontend.n_features, self.n_frames)
        if math.prod(size) > MOST_VALUES:
            raise InputError(
                f"features.window.length_s={length_s:g} makes spectrograms of {' x '.join(map(str, size))} numbers, "
                f"more than {MOST_VALUES}; lower it, or raise the hop of the front end"
            )
        self.backbone = build_backbone(
            config.backbone,
            n_channels=self.frontend.n_channels,
            n_features=self.frontend.n_features,
            n_frames=self.n_frames,
            n_classes=len(labels),
            n_claimed=n_claimed,
            pretrained=pretrained,
        )

    @property
    def device(self) -> torch.device:
        """Where the model computes."""
        return next(self.backbone.parameters()).device

    def forward(self, waveform: Tensor, sample_rate: int | None = None, claimed: Tensor | None = None) -> Tensor:
        """Logits of waveforms.

        Parameters
        ----------
        waveform : Tensor of shape (batch, n_samples)
            Float, +-1.
        sample_rate : int, optional
            In Hz; checked against the model's own where given.
        claimed : Tensor of shape (batch, n_claimed), optional
            Vectors of the speakers who are claimed, for a model that takes them.

        Raises
        ------
        ValueError
            The rate is not the model's.
        """
        if sample_rate not in (None, self.sample_rate):
            raise ValueError(f"waveform has {sample_rate} Hz, the model takes {self.sample_rate} Hz; resample it")
        # Not `logits`: the front end may have been replaced by a baked one.
        return combined(self.members(self.frontend(waveform), claimed))

    def members(self, compressed: Tensor, claimed: Tensor | None = None) -> Tensor:
        """Logits (n_members, batch, n_classes) of compressed spectrograms; a backbone alone is one member."""
        if self.n_claimed and (claimed is None or claimed.shape[1] != self.n_claimed):
            got = "none" if claimed is None else f"of {claimed.shape[1]}"
            raise ValueError(f"the model takes a claimed speaker's vector of {self.n_claimed} numbers, got {got}")
        if axes := NORMALIZED[self.config.backbone.normalize]:
            compressed = compressed - compressed.mean(axes, keepdim=True)
        logits: Tensor = self.backbone(compressed, claimed) if self.n_claimed else self.backbone(compressed)
        return logits if isinstance(self.backbone, Ensemble) else logits.unsqueeze(0)

    def spectrogram(self, stored: Tensor, representation: Decoder) -> Tensor:
        """Spectrograms, before their compression, of windows out of a store.

        Parameters
        ----------
        stored : Tensor of shape (batch, n_steps, ...)
        representation : Decoder
            What they are.

        Returns
        -------
        Tensor of shape (batch, n_channels, n_features, n_frames)
        """
        inputs = representation.decode(stored)
        return self.frontend.spectrogram(inputs) if representation.domain == "waveform" else inputs

    def logits(self, stored: Tensor, representation: Decoder, claimed: Tensor | None = None) -> Tensor:
        """Logits (n_members, batch, n_classes) of windows out of a store, with a claim for each where they take one."""
        return self.members(self.frontend.compress(self.spectrogram(stored, representation)), claimed)
