"""The table of docs/robustness.md, from the registry: `python -m adaspec.attributes.reference`."""

from __future__ import annotations

from adaspec.attributes import ATTRIBUTES
from adaspec.attributes.contract import N_LEVELS, Attribute

__all__ = ["attributes_table"]


def attributes_table() -> str:
    """All attributes with their severities, as Markdown."""
    levels = [str(level) for level in range(1, N_LEVELS + 1)]
    header = _line("attribute", "unit", *levels, "what it is: what it stands for")
    return "\n".join([header, _line(*["---"] * (N_LEVELS + 3)), *map(_row, ATTRIBUTES, ATTRIBUTES.values())]) + "\n"


def _row(name: str, attribute: Attribute) -> str:
    return _line(f"`{name}`", attribute.unit, *(f"{each:g}" for each in attribute.severities), attribute.about)


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    print(attributes_table(), end="")
