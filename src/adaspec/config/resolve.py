"""The one place where null in params.yaml becomes the data set's own value, and a switch what it stands for."""

from __future__ import annotations

import pandas as pd
from pydantic import ValidationError

from adaspec.config.augment import AugmentConfig
from adaspec.config.data import AudioConfig, SplitConfig, WindowConfig
from adaspec.config.schema import Config
from adaspec.errors import InputError

__all__ = ["resolve", "resolve_audio", "resolve_split"]


def resolve(config: Config, clips: pd.DataFrame) -> Config:
    """Fill every null that means "the data set's own".

    Parameters
    ----------
    config : Config
    clips : DataFrame
        clips.csv, with `n_samples`, `sample_rate`, `fold` and `subset`.

    Returns
    -------
    Config
        With `audio.sample_rate` in Hz, `features.window.length_s` in seconds (the median clip, or a part of it) and
        `split.scheme` set; where `augment.enabled` is false, without any augmentation.

    Raises
    ------
    InputError
        The clips do not agree on a sample rate.
    """
    window = _resolve_window(config.features.window, clips)
    return config.model_copy(
        update={
            "audio": resolve_audio(config.audio, clips),
            "features": config.features.model_copy(update={"window": window}),
            "split": resolve_split(config.split, clips),
            "augment": config.augment if config.augment.enabled else AugmentConfig.off(),
        }
    )


def resolve_audio(audio: AudioConfig, clips: pd.DataFrame) -> AudioConfig:
    """Take the clips' own sample rate where none is set."""
    if audio.sample_rate is not None:
        return audio
    rates = sorted(clips["sample_rate"].unique())
    if len(rates) > 1:
        raise InputError(
            f"params.yaml audio.sample_rate is null, but the clips have {len(rates)} rates "
            f"({', '.join(f'{rate} Hz' for rate in rates)}); set the rate that all are resampled to"
        )
    try:
        return AudioConfig.model_validate(audio.model_dump() | {"sample_rate": int(rates[0])})
    except ValidationError as error:
        raise InputError(
            f"params.yaml audio.sample_rate is null, and the clips have {rates[0]} Hz: {error.errors()[0]['msg']}; set "
            "the rate that all are resampled to"
        ) from None


def _resolve_window(window: WindowConfig, clips: pd.DataFrame) -> WindowConfig:
    if window.length_s is not None:
        return window
    if "use" in clips:  # enrolment is no matter of the window
        clips = clips[clips["use"] == "trial"]
    length_s = float((clips["n_samples"] / clips["sample_rate"]).median()) / window.n_parts
    return window.model_copy(update={"length_s": max(round(length_s, 3), 0.001), "n_parts": 1})


def resolve_split(split: SplitConfig, clips: pd.DataFrame) -> SplitConfig:
    """Take the folds that the data set brings, its official parts, or else folds of whole groups.

    Raises
    ------
    InputError
        Every clip has a part, but nothing is to be trained, or tested, on.
    """
    if split.scheme is not None:
        return split
    brought = (("predefined", "fold"), ("official", "subset"))
    scheme = next((scheme for scheme, column in brought if (clips[column] != "").all()), "group_kfold")
    parts = sorted(clips["subset"].unique())
    absent = [part for part in ("train", "eval") if part not in parts]
    if scheme == "official" and absent:
        raise InputError(
            f"params.yaml split.scheme is null, which takes the parts that the data set names, but these are "
            f"{' and '.join(parts)} only, without {' and '.join(absent)}; add such clips, or set "
            "split.scheme=group_kfold, which makes folds of all clips"
        )
    return split.model_copy(update={"scheme": scheme})
