"""Grids of settings in which every two values meet, rather than every combination of all."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

__all__ = ["pairs"]


def pairs(*axes: Iterable[Any]) -> list[tuple[Any, ...]]:
    """Choose combinations of one value of each axis, so that any two values of two axes are in one of them.

    What goes wrong does so nearly always for one setting or for two together; a full grid finds it many times over.
    """
    values = [list(axis) for axis in axes]
    grid = [tuple(enumerate(places)) for places in itertools.product(*(range(len(axis)) for axis in values))]
    met: set[tuple[tuple[int, int], ...]] = set()
    chosen: list[tuple[tuple[int, int], ...]] = []
    # Those first that bring the most pairs at once.
    for n_new in range(len(values) * (len(values) - 1) // 2, 0, -1):
        for combination in grid:
            of_two = set(itertools.combinations(combination, 2))
            if len(of_two - met) >= n_new:
                met |= of_two
                chosen.append(combination)
    return [tuple(values[axis][place] for axis, place in combination) for combination in sorted(chosen)]
