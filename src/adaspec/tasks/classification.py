"""Telling classes apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from adaspec.tasks.contract import Loss, Task
from adaspec.tasks.losses import LOSSES

__all__ = ["Classification"]


class Classification(Task):
    """One of several classes."""

    losses: ClassVar[dict[str, Loss]] = LOSSES

    @classmethod
    def claims(cls, labels: Sequence[str]) -> bool:
        """All labels."""
        return True
