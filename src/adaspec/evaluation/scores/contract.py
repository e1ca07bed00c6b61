"""What all scores share: named components that add up over clips, and values computed from their sums.

So a fold's score, that of a resample and that of any part of the clips are one computation, and a new score needs
neither a bootstrap nor a summary of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

__all__ = ["Array", "Score", "Scored", "Selection", "one_hot"]

Array = npt.NDArray[Any]
T = TypeVar("T")


@dataclass(frozen=True)
class Score(Generic[T]):
    """A value of summed components.

    Attributes
    ----------
    value : callable
        What `Scored.prepare` returns -> (...), one value for each of its leading dimensions.
    perfect : float
        Value where nothing is wrong; NaN where that depends on more than the clips.
    low, high : float
        No value is lower, and none higher.
    """

    value: Callable[[T], Array]
    perfect: float
    low: float = 0.0
    high: float = 1.0

    @property
    def lower_is_better(self) -> bool:
        """Whether lower values tell of fewer errors."""
        return self.perfect != self.high


@dataclass(frozen=True)
class Selection:
    """A component with a column for each of some clips, to which that clip alone adds one.

    What `counts @` the matrix takes is only the clips' counts in another order.

    Attributes
    ----------
    clips : ndarray of int of shape (n_columns,)
    n_clips : int
        All of them.
    """

    clips: Array
    n_clips: int

    __array_ufunc__ = None  # so that NumPy leaves the product to us

    @property
    def shape(self) -> tuple[int, int]:
        """(n_clips, n_columns)."""
        return self.n_clips, len(self.clips)

    def __rmatmul__(self, counts: Array) -> Array:
        """Sums of (..., n_clips) counts: (..., n_columns)."""
        return np.take(counts, self.clips, axis=-1)


@dataclass(frozen=True)
class Scored(Generic[T]):
    """Clips with all that their scores need.

    Attributes
    ----------
    components : mapping of str to sparse or dense array, or Selection, of shape (n_clips, k)
        What each clip adds, by name.
    prepare : callable
        Sums by name, (..., k) each -> what the scores are computed from, once for all of them; NaN where the clips that
        count leave it undefined.
    scores : mapping of str to Score
    """

    components: Mapping[str, csr_array | Array | Selection]
    prepare: Callable[[Mapping[str, Array]], T]
    scores: Mapping[str, Score[T]]

    @property
    def width(self) -> int:
        """Number of components."""
        return sum(part.shape[1] for part in self.components.values())

    def only(self, *names: str) -> Scored[T]:
        """The same clips with some of their scores, which saves computing the others."""
        return replace(self, scores={name: self.scores[name] for name in names})

    def summed(self, counts: Array | None = None) -> dict[str, Array]:
        """Sums of the components, by name.

        Parameters
        ----------
        counts : ndarray of shape (..., n_clips), optional
            How often each clip counts; a row each for many resamples at once. By default once.
        """
        if counts is None:
            counts = np.ones(next(iter(self.components.values())).shape[0], np.int32)
        return {name: np.asarray(counts @ part) for name, part in self.components.items()}

    def values(self, counts: Array | None = None) -> dict[str, Array]:
        """Every score, by name: (...) for `counts` of shape (..., n_clips)."""
        prepared = self.prepare(self.summed(counts))
        return {name: score.value(prepared) for name, score in self.scores.items()}


def one_hot(codes: Array, n_columns: int, values: Array | None = None) -> csr_array:
    """A matrix of shape (n_clips, n_columns) with one value per row, by default 1, in the column of its code."""
    values = np.ones(len(codes)) if values is None else np.asarray(values, dtype=np.float64)
    return csr_array((values, (np.arange(len(codes)), codes)), shape=(len(codes), n_columns))
