"""Reproducible audio classification with spectrograms that can be learned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adaspec.runtime.environment import begin_stage

if TYPE_CHECKING:
    from adaspec.models.saved import load

__all__ = ["__version__", "load"]

__version__ = "0.3.0"

begin_stage()


def __getattr__(name: str) -> Any:
    # Importing torch takes over a second; `adaspec --help` should not pay for it.
    if name == "load":
        from adaspec.models.saved import load

        return load
    raise AttributeError(f"module 'adaspec' has no attribute {name!r}")
