"""Messages on the terminal: what a command tells goes to stderr through `logging`, its result to stdout."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from adaspec.errors import InputError

__all__ = ["command_line", "configure_logging"]


class _Stderr(logging.StreamHandler[TextIO]):
    """Writes to what `sys.stderr` is at that moment, which tests and notebooks exchange."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a message."""
        self.stream = sys.stderr
        super().emit(record)


class _Formatter(logging.Formatter):
    """News as they are; in front of anything worse its level."""

    def format(self, record: logging.LogRecord) -> str:
        message = super().format(record)
        return message if record.levelno <= logging.INFO else f"{record.levelname.lower()}: {message}"


def configure_logging() -> None:
    """Show what adaspec logs, from news on; once, however often it is called."""
    logger = logging.getLogger("adaspec")
    if not logger.handlers:
        handler = _Stderr()
        handler.setFormatter(_Formatter())
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False


@contextmanager
def command_line() -> Iterator[None]:
    """Surround what a command does: messages are shown, and an `InputError` ends it with one line and exit code 1."""
    configure_logging()
    try:
        yield
    except InputError as error:
        logging.getLogger(__name__).error("%s", error)
        raise SystemExit(1) from None
