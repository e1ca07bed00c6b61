"""Section train: how one fold is fitted."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from adaspec.config.types import Count, Fraction, NonNegative, Positive, Real, Section, Switch

__all__ = ["FrontendTrainConfig", "LossConfig", "OptimizerConfig", "ScheduleConfig", "TrainConfig"]


class OptimizerConfig(Section):
    """How weights are moved."""

    name: Literal["adamw", "sgd", "muon"]
    """muon takes NAdamW where it does not apply."""
    learning_rate: Positive
    """The highest."""
    weight_decay: NonNegative
    """Of the backbone's matrices and filters; never applied to the front end."""
    momentum: Fraction
    """Of sgd and muon."""


class ScheduleConfig(Section):
    """How the learning rate moves."""

    name: Literal["cosine", "exponential"]
    """After the warm-up: half a cosine to 0, or a factor per epoch."""
    warmup_fraction: Fraction
    """Of all steps, linear."""
    gamma: Annotated[Real, Field(gt=0, le=1)]
    """Of exponential: the factor per epoch."""


class LossConfig(Section):
    """What is minimised."""

    name: Literal["cross_entropy", "focal", "oc_softmax"]
    """oc_softmax is for anti-spoofing, with backbone.head: one_class."""
    focal_gamma: NonNegative
    """Of focal: 0 is cross-entropy."""
    label_smoothing: Fraction
    """Share of each target that is spread over all classes."""


class FrontendTrainConfig(Section):
    """How learned windows, kernels and mel bands are trained; read where the front end learns."""

    lr_multiplier: NonNegative
    """Their learning rate over that of the backbone."""
    freeze_epochs: Annotated[int, Field(ge=0, strict=True)]
    """Epochs before they begin to learn."""
    l2_sp: NonNegative
    """L2-SP: they are drawn back to their start, per step by this times their rate; in place of weight decay."""
    gradient_clip: Positive | None
    """Largest norm of their gradient; null = none."""


class TrainConfig(Section):
    """How one fold is fitted."""

    epochs: Count
    """Passes over the training clips."""
    batch_size: Annotated[int, Field(ge=2, strict=True)]
    """Windows per step."""
    gradient_clip: Positive | None
    """Largest norm of the backbone's gradient; null = none."""
    ema_decay: Fraction | None
    """Exponential moving average of the weights, per step; null = none."""
    early_stopping_patience: Count | None
    """Epochs without a lower validation loss before training stops, and the best epoch counts; null = the last epoch
    counts."""
    device: Literal["auto", "cpu"]
    """auto: the GPU, where there is one."""
    precision: Literal["auto", 32, "bf16"]
    """auto: bf16 where the processor has it (on the CPU with one thread per fold)."""
    compile: Switch
    """torch.compile the backbone: pays where training takes many minutes."""
    threads_per_fold: Count
    """Changes the order of float sums, and so the weights."""
    optimizer: OptimizerConfig
    schedule: ScheduleConfig
    loss: LossConfig
    frontend: FrontendTrainConfig
