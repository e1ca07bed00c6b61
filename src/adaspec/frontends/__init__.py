"""Front ends: waveform (batch, n_samples) -> spectrogram (batch, channels, n_features, n_frames).

They need torch, torchaudio, numpy and scipy alone.
"""

from __future__ import annotations

import inspect
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from adaspec.errors import InputError, SettingError
from adaspec.frontends.arguments import arguments
from adaspec.frontends.contract import Frontend
from adaspec.frontends.fbank import Fbank
from adaspec.frontends.stft.baked import BakedSTFT
from adaspec.frontends.stft.layer import AdaptiveSTFT

if TYPE_CHECKING:
    from adaspec.config import FrontendConfig

__all__ = [
    "FRONTENDS",
    "AdaptiveSTFT",
    "BakedSTFT",
    "Fbank",
    "Frontend",
    "all_arguments",
    "build_frontend",
    "check_frontend",
]

ANY_RATE = 384_000  # Hz, higher than recordings have

FRONTENDS: dict[str, type[AdaptiveSTFT] | type[Fbank]] = {"stft": AdaptiveSTFT, "fbank": Fbank}


def build_frontend(config: FrontendConfig, sample_rate: int) -> AdaptiveSTFT | Fbank:
    """Build the configured front end.

    Parameters
    ----------
    config : FrontendConfig
    sample_rate : int
        In Hz.

    Raises
    ------
    SettingError
        The settings contradict each other or the sample rate; it names the argument.
    """
    return FRONTENDS[config.name](sample_rate=sample_rate, **_settings(config))


def check_frontend(config: FrontendConfig, sample_rate: int | None) -> None:
    """Make sure that the configured front end can be built.

    Parameters
    ----------
    config : FrontendConfig
    sample_rate : int or None
        In Hz. None: only the clips tell it, so that settings which depend on it are left for later.

    Raises
    ------
    InputError
        Names the knob, what was got, what is allowed and what to do.
    """
    try:
        if sample_rate is None:
            _build_at_any_rate(config)
        else:
            build_frontend(config, sample_rate)
    except SettingError as error:
        knob = arguments(config).get(error.setting)
        name = f"frontend.{knob}" if knob else f"audio.{error.setting}"
        raise InputError(f"params.yaml {name}{error.reason}") from None


def all_arguments(config: FrontendConfig) -> dict[str, Any]:
    """Arguments of the configured front end but the sample rate: those that knobs set, and the others' defaults."""
    taken = inspect.signature(FRONTENDS[config.name]).parameters.values()
    return {each.name: each.default for each in taken if each.default is not each.empty} | _settings(config)


def _settings(config: FrontendConfig) -> dict[str, Any]:
    return {argument: attrgetter(knob)(config) for argument, knob in arguments(config).items()}


def _build_at_any_rate(config: FrontendConfig) -> None:
    """Build at a rate that is higher than any; whether every band has a bin, only the rate of the clips can tell."""
    try:
        build_frontend(config, ANY_RATE)
    except SettingError as error:
        if error.setting != "n_mels":
            raise
        mel = config.mel.model_copy(update={"n_mels": None})
        build_frontend(config.model_copy(update={"mel": mel, "learn_mel": False}), ANY_RATE)
