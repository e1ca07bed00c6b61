"""Types of knobs: numbers with their bounds, and the sections that hold them."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from adaspec.runtime.text import is_printable

__all__ = [
    "ALL",
    "MOST_OVERLAP",
    "Count",
    "Fraction",
    "Names",
    "NonNegative",
    "Overlap",
    "Positive",
    "Probability",
    "Real",
    "Section",
    "Seed",
    "Switch",
    "Text",
    "distinct",
]

ALL = "all"  # in place of names: every one
MOST_OVERLAP = 0.95  # of neighbouring windows, as a fraction of one: nearer to 1 their number has no bound
MOST = 2**31 - 1  # of a count: what every library takes for an index


def _printable(text: str) -> str:
    if not is_printable(text):
        raise ValueError(f"{text[:100]!r} holds a control character or an end of a line; leave it out")
    return text


def distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    """Names as they are, each of them once."""
    if len(set(names)) < len(names):
        raise ValueError(f"{list(names)} names something twice; name each once")
    if ALL in names and len(names) > 1:
        raise ValueError(f"{list(names)} names all and single ones; give [{ALL}] alone, or names")
    return names


Real = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Positive = Annotated[Real, Field(gt=0)]
NonNegative = Annotated[Real, Field(ge=0)]
Fraction = Annotated[Real, Field(ge=0, lt=1)]
Probability = Annotated[Real, Field(ge=0, le=1)]
Overlap = Annotated[Real, Field(ge=0, le=MOST_OVERLAP)]
Switch = Annotated[bool, Field(strict=True)]
Count = Annotated[int, Field(ge=1, le=MOST, strict=True)]
Seed = Annotated[int, Field(ge=0, le=MOST, strict=True)]
Text = Annotated[str, Field(min_length=1, max_length=4096, strict=True), AfterValidator(_printable)]
Names = Annotated[tuple[Text, ...], AfterValidator(distinct)]


class Section(BaseModel):
    """A section of params.yaml: frozen, and no key passes unread. The text below a field describes its knob."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
