"""Front ends: waveform (batch, n_samples) -> spectrogram (batch, channels, n_features, n_frames).

They need torch, torchaudio, numpy and scipy alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adaspec.errors import InputError
from adaspec.frontends.baked import BakedSTFT
from adaspec.frontends.fbank import Fbank
from adaspec.frontends.stft import AdaptiveSTFT

if TYPE_CHECKING:
    from adaspec.config import ModelConfig

__all__ = ["FRONTENDS", "AdaptiveSTFT", "BakedSTFT", "Fbank", "build_frontend", "check_frontend"]

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
        settings = config.features.fbank.model_dump()
    else:
        settings = config.frontend.model_dump(exclude={"name", "cached"})
    return FRONTENDS[config.frontend.name](sample_rate=sample_rate, **settings)


def check_frontend(config: ModelConfig) -> None:
    """Make sure that the configured front end can be built.

    Raises
    ------
    InputError
        Its settings contradict each other or the sample rate.
    """
    try:
        build_frontend(config)
    except ValueError as error:
        raise InputError(f"params.yaml, front end {config.frontend.name}: {error}") from None
