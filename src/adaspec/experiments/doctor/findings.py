"""What is found, one line each."""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["Finding"]


class Finding(NamedTuple):
    """What was looked at, and how it is.

    Attributes
    ----------
    state : str
        "ok", "note" (worth knowing, nothing stops) or "broken".
    told : str
        What it is and, unless it is ok, what to do.
    """

    state: Literal["ok", "note", "broken"]
    told: str

    def line(self) -> str:
        """As it is printed."""
        return f"{self.state:6}  {self.told}"
