"""What a user can mend, told in one line instead of a traceback."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["InputError", "exit_on_input_error"]


class InputError(ValueError):
    """Input that cannot be used: says what, where, what was got, what is allowed and what to do."""


@contextmanager
def exit_on_input_error() -> Iterator[None]:
    """End the process with one line and exit code 1 when an `InputError` comes through."""
    try:
        yield
    except InputError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        raise SystemExit(1) from None
