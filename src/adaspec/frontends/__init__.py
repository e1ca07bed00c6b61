"""Front ends: waveform (batch, n_samples) -> spectrogram (batch, channels, n_features, n_frames).

They need torch, torchaudio, numpy and scipy alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adaspec.frontends.fbank import Fbank
from adaspec.frontends.stft import AdaptiveSTFT

if TYPE_CHECKING:
    from adaspec.config import ModelConfig

__all__ = ["FRONTENDS", "AdaptiveSTFT", "Fbank", "build_frontend"]

FRONTENDS: dict[str, type[AdaptiveSTFT] | type[Fbank]] = {"stft": AdaptiveSTFT, "fbank": Fbank}


def build_frontend(config: ModelConfig) -> AdaptiveSTFT | Fbank:
    """Build the configured front end.

    Parameters
    ----------
    config : ModelConfig
        Resolved: `audio.sample_rate` is set.
    """
    sample_rate = config.audio.sample_rate
    assert sample_rate is not None
    if config.frontend.name == "fbank":
        return Fbank(sample_rate=sample_rate, **config.features.fbank.model_dump())
    return AdaptiveSTFT(sample_rate=sample_rate, **config.frontend.model_dump(exclude={"name"}))
