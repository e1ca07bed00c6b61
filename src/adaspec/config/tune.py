"""Section tune: what `adaspec tune` searches."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PlainValidator, model_validator

from adaspec.config.types import Count, Section, Switch, Text

__all__ = ["SearchedKnob", "TuneConfig"]


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < math.inf:
        raise ValueError(f"{value!r} is not a finite number")
    return value


Bound = Annotated[int | float, PlainValidator(_number)]  # an integer stays one


class SearchedKnob(Section):
    """A knob and the values that `adaspec tune` may give it: from `low` to `high`, or one of `choices`.

    The only keys that may be left out of params.yaml are those here: a range has no choices, and choices no bounds.
    """

    knob: Text
    low: Bound | None = None
    high: Bound | None = None
    log: Switch = False
    step: Count | None = None
    choices: Annotated[tuple[Any, ...], Field(min_length=2)] | None = None

    @property
    def is_integer(self) -> bool:
        """Whether a range is one of integers."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.choices is not None:
            if self.low is not None or self.high is not None or self.log or self.step is not None:
                raise ValueError(f"{self.knob} has choices, and so neither low, high, log nor step; leave those out")
            return self
        if self.low is None or self.high is None:
            raise ValueError(f"{self.knob} needs low and high, or choices")
        if self.low >= self.high:
            raise ValueError(f"{self.knob} has low={self.low}, which must be below high={self.high}")
        if self.log and self.low <= 0:
            raise ValueError(f"{self.knob} has low={self.low}, which log: true takes no logarithm of; raise it above 0")
        if self.step is not None and (self.log or not self.is_integer):
            raise ValueError(f"{self.knob} has step={self.step}, which is for integers, and without log; leave it out")
        return self


class TuneConfig(Section):
    """What `adaspec tune` searches; no stage reads it."""

    objective: Literal["validation_accuracy", "validation_loss"]
    """Mean over folds of this figure of the validation clips."""
    pruner: Literal["median", "none"]
    """median ends a tuning trial that is worse than half of the others by then."""
    space: tuple[SearchedKnob, ...]
    """Knobs and their values: low and high (integers: an integer knob; log: true, step: 8) or choices; others stay."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.space:
            raise ValueError("space=[] names no knob; give at least one")
        names = [searched.knob for searched in self.space]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"space has {name} {names.count(name)} times; give it one line")
        return self
