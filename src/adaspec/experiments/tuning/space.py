"""Which knobs `adaspec tune` may search, and how their values are drawn, written and laid over params.yaml."""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from adaspec.config import Config, SearchedKnob, explain, flatten, parse_yaml
from adaspec.errors import InputError

if TYPE_CHECKING:
    from optuna import Trial

__all__ = ["check_space", "holds", "stored", "suggest", "value_of", "with_knobs"]

PIPELINE = Path("dvc.yaml")
OF_DATA = ("prepare", "features", "split")  # stages whose outputs all trials share
DIGITS = 4  # significant ones of a value: enough to tell trials apart, few enough to read


def check_space(config: Config) -> None:
    """Refuse a space with knobs that trials cannot differ in, or with values that a knob cannot take.

    dvc.yaml in the current directory tells: trials may differ in what decides the stage `train`, and nothing before it.

    Raises
    ------
    InputError
        Names the knob, the reason and what may be searched.
    """
    stages = parse_yaml(PIPELINE.read_text(encoding="utf-8"))["stages"]
    of_data = {knob: stage for stage in OF_DATA for knob in stages[stage]["params"]}
    searchable = [knob for knob in stages["train"]["params"] if knob not in of_data]
    for searched in config.tune.space:
        if searched.knob not in searchable:
            if searched.knob in of_data:
                reason = f"decides the stage {of_data[searched.knob]}, whose output all trials share"
            else:
                reason = "changes nothing about training"
            close = difflib.get_close_matches(searched.knob, searchable, n=1)
            hint = f"; did you mean {close[0]}?" if close else "; see the params of the stage train in dvc.yaml"
            raise InputError(f"params.yaml tune.space: {searched.knob} cannot be searched: it {reason}{hint}")
        for value in searched.choices or (searched.low, searched.high):
            _check_value(config, searched, value)


def _check_value(config: Config, searched: SearchedKnob, value: Any) -> None:
    """What a knob forbids on its own; what it forbids together with others makes a trial fail."""
    try:
        Config.model_validate(_overlaid(config, {searched.knob: value}))
    except ValidationError as error:
        own = tuple(searched.knob.split("."))
        for problem in error.errors():
            if problem["loc"][: len(own)] == own:
                raise InputError(f"params.yaml tune.space: {explain(problem)}") from None


def with_knobs(config: Config, knobs: dict[str, Any]) -> Config:
    """A copy with other values, by their dotted names.

    Raises
    ------
    InputError
        They contradict each other, or the rest.
    """
    try:
        return Config.model_validate(_overlaid(config, knobs))
    except ValidationError as error:
        raise InputError("; ".join(dict.fromkeys(explain(problem) for problem in error.errors()))) from None


def _overlaid(config: Config, knobs: dict[str, Any]) -> dict[str, Any]:
    content = config.model_dump()
    for name, value in knobs.items():
        *sections, key = name.split(".")
        section = content
        for part in sections:
            section = section[part]
        section[key] = value
    return content


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
