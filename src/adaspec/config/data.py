"""Sections for recordings and their folds: dataset, synthetic, audio, features, split."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from adaspec.config.types import Real, Section, Seed, Switch, Text

__all__ = [
    "HIGHEST_RATE",
    "SYNTHETIC_ROOT",
    "AudioConfig",
    "DatasetConfig",
    "FeaturesConfig",
    "SplitConfig",
    "SyntheticConfig",
    "WindowConfig",
]

SYNTHETIC_ROOT = "data/raw/synthetic"  # output of the stage `synthesize`
HIGHEST_RATE = 384_000  # Hz


class DatasetConfig(Section):
    """Which recordings, and where they lie."""

    name: Text
    """The embedded data set (synthetic), a public one such as esc50, or your own: folder or manifest."""
    root: Text
    """Folder of the recordings. Your own data: an absolute path, anywhere on the disk."""
    variant: Text | None
    """A smaller edition of the data set, such as esc10 of esc50; null = all of it."""
    on_bad_clip: Literal["fail", "skip"]
    """What a file leads to that cannot be used; `skip` lists it in data/skipped.csv."""
    on_missing: Literal["fail", "skip"]
    """What a file leads to that the data set lists and the disk lacks, as in partial copies."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.name == "synthetic" and self.root != SYNTHETIC_ROOT:
            raise ValueError(
                f"root={self.root} is not where the synthetic data set is generated; set root={SYNTHETIC_ROOT}, or "
                "name to that of your data set"
            )
        if self.name != "synthetic" and self.root == SYNTHETIC_ROOT:
            raise ValueError(f"root={self.root} holds the synthetic data set, but name={self.name}; set root to yours")
        return self


class SyntheticConfig(Section):
    """The embedded data set, which is generated."""

    clips_per_class: Annotated[int, Field(ge=10, le=10_000, strict=True)]
    """Clips of each of the ten classes, two of each source."""
    duration_s: Annotated[Real, Field(ge=0.5, le=60)]
    """Length of a clip, s."""
    seed: Seed
    """Seed of the generated sound."""


class AudioConfig(Section):
    """The waveform that is kept of a recording."""

    sample_rate: Annotated[int, Field(ge=1000, le=HIGHEST_RATE, strict=True)] | None
    """Hz, to which all clips are resampled; null = that of the clips."""
    trim_db: Annotated[Real, Field(gt=0, le=200)] | None
    """Silent ends, this many dB below a clip's peak, are cut off; null = they are kept."""


class WindowConfig(Section):
    """What a model sees at a time."""

    length_s: Annotated[Real, Field(gt=0, le=3600)] | None
    """Length of a window, s; null = the median clip, or a part of it."""
    n_parts: Annotated[int, Field(ge=1, le=1000, strict=True)]
    """Where length_s is null: parts of the median clip, each a window."""
    pad: Literal["repeat", "zeros"]
    """How a clip that is shorter than the window is filled: with itself again, or with silence."""


class FeaturesConfig(Section):
    """What is stored of the clips, and the windows that are cut out of them."""

    clips_per_shard: Annotated[int, Field(ge=1, le=100_000, strict=True)]
    """Clips in each file of the store; bounds the memory of extraction."""
    window: WindowConfig


class SplitConfig(Section):
    """Folds, balancing and validation."""

    scheme: Literal["predefined", "group_kfold", "group_kfold_train", "official"] | None
    """Folds of the data set (`predefined`); folds of whole groups, of all clips or of those of the official training
    part alone; train, dev and eval as they are (`official`); null = what the data set brings."""
    n_folds: Annotated[int, Field(ge=2, le=100, strict=True)]
    """For group_kfold and group_kfold_train."""
    validation_fraction: Annotated[Real, Field(ge=0, le=0.5)]
    """Share of the training part that is kept for validation, in whole groups; 0 = none."""
    balance: Literal["none", "downsample", "upsample", "class_weights", "weighted_sampler"]
    """How training evens out the labels: fewer clips of the frequent ones, more of the rare ones, weights in the loss,
    or draws that take every label equally often."""
    balance_evaluation: Switch
    """Thin out validation and test clips too, down to the rarest label."""
