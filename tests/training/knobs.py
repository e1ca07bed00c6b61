"""Other values for knobs, found by their types, so that a new knob is tried without being named."""

from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError
from toydata import changed

from adaspec.config import AugmentConfig, Config, flatten

# Taken in this order: moderate ones for shares, decibels, counts of bands and frames, and [lowest, highest].
CANDIDATES: tuple[Any, ...] = (True, False, 0.3, 2, 3, 1e-9, (20.0, 30.0), None)


def annotation(section: type[BaseModel], knob: str) -> Any:
    first, _, rest = knob.partition(".")
    found = section.model_fields[first].annotation
    return annotation(found, rest) if rest else found


def choices(kind: Any) -> Iterator[Any]:
    """Values that a type names."""
    if get_origin(kind) is Literal:
        yield from get_args(kind)
    else:
        for part in get_args(kind):
            yield from choices(part)


def other_values(config: Config, knob: str) -> list[Any]:
    """Values that the configuration takes for this knob in the place of its own."""
    found, own = [], flatten(config)[knob]
    for candidate in (*choices(annotation(Config, knob)), *CANDIDATES):
        try:
            value = flatten(changed(config, **{knob: candidate}))[knob]
        except ValidationError:
            continue
        if value != own:
            found.append(value)
    return found


def augmentations() -> list[str]:
    """Knobs, each of which switches a change to a batch on: all but those that say how one is made or by which task."""
    how = {"enabled", "noise.color_db", "mix.probability", "mix.alpha"}
    elsewhere = ("attributes.", "resynthesis.")
    return [knob for knob in flatten(AugmentConfig.off()) if knob not in how and not knob.startswith(elsewhere)]
