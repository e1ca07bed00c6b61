"""What hostile input may lead to: a value, or an `InputError` of printable lines; in bounded time and memory."""

from __future__ import annotations

import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import scipy.signal  # noqa: F401 - loaded before memory is measured, as torch is
import torch  # noqa: F401

from adaspec.errors import InputError
from adaspec.runtime.text import visible

MEMORY = 2**32  # bytes of address space more than the process has; allocators reserve a gigabyte at a time
CPU_S = 20  # of this process's own time, so that a busy machine makes no difference
LONGEST = 100_000  # characters of a message: 200 problems in a line each

Outcome = Any | InputError


def outcome(of: Callable[[], Any], *allowed: type[Exception]) -> Outcome:
    """The value of a call, or its `InputError` (or another that is allowed); anything else fails the test."""
    try:
        with _bounded():
            return of()
    except (InputError, *allowed) as error:
        problems = error.problems if isinstance(error, InputError) else (str(error),)
        assert all(problem.strip() for problem in problems)
        assert sum(map(len, problems)) <= LONGEST
        assert all("\n" not in visible(problem) for problem in problems)
        return error


@contextmanager
def _bounded() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm", encoding="ascii") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    before = signal.signal(signal.SIGPROF, _too_long)
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, hard))
    signal.setitimer(signal.ITIMER_PROF, CPU_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        signal.signal(signal.SIGPROF, before)


def _too_long(signal_number: int, frame: FrameType | None) -> None:
    raise AssertionError(f"more than {CPU_S} s of processor time")


def flipped(content: bytes, rng: Any, n: int = 3) -> bytes:
    """Content with a few bytes changed, inserted, removed or repeated."""
    changed = bytearray(content)
    for _ in range(n):
        at = int(rng.integers(0, max(1, len(changed))))
        kind = rng.integers(4)
        if kind == 0:
            changed[at : at + 1] = rng.bytes(1)
        elif kind == 1:
            changed[at:at] = rng.bytes(int(rng.integers(1, 9)))
        elif kind == 2:
            del changed[at : at + int(rng.integers(1, 40))]
        else:
            changed[at:at] = changed[at : at + int(rng.integers(1, 200))] * int(rng.integers(1, 20))
    return bytes(changed)
