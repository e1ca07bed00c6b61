"""Where a repository keeps what is not tracked: `.adaspec`, found from every copy that DVC works in, and its locks."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

__all__ = ["checkpoint_folder", "lock_file", "only_one", "record_key_file", "repository_root", "state_folder"]

log = logging.getLogger(__name__)


def repository_root() -> Path:
    """The repository that the user works in: DVC names it even where a stage runs in a temporary copy."""
    return Path(os.environ.get("DVC_ROOT", ".")).resolve()


def state_folder(root: Path) -> Path:
    """`.adaspec` of a repository, created where it is missing."""
    folder = root / ".adaspec"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def checkpoint_folder(root: Path, digest: str) -> Path:
    """Where a training, known by its digest, keeps its checkpoints."""
    return state_folder(root) / "checkpoints" / digest


def record_key_file(root: Path, digest: str) -> Path:
    """Where the key of a training's record is kept until evaluation has completed it."""
    return state_folder(root) / "runs" / f"{digest}.json"


def lock_file(root: Path, name: str) -> Path:
    """A lock of the repository."""
    folder = state_folder(root) / "locks"
    folder.mkdir(exist_ok=True)
    return folder / f"{name}.lock"


@contextmanager
def only_one(lock: Path) -> Iterator[None]:
    """Hold the file `lock` while the block runs; another process that wants it says so and waits."""
    held = filelock.FileLock(lock)
    try:
        held.acquire(blocking=False)
    except filelock.Timeout:
        log.info("waiting for another process that does the same (%s)", lock)
        held.acquire()
    try:
        yield
    finally:
        held.release()
