"""Section train: how one fold is fitted."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from adaspec.config.types import Count, Fraction, NonNegative, Positive, Real, Section, Switch

__all__ = ["FrontendTrainConfig", "LossConfig", "OptimizerConfig", "ScheduleConfig", "TrainConfig"]


class OptimizerConfig(Section):
    """How weights are moved."""

    name: Literal["adamw", "sgd", "muon"]
    """Optimiser; muon leaves what it cannot move, such as norms and biases, to NAdamW."""
    learning_rate: Positive
    """Highest learning rate, after the warm-up."""
    weight_decay: NonNegative
    """Weight decay of the backbone's matrices and filters; never applied to the front end."""
    momentum: Fraction
    """Momentum; read by sgd and muon."""


class ScheduleConfig(Section):
    """How the learning rate moves."""

    name: Literal["cosine", "exponential"]
    """How the learning rate falls after the warm-up: by half a cosine to 0, or by a factor per epoch."""
    warmup_fraction: Fraction
    """Share of all steps in which the learning rate rises, linearly, to its highest."""
    gamma: Annotated[Real, Field(gt=0, le=1)]
    """Factor on the learning rate per epoch; read by exponential."""


class LossConfig(Section):
    """What is minimised."""

    name: Literal["cross_entropy", "binary_cross_entropy", "focal", "oc_softmax"]
    """Loss; binary_cross_entropy asks about each class by itself, which suits mixed clips; oc_softmax is for
    anti-spoofing, with backbone.head: one_class."""
    focal_gamma: NonNegative
    """How little clips weigh that are classified well; read by focal, where 0 is cross-entropy."""
    label_smoothing: Fraction
    """Share of each clip's label that is spread over all classes."""
    contrast: NonNegative
    """Weight of a contrastive loss that gathers bona fide clips in the space before the head, away from spoofed ones;
    anti-spoofing alone, without augment.mix; 0 = none."""


class FrontendTrainConfig(Section):
    """How learned windows, kernels and mel bands are trained; read where the front end learns."""

    lr_multiplier: NonNegative
    """Factor on the learning rates of the front end, which are in the units of its parameters and do not depend on
    train.optimizer.learning_rate."""
    freeze_epochs: Annotated[int, Field(ge=0, strict=True)]
    """Epochs before the front end begins to learn."""
    l2_sp: Fraction
    """Share of its way that the front end is drawn back to its start (L2-SP), per step at the highest learning rate; in
    place of weight decay."""
    gradient_clip: Positive | None
    """Largest norm of the front end's gradient; null = no limit."""
    tightness: NonNegative
    """Weight, in the loss, of ln(upper / lower frame bound) of learned windows and lengths: how far they are from
    keeping the energy of every waveform alike; 0 = none."""


class TrainConfig(Section):
    """How one fold is fitted."""

    epochs: Count
    """Passes over the training clips."""
    batch_size: Annotated[int, Field(ge=2, strict=True)]
    """Windows in each training step."""
    gradient_clip: Positive | None
    """Largest norm of the backbone's gradient; null = no limit."""
    ema_decay: Fraction | None
    """Decay, per step, of the moving average of weights that is validated, tested and saved; null = no average."""
    validation_interval: Count
    """Epochs from one validation to the next, a divisor of epochs; more than 1 saves time where validation clips are
    many, and is not for early stopping."""
    early_stopping_patience: Count | None
    """Epochs without a lower validation loss before training stops, and the best epoch counts; null = the last epoch
    counts."""
    start: str | None
    """Trained models to start from, fold K from their fold K: the absolute path of their folder, @ and a digest of what
    it holds, which a run without it tells; null = weights as the backbone brings them."""
    only_frontend: Switch
    """Train what the front end learns alone; the backbone stays as in the models to start from, its statistics too."""
    device: Literal["auto", "cpu"]
    """Where to compute; auto: on the GPU, where there is one."""
    precision: Literal["auto", 32, "bf16"]
    """Arithmetic of training; auto: bf16 where the processor has it (on the CPU with one thread per fold), else 32."""
    compile: Switch
    """Compile the backbone by torch.compile, which pays where training takes many minutes."""
    threads_per_fold: Count
    """Threads of each fold; they change the order of float sums, and so the weights."""
    optimizer: OptimizerConfig
    schedule: ScheduleConfig
    loss: LossConfig
    frontend: FrontendTrainConfig

    @model_validator(mode="after")
    def _check_validation_interval(self) -> Self:
        every = self.validation_interval
        if self.epochs % every:
            raise ValueError(
                f"validation_interval={every} leaves the last of epochs={self.epochs} without a validation; set it to "
                "a divisor of epochs"
            )
        if every > 1 and self.early_stopping_patience is not None:
            raise ValueError(
                f"early_stopping_patience={self.early_stopping_patience} looks at every epoch, but "
                f"validation_interval={every}; set it to 1, or the patience to null"
            )
        return self

    @field_validator("start")
    @classmethod
    def _check_start(cls, start: str | None) -> str | None:
        if start is not None and not start.startswith("/"):
            raise ValueError(f"{start!r} must be the absolute path of a folder with fold-1, fold-2 and so on")
        return start
