"""Section augment: random changes to training clips."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self, get_args

from pydantic import AfterValidator, Field, model_validator

from adaspec.config.types import (
    Count,
    Fraction,
    Names,
    NonNegative,
    Positive,
    Probability,
    Real,
    Section,
    Switch,
    distinct,
)

__all__ = ["AttributesConfig", "AugmentConfig", "MixConfig", "NoiseConfig", "ResynthesisConfig"]

UpTo60 = Annotated[Real, Field(ge=0, le=60)]


Family = Literal["copies", "vocoders", "conversion", "codecs", "concatenation"]


class ResynthesisConfig(Section):
    """Bona fide speech taken apart and put together again, as further attacks; anti-spoofing alone, waveforms only."""

    share: Probability
    """Share of spoofed clips that give way to bona fide ones, re-synthesised."""
    families: Annotated[tuple[Family, ...], Field(min_length=1), AfterValidator(distinct)]
    """Kinds of synthesisers whose traces are left, every method of them equally often."""


class NoiseConfig(Section):
    """Added noise."""

    snr_db: tuple[Real, Real] | None
    """[lowest, highest] signal-to-noise ratio of added noise, dB; null = no noise."""
    color_db: UpTo60
    """Standard deviation of the gains that colour the added noise, dB; 0 = white. Waveforms only."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.snr_db is not None and self.snr_db[0] > self.snr_db[1]:
            raise ValueError(f"snr_db={list(self.snr_db)} must be [lowest, highest]")
        return self


class MixConfig(Section):
    """Two clips at once."""

    name: Literal["none", "mixup", "between_class"]
    """How two clips are mixed; between_class: loudness-aware, with a clip of another class."""
    probability: Annotated[Real, Field(gt=0, le=1)]
    """Share of clips that are mixed."""
    alpha: Positive
    """Shares of mixed clips are drawn from Beta(alpha, alpha); 1 = uniform."""


class AttributesConfig(Section):
    """Copies of training clips with changed attributes, made once, as a defence; see docs/robustness.md."""

    names: Names
    """Attributes that are changed, such as white_noise and mp3; `all` = every one; empty = none."""
    copies: Count
    """Changed copies of each clip, each with an attribute and a level of its own."""
    share: Annotated[Real, Field(gt=0, le=1)]
    """Share of training windows that are taken from a copy, drawn anew each epoch; with consistency, where each comes
    with its clip or a copy of it, it is a half whatever stands here."""
    consistency: NonNegative
    """Weight in the loss of how much the model disagrees about a clip and a changed copy of it (Jensen-Shannon
    divergence), with twice as many windows in a batch; 0 = none. Not with clips that are mixed or re-synthesised."""


class AugmentConfig(Section):
    """Random changes, drawn anew for each clip of a batch."""

    of_waveforms: ClassVar[tuple[str, ...]] = (
        "resynthesis.share",
        "speed",
        "band_limit_hz",
        "impulses",
        "polarity",
        "adversarial_db",
    )

    enabled: Switch
    """Whether training clips are changed at all; false leaves the rest of this section unread."""
    speed: Annotated[Real, Field(ge=0, le=0.9)]
    """Random speed, up to this fraction faster or slower, pitch included. Waveforms only."""
    band_limit_hz: tuple[NonNegative, Positive] | None
    """[highest lower edge, lowest upper edge] of the random band that clips are limited to, Hz; null = all frequencies.
    Waveforms only."""
    impulses: Fraction
    """Impulsive noise on up to this fraction of the samples. Waveforms only."""
    equalizer_db: UpTo60
    """Standard deviation of a random equaliser's gains, dB."""
    gain_db: UpTo60
    """Random gain, up to this many dB either way."""
    polarity: Switch
    """Turn half of the waveforms upside down. Waveforms only."""
    delay: Fraction
    """Random silence before the clip, up to this fraction of the window."""
    time_shift: Annotated[Real, Field(ge=0, le=1)]
    """Random rotation in time, up to this fraction of the window either way; what leaves at one end comes in at the
    other."""
    adversarial_db: Positive | None
    """Signal-to-noise ratio of changes that raise the loss most, made to half of the clips, dB; null = none. Waveforms
    only."""
    time_stretch: Annotated[Real, Field(ge=0, le=0.9)]
    """Random speed at the same pitch, up to this fraction faster or slower."""
    freq_shift: Annotated[int, Field(ge=0, strict=True)]
    """Random shift in frequency, up to this many bands up or down."""
    freq_mask: Annotated[int, Field(ge=0, strict=True)]
    """Longest stretch of bands that is masked (SpecAugment)."""
    time_mask: Annotated[int, Field(ge=0, strict=True)]
    """Longest stretch of frames that is masked (SpecAugment)."""
    resynthesis: ResynthesisConfig
    noise: NoiseConfig
    mix: MixConfig
    attributes: AttributesConfig

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
            speed=0.0,
            band_limit_hz=None,
            impulses=0.0,
            equalizer_db=0.0,
            gain_db=0.0,
            polarity=False,
            delay=0.0,
            time_shift=0.0,
            adversarial_db=None,
            time_stretch=0.0,
            freq_shift=0,
            freq_mask=0,
            time_mask=0,
            resynthesis=ResynthesisConfig(share=0.0, families=get_args(Family)),
            noise=NoiseConfig(snr_db=None, color_db=0.0),
            mix=MixConfig(name="none", probability=1.0, alpha=1.0),
            attributes=AttributesConfig(names=(), copies=1, share=1.0, consistency=0.0),
        )
