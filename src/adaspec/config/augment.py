"""Section augment: random changes to training clips."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from adaspec.config.types import Fraction, NonNegative, Positive, Real, Section, Switch

__all__ = ["AugmentConfig", "MixConfig", "NoiseConfig"]

UpTo60 = Annotated[Real, Field(ge=0, le=60)]


class NoiseConfig(Section):
    """Added noise."""

    snr_db: tuple[Real, Real] | None
    """[lowest, highest] signal-to-noise ratio, dB; null = no noise."""
    color_db: UpTo60
    """Standard deviation of the gains that colour it, dB; 0 = white. Waveforms only."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.snr_db is not None and self.snr_db[0] > self.snr_db[1]:
            raise ValueError(f"snr_db={list(self.snr_db)} must be [lowest, highest]")
        return self


class MixConfig(Section):
    """Two clips at once."""

    name: Literal["none", "mixup", "between_class"]
    """between_class: loudness-aware, with a clip of another class."""
    probability: Annotated[Real, Field(gt=0, le=1)]
    """Share of clips that are mixed."""
    alpha: Positive
    """A clip's share in the mixture is drawn from Beta(alpha, alpha); 1 = uniform."""


class AugmentConfig(Section):
    """Random changes, drawn anew for each clip of a batch."""

    of_waveforms: ClassVar[tuple[str, ...]] = ("resynthesis", "speed", "band_limit_hz", "impulses", "polarity")

    enabled: Switch
    """false: none of it."""
    resynthesis: Annotated[Real, Field(ge=0, le=1)]
    """Anti-spoofing: share of spoofed clips that give way to bona fide ones, re-synthesised. Waveforms only."""
    speed: Annotated[Real, Field(ge=0, le=0.9)]
    """+- this fraction, pitch included. Waveforms only."""
    band_limit_hz: tuple[NonNegative, Positive] | None
    """[highest lower edge, lowest upper edge] of a random band, Hz; null = none. Waveforms only."""
    impulses: Fraction
    """Impulsive noise on up to this fraction of the samples. Waveforms only."""
    equalizer_db: UpTo60
    """Standard deviation of a random equaliser's gains, dB."""
    gain_db: UpTo60
    """+- dB."""
    polarity: Switch
    """Half of the waveforms upside down. Waveforms only."""
    delay: Fraction
    """Silence before the clip, up to this fraction of the window."""
    time_shift: Annotated[Real, Field(ge=0, le=1)]
    """+- wrap-around shift, as a fraction of the window."""
    time_stretch: Annotated[Real, Field(ge=0, le=0.9)]
    """+- this fraction of the speed; pitch stays."""
    freq_shift: Annotated[int, Field(ge=0, strict=True)]
    """+- bands."""
    freq_mask: Annotated[int, Field(ge=0, strict=True)]
    """SpecAugment: bands that are masked, at most."""
    time_mask: Annotated[int, Field(ge=0, strict=True)]
    """SpecAugment: frames that are masked, at most."""
    noise: NoiseConfig
    mix: MixConfig

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.band_limit_hz is not None and self.band_limit_hz[0] >= self.band_limit_hz[1]:
            low, high = self.band_limit_hz
            raise ValueError(f"band_limit_hz=[{low}, {high}] must be [highest lower edge, lowest upper edge]")
        return self

    @classmethod
    def off(cls) -> Self:
        """What `enabled=false` stands for: clips as they are."""
        return cls(
            enabled=False,
            resynthesis=0.0,
            speed=0.0,
            band_limit_hz=None,
            impulses=0.0,
            equalizer_db=0.0,
            gain_db=0.0,
            polarity=False,
            delay=0.0,
            time_shift=0.0,
            time_stretch=0.0,
            freq_shift=0,
            freq_mask=0,
            time_mask=0,
            noise=NoiseConfig(snr_db=None, color_db=0.0),
            mix=MixConfig(name="none", probability=1.0, alpha=1.0),
        )
