"""Which knobs `adaspec tune` may search, and how their values are drawn, written and laid over params.yaml."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from adaspec.config import Config, SearchedKnob, explain, flatten
from adaspec.config.knobs import STAGES, overlaid, reads
from adaspec.errors import InputError
from adaspec.models.check import check_model
from adaspec.runtime.text import did_you_mean

if TYPE_CHECKING:
    from optuna import Trial

__all__ = ["check_space", "holds", "stored", "suggest", "value_of", "with_knobs"]

OF_DATA = ("prepare", "features", "split", "embed")  # stages whose outputs all trials share
DIGITS = 4  # significant ones of a value: enough to tell trials apart, few enough to read


def check_space(config: Config) -> None:
    """Refuse a space with knobs that trials cannot differ in, or with values that a knob cannot take.

    Trials may differ in what decides the stage `train`, and nothing before it.

    Raises
    ------
    InputError
        Names the knob, the reason and what may be searched.
    """
    trained = [knob for knob in flatten(config) if reads(knob, STAGES["train"].sections)]
    searchable = [knob for knob in trained if _stage_of_data(knob) is None]
    for searched in config.tune.space:
        if searched.knob not in searchable:
            stage = _stage_of_data(searched.knob)
            reason = (
                f"decides the stage {stage}, whose output all trials share"
                if stage
                else "changes nothing about training"
            )
            hint = did_you_mean(searched.knob, searchable, "; docs/knobs.md lists those of training")
            raise InputError(f"params.yaml tune.space: {searched.knob} cannot be searched: it {reason}{hint}")
        for value in searched.choices or (searched.low, searched.high):
            _check_value(config, searched, value)


def _stage_of_data(knob: str) -> str | None:
    return next((stage for stage in OF_DATA if reads(knob, STAGES[stage].sections)), None)


def _check_value(config: Config, searched: SearchedKnob, value: Any) -> None:
    """What a knob forbids on its own; what it forbids together with others makes a trial fail."""
    try:
        changed = Config.model_validate(overlaid(config.model_dump(), {searched.knob: value}))
    except ValidationError as error:
        own = tuple(searched.knob.split("."))
        for problem in error.errors():
            if problem["loc"][: len(own)] == own:
                raise InputError(f"params.yaml tune.space: {explain(problem)}") from None
        return
    section = searched.knob.partition(".")[0]
    if any(other.knob.startswith(f"{section}.") for other in config.tune.space if other is not searched):
        return  # which may go together with this value
    try:
        check_model(changed)
    except InputError as error:
        reason = str(error).removeprefix("params.yaml ")
        if reason.startswith(searched.knob):
            raise InputError(f"params.yaml tune.space: {reason}") from None


def with_knobs(config: Config, knobs: dict[str, Any]) -> Config:
    """A copy with other values, by their dotted names.

    Raises
    ------
    InputError
        They contradict each other, or the rest.
    """
    try:
        return Config.model_validate(overlaid(config.model_dump(), knobs))
    except ValidationError as error:
        raise InputError("; ".join(dict.fromkeys(explain(problem) for problem in error.errors()))) from None


def suggest(trial: Trial, searched: SearchedKnob) -> Any:
    """Let a trial choose a value of the knob."""
    low: Any = searched.low
    high: Any = searched.high
    if searched.choices is not None:
        # As JSON: lists, null, and 1 beside true, which a database would not keep apart.
        raw: Any = trial.suggest_categorical(searched.knob, [json.dumps(choice) for choice in searched.choices])
    elif searched.is_integer:
        step = searched.step or 1
        raw = trial.suggest_int(searched.knob, low, high - (high - low) % step, step=step, log=searched.log)
    else:
        raw = trial.suggest_float(searched.knob, low, high, log=searched.log)
    return value_of(searched, raw)


def value_of(searched: SearchedKnob, raw: Any) -> Any:
    """The knob's value for what a trial drew: floats to four digits, within the bounds."""
    if searched.choices is not None:
        return json.loads(raw)
    if searched.is_integer:
        return raw
    low, high = searched.low, searched.high
    assert low is not None
    assert high is not None
    return min(max(float(f"{raw:.{DIGITS}g}"), low), high)


def stored(searched: SearchedKnob, value: Any) -> Any:
    """What a trial draws where the knob has this value."""
    return json.dumps(value) if searched.choices is not None else value


def holds(config: Config) -> bool:
    """Whether the values of the configuration itself lie in its space."""
    flat = flatten(config)
    return all(_within(searched, flat[searched.knob]) for searched in config.tune.space)


def _within(searched: SearchedKnob, value: Any) -> bool:
    if searched.choices is not None:
        return json.dumps(value) in [json.dumps(choice) for choice in searched.choices]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    assert searched.low is not None
    assert searched.high is not None
    on_grid = not searched.is_integer or (isinstance(value, int) and (value - searched.low) % (searched.step or 1) == 0)
    return on_grid and searched.low <= value <= searched.high
