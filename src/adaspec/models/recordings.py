"""Recordings that a user names, one after the other, whatever one of them does."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Protocol, TypeVar

from adaspec.audio import AUDIO_SUFFIXES, BadClipError, open_recording
from adaspec.errors import InputError
from adaspec.runtime.text import one_line

__all__ = ["each_recording", "find_audio", "outcome"]

log = logging.getLogger(__name__)


class Noted(Protocol):
    """What was found of a recording."""

    @property
    def notes(self) -> list[str]:
        """What its user should know: predicates."""


Found = TypeVar("Found", bound=Noted)


def find_audio(paths: Sequence[Path]) -> list[Path]:
    """Files as they are named, and the audio files below folders, in order; hidden ones are passed over.

    Raises
    ------
    InputError
        A folder holds no audio file.
    """
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        below = [
            file
            for file in sorted(path.rglob("*"))
            if file.suffix.lower() in AUDIO_SUFFIXES
            and file.is_file()
            and not any(part.startswith(".") for part in file.relative_to(path).parts)
        ]
        if not below:
            raise InputError(f"{path} holds no audio file ({', '.join(sorted(AUDIO_SUFFIXES))})")
        found += below
    return found


def outcome(path: Path, use: Callable[[BinaryIO], Found], done: str) -> Found | str:
    """What comes of a file, or why it cannot be used, as `each_recording` tells it."""
    try:
        with open_recording(path) as recording:
            return use(recording)
    except BadClipError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - whatever one file does, the others are used
        return f"cannot be {done} ({type(error).__name__}: {one_line(error)})"


def each_recording(files: Sequence[Path], outcomes: Iterable[Found | str], done: str) -> Iterator[tuple[Path, Found]]:
    """What came of each file; one that cannot be used is told, as are notes, and the others go on.

    Parameters
    ----------
    files : sequence of Path
    outcomes : iterable
        Of each file, from `outcome`.
    done : str
        What is done to files, for messages: a participle, such as "classified".

    Raises
    ------
    InputError
        At the end, where some could not be used.
    """
    n_failed = 0
    for path, found in zip(files, outcomes, strict=True):
        if isinstance(found, str):
            n_failed += 1
            log.error("%s: %s", path, found)
            continue
        for note in found.notes:
            log.warning("%s %s", path, note)
        yield path, found
    if n_failed:
        raise InputError(f"{n_failed} of {len(files)} files could not be {done}")
