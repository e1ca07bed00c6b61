"""Whether a configured model can be built at all, before anything runs on it."""

from __future__ import annotations

from adaspec.backbones import check_backbone
from adaspec.config import HIGHEST_RATE, ModelConfig
from adaspec.frontends import check_frontend

__all__ = ["check_model"]


def check_model(config: ModelConfig) -> None:
    """Refuse settings of front end and backbone that contradict each other.

    Where only the clips tell the sample rate, what depends on it (mel bands) is left for later.

    Raises
    ------
    InputError
        Names the knob, what was got, what is allowed and what to do.
    """
    rate, frontend = config.audio.sample_rate, config.frontend
    if rate is None:
        mel = frontend.mel.model_copy(update={"n_mels": None})
        frontend = frontend.model_copy(update={"mel": mel, "learn_mel": False})
    check_frontend(frontend, rate or HIGHEST_RATE)
    check_backbone(config.backbone)
