"""Types of knobs: numbers with their bounds, and the sections that hold them."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "Count",
    "Fraction",
    "NonNegative",
    "Positive",
    "Probability",
    "Real",
    "Section",
    "Seed",
    "Switch",
]

Real = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Positive = Annotated[Real, Field(gt=0)]
NonNegative = Annotated[Real, Field(ge=0)]
Fraction = Annotated[Real, Field(ge=0, lt=1)]
Probability = Annotated[Real, Field(ge=0, le=1)]
Switch = Annotated[bool, Field(strict=True)]
Count = Annotated[int, Field(ge=1, strict=True)]
Seed = Annotated[int, Field(ge=0, lt=2**31, strict=True)]


class Section(BaseModel):
    """A section of params.yaml: frozen, and no key passes unread. The text below a field describes its knob."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
