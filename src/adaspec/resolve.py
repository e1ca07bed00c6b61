"""The one place where null in params.yaml becomes the data set's own value, and a switch what it stands for."""

from __future__ import annotations

import pandas as pd
from pydantic import ValidationError

from adaspec.config import AugmentConfig, Config, explain
from adaspec.errors import InputError

__all__ = ["resolve"]


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
        With `audio.sample_rate` in Hz, `audio.window_s` in seconds (the median clip, or a part of it) and
        `split.scheme` set; where `augment.enabled` is false, without any augmentation.

    Raises
    ------
    InputError
        Where the clips do not agree on a sample rate, or a setting does not fit the resolved rate.
    """
    audio, split = config.audio, config.split
    if audio.sample_rate is None:
        rates = sorted(clips["sample_rate"].unique())
        if len(rates) > 1:
            raise InputError(
                f"params.yaml audio.sample_rate is null, but the clips have {len(rates)} rates "
                f"({', '.join(f'{rate} Hz' for rate in rates)}); set the rate that all are resampled to"
            )
        audio = audio.model_copy(update={"sample_rate": int(rates[0])})
    if audio.window_s is None:
        window_s = float((clips["n_samples"] / clips["sample_rate"]).median()) / audio.split_parts
        audio = audio.model_copy(update={"window_s": max(round(window_s, 3), 0.001), "split_parts": 1})
    if split.scheme is None:
        named = [
            scheme for scheme, column in (("predefined", "fold"), ("official", "subset")) if (clips[column] != "").all()
        ]
        own = named[0] if named else "group_kfold"
        split = split.model_copy(update={"scheme": own})
    augment = config.augment if config.augment.enabled else AugmentConfig.off()
    filled = config.model_copy(update={"audio": audio, "split": split, "augment": augment})
    try:
        return Config.model_validate(filled.model_dump())
    except ValidationError as error:
        raise InputError("; ".join(f"params.yaml {explain(problem)}" for problem in error.errors())) from None
