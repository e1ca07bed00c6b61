"""Section robustness: how the trained models fare when recordings are changed."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from adaspec.config.types import Count, Names, Real, Section

__all__ = ["GradientConfig", "RobustnessConfig"]


class GradientConfig(Section):
    """Attacks that follow the gradient through the front end; for front ends that see waveforms."""

    snr_db: tuple[Annotated[Real, Field(ge=-20, le=120)], ...]
    """Signal-to-noise ratios of the perturbations, dB; empty = no such attacks."""
    n_steps: Annotated[int, Field(ge=1, le=1000, strict=True)]
    """Gradient steps of an attack on a window."""


class RobustnessConfig(Section):
    """Changed test clips, which the models of their folds are asked about: off unless attributes are named."""

    attributes: Names
    """Names of attributes that are changed, such as white_noise and mp3; `all` = every one; empty = none."""
    n_clips: Count | None
    """Test clips of each fold, spread over the classes; null = all."""
    gradient: GradientConfig

    @property
    def asks(self) -> bool:
        """Whether anything is to be done."""
        return bool(self.attributes or self.gradient.snr_db)
