"""Items that are made before they are asked for."""

import threading
from collections.abc import Iterator

import pytest

from adaspec.runtime.ahead import ahead


def test_ahead_yields_all_in_order() -> None:
    assert list(ahead(iter(range(20)), 3)) == list(range(20))
    assert list(ahead([], 3)) == []
    assert list(ahead([None, 0], 1)) == [None, 0]


def test_ahead_makes_the_next_ones_meanwhile_and_no_more() -> None:
    made, third = [], threading.Event()

    def items() -> Iterator[int]:
        for number in range(10):
            made.append(number)
            if number == 2:
                third.set()
            yield number

    taken = ahead(items(), 2)
    assert next(taken) == 0
    assert third.wait(10)  # while 0 is in use, 1 and 2 are made
    assert made == [0, 1, 2]
    taken.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ahead")]


def test_ahead_raises_an_error_in_its_place() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("the second is bad")

    taken = ahead(items(), 3)
    assert next(taken) == 1
    with pytest.raises(ValueError, match="the second is bad"):
        next(taken)
