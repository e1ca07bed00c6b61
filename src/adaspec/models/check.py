"""Whether a configured model can be built at all, before anything runs on it."""

from __future__ import annotations

from adaspec.backbones import check_backbone
from adaspec.config import ModelConfig
from adaspec.errors import InputError
from adaspec.features.windows import window_samples
from adaspec.frontends import check_frontend

__all__ = ["check_model"]


def check_model(config: ModelConfig) -> None:
    """Refuse settings of front end and backbone that contradict each other.

    Where only the clips tell the sample rate, what depends on it is left for later.

    Raises
    ------
    InputError
        Names the knob, what was got, what is allowed and what to do.
    """
    check_frontend(config.frontend, config.audio.sample_rate)
    check_backbone(config.backbone)
    sample_rate, length_s = config.audio.sample_rate, config.features.window.length_s
    if sample_rate is not None and length_s is not None:
        try:
            window_samples(length_s, sample_rate)
        except InputError as error:
            raise InputError(f"params.yaml {error}") from None
