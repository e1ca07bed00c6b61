"""What an attribute is, and what it is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from adaspec.errors import InputError

__all__ = ["N_LEVELS", "Attribute", "Clip", "Samples"]

Samples: TypeAlias = npt.NDArray[np.float32]

N_LEVELS = 5


@dataclass(frozen=True)
class Clip:
    """A recording that is to be changed.

    Attributes
    ----------
    samples : ndarray of shape (n_samples,), float32
        Within +-1. They are never changed in place.
    sample_rate : int
        In Hz.
    rng : numpy.random.Generator
        All that is drawn comes from it.
    others : sequence of ndarray of shape (n_other_samples,), float32
        Further clips at the same rate, of which babble is made; may be empty.
    """

    samples: Samples
    sample_rate: int
    rng: np.random.Generator
    others: Sequence[Samples] = ()


@dataclass(frozen=True)
class Attribute:
    """What may change in a recording while its label stays.

    Attributes
    ----------
    unit : str
        Of the severities.
    severities : tuple of 5 floats
        Of the levels 1 to 5, from mild to harsh; they rise or fall throughout.
    change : callable
        From a clip and a severity to its samples, (n_changed_samples,), float32. It draws from the clip's `rng` alone.
    keeps_time : bool
        Each sample stays where it is, so that clip and change can be subtracted.
    keeps_level : bool
        The clip's root mean square is restored after the change.
    """

    unit: str
    severities: tuple[float, float, float, float, float]
    change: Callable[[Clip, float], Samples]
    keeps_time: bool = True
    keeps_level: bool = True

    @property
    def about(self) -> str:
        """What it stands for: the first line of its function's description."""
        return (self.change.__doc__ or "").strip().partition("\n")[0]

    def severity(self, level: float) -> float:
        """The severity of a level from 1 to 5; between two levels, linearly between theirs.

        Raises
        ------
        InputError
            The level lies outside.
        """
        if not 1 <= level <= N_LEVELS:
            raise InputError(f"level={level} is not allowed: it must be 0, for no change, or from 1 to {N_LEVELS}")
        return float(np.interp(level, np.arange(1, N_LEVELS + 1), self.severities))
