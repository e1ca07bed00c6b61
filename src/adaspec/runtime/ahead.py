"""What is needed next is made while what came before is in use."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["ahead"]

Item = TypeVar("Item")
END = object()


def ahead(items: Iterable[Item], n_items: int) -> Iterator[Item]:
    """Yield items that a thread takes from where they come, up to `n_items` before they are asked for.

    An error there is raised here, in its place.
    """
    iterator = iter(items)
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as thread:
        waiting = deque(thread.submit(next, iterator, END) for _ in range(n_items))
        while (item := waiting.popleft().result()) is not END:
            waiting.append(thread.submit(next, iterator, END))
            yield item  # type: ignore[misc]
