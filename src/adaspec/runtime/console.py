"""What a command tells goes to stderr through `logging`, its result to stdout; neither fails for what is in a name.

Names of files, labels and models come from anywhere. So what is filled into a message is shown with escapes for what
would not show, and what the terminal's encoding lacks is escaped too.
"""

from __future__ import annotations

import copy
import errno
import io
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from numbers import Number
from typing import TextIO

from adaspec.errors import InputError
from adaspec.runtime.interrupts import INTERRUPTED, TOLD, raise_when_interrupted
from adaspec.runtime.text import one_line, visible
from adaspec.runtime.watchdog import end_with_parent

__all__ = ["command_line", "configure_logging", "explain_os_error", "show", "show_command", "stage_command"]

LONGEST = 4000  # characters that are filled into a message: a path's most
REMEDIES = {
    errno.ENOSPC: "free some space there",
    errno.EDQUOT: "free some space there",
    errno.EROFS: "make it writable, or work in another place",
    errno.EACCES: "change its permissions",
    errno.EPERM: "change its permissions",
    errno.ENAMETOOLONG: "shorten the name",
    errno.ELOOP: "remove the link that leads back to itself",
    errno.EMFILE: "raise the limit (ulimit -n)",
    errno.EIO: "the disk or the connection to it is at fault",
}


class _Stderr(logging.StreamHandler[TextIO]):
    """Writes to what `sys.stderr` is at that moment, which tests and notebooks exchange."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a message."""
        self.stream = sys.stderr
        super().emit(record)


class _Formatter(logging.Formatter):
    """News as they are; in front of anything worse its level. What is filled in is made visible."""

    def format(self, record: logging.LogRecord) -> str:
        shown = copy.copy(record)
        if isinstance(record.args, tuple):
            shown.args = tuple(
                each if isinstance(each, Number) else visible(str(each))[:LONGEST] for each in record.args
            )
        message = super().format(shown)
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
    """Surround what a command does: messages are shown, and what ends it early is told in one line.

    An `InputError` or `OSError` gives exit code 1, Ctrl-C and SIGTERM 130. What is printed and is not in the terminal's
    encoding is escaped, rather than an error.
    """
    configure_logging()
    log = logging.getLogger(__name__)
    if isinstance(sys.stdout, io.TextIOWrapper):  # stderr does so anyway
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        with raise_when_interrupted():
            yield
    except InputError as error:
        log.error("\n       ".join("%s" for _ in error.problems), *error.problems)
        raise SystemExit(1) from None
    except BrokenPipeError:  # whoever reads what is printed has enough
        raise
    except OSError as error:
        log.error("%s", explain_os_error(error))
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        log.error(TOLD)
        raise SystemExit(INTERRUPTED) from None


@contextmanager
def stage_command() -> Iterator[None]:
    """Surround a stage of the pipeline as `command_line` does; one that DVC started ends where DVC was killed."""
    with command_line(), end_with_parent() if "DVC_STAGE" in os.environ else nullcontext():
        yield


def explain_os_error(error: OSError) -> str:
    """What the system refused, in one line: the file, the reason and what to do."""
    if error.errno is None:
        return one_line(error) or type(error).__name__
    where = f"{error.filename}: " if error.filename is not None else ""
    remedy = REMEDIES.get(error.errno, "mend that")
    return f"{where}{os.strerror(error.errno)}; {remedy}, and give the same command again"


def show(text: str) -> None:
    """Print a result for the eye, with escapes for what would not show in a line of it."""
    print("\n".join(map(visible, text.split("\n"))))


def show_command(command: str) -> None:
    """Print a command that a shell is to run, as it is.

    Raises
    ------
    InputError
        The terminal's encoding lacks a character, so that another command would be run.
    """
    encoding = sys.stdout.encoding or "utf-8"
    try:
        command.encode(encoding)
    except UnicodeEncodeError:
        raise InputError(f"the command cannot be printed as {encoding}: {command!a}; set PYTHONUTF8=1") from None
    print(command)
