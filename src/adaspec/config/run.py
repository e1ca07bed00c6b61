"""Sections for what surrounds training: evaluate, tracking, engine."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator

from adaspec.config.types import Count, NonNegative, Overlap, Probability, Section, Text

__all__ = ["EngineConfig", "EvaluateConfig", "TrackingConfig"]


class EvaluateConfig(Section):
    """How test clips are scored."""

    vote: Literal["mean", "majority"]
    """How the windows of a clip are combined."""
    overlap: Overlap
    """Overlap of neighbouring windows of a test clip, as a fraction of one; more overlap, more windows."""
    cohort: Annotated[int, Field(ge=0, le=100_000, strict=True)]
    """Nearest training speakers that verification scores are normalised by (adaptive s-norm), two or more; 0 = none."""
    costs: Literal["default", "asvspoof5"]
    """Costs and priors of the a-DCF."""
    n_bootstrap: Annotated[int, Field(ge=100, le=100_000, strict=True)]
    """Number of resamples for the 95 % intervals."""
    asv_error_rates: tuple[Probability, Probability, Probability] | None
    """[Pfa, Pmiss, Pfa of spoofs] of speaker verification, for the t-DCF; null = the data set's own."""

    @field_validator("cohort")
    @classmethod
    def _check_cohort(cls, cohort: int) -> int:
        if cohort == 1:
            raise ValueError("1 speaker has no spread to normalise by; give two or more, or 0 for none")
        return cohort


class TrackingConfig(Section):
    """Where runs are recorded."""

    tracker: Literal["mlflow", "none"]
    """What records runs: MLflow, or nothing."""
    experiment: Text
    """MLflow experiment that runs are filed in."""

    @field_validator("experiment")
    @classmethod
    def _check_experiment(cls, name: str) -> str:
        if not re.fullmatch(r"\w[\w .-]*", name):
            raise ValueError(f"{name!r} also names a folder; use letters, digits, '_', '-', '.' and spaces")
        if name == "Default":
            raise ValueError("'Default' belongs to MLflow, whose user interface may bind it elsewhere; name another")
        return name


class EngineConfig(Section):
    """How work is spread: decides time, never results."""

    backend: Literal["local", "ray"]
    """Where folds, shards and other tasks run: in processes of this machine, or on a Ray cluster (docs/scale.md)."""
    address: Text | None
    """host:port of a running Ray; null = RAY_ADDRESS, one that runs on this machine, or else one of its own."""
    workers: Count | None
    """Processes for decoding; null = one per core."""
    parallel_folds: Count | None
    """Folds that are trained at a time; null = one per GPU, or else as many as fill the cores in every round."""
    checkpoint_interval_s: NonNegative
    """Least time between two checkpoints of a fold, s; checkpoints are written at the end of an epoch."""

    @field_validator("address")
    @classmethod
    def _check_address(cls, address: str | None) -> str | None:
        if address is not None and not re.fullmatch(r"([^\s:/\[\]]+|\[[0-9A-Fa-f:.]+\]):\d{1,5}", address):
            raise ValueError(f"{address!r} is not host:port, such as 10.0.0.1:6379; `ray start --head` prints it")
        return address
