"""Section speaker: vectors that tell speakers apart, for speaker verification and for detectors that know the claim."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from adaspec.config.types import Count, NonNegative, Positive, Real, Section, Text

__all__ = ["SpeakerConfig", "SpeakerNetworkConfig"]


class SpeakerNetworkConfig(Section):
    """The speaker network, trained from scratch on the training part's bona fide speech; read where speaker.source is
    learned."""

    n_mels: Annotated[int, Field(ge=16, le=256, strict=True)]
    """Mel bands of its log-mel filterbank (25 ms every 10 ms), each without its mean over time."""
    widths: Annotated[tuple[Annotated[int, Field(ge=1, le=1024, strict=True)], ...], Field(min_length=2, max_length=6)]
    """Channels of the stem and of the residual blocks; from the second on, each block halves the resolution."""
    window_s: Annotated[Real, Field(gt=0, le=60)]
    """Length of a training window, s; recordings are embedded by windows of twice this length, which are averaged."""
    epochs: Count
    """Passes over the training clips, each of them at three speeds."""
    batch_size: Annotated[int, Field(ge=3, strict=True)]
    """Windows in each training step."""
    learning_rate: Positive
    """Highest learning rate of AdamW, after the warm-up."""
    weight_decay: NonNegative
    """Weight decay."""
    margin: Annotated[Real, Field(ge=0, le=1)]
    """Additive angular margin, rad."""
    scale: Positive
    """Factor on the cosines before the softmax."""
    equalizer_db: Annotated[Real, Field(ge=0, le=60)]
    """Standard deviation of a random equaliser's gains in training, dB."""
    noise_snr_db: tuple[Real, Real] | None
    """[lowest, highest] signal-to-noise ratio of noise added in training, dB; null = none."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.noise_snr_db is not None and self.noise_snr_db[0] > self.noise_snr_db[1]:
            raise ValueError(f"noise_snr_db={list(self.noise_snr_db)} must be [lowest, highest]")
        return self


class SpeakerConfig(Section):
    """Vectors that tell speakers apart."""

    source: Literal["none", "learned", "file"]
    """Where the vectors come from: a network that the pipeline trains, a file of yours, or nowhere: no speaker
    verification."""
    file: Text | None
    """Vectors of your own, whichever model made them: the absolute path of a Parquet or NPZ file, @ and its digest,
    which a run without it tells; read where source is file."""
    n_dimensions: Annotated[int, Field(ge=2, le=4096, strict=True)]
    """Length of a vector."""
    network: SpeakerNetworkConfig

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.source == "file" and (self.file is None or not self.file.startswith("/")):
            raise ValueError(
                f"source=file needs file, the absolute path of a Parquet or NPZ file of vectors, got {self.file}"
            )
        return self
