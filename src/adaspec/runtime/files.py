"""Files and folders that appear under their final name only when complete."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

__all__ = [
    "DIGESTS",
    "complete_file",
    "complete_folder",
    "is_sealed",
    "naming",
    "read_csv",
    "seal",
    "write_csv",
    "write_json",
]

PARTIAL = ".partial"
DIGESTS = "digests.json"  # of the files of a sealed folder


@contextmanager
def complete_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path for `path`, moved onto it when the block ends without an error."""
    with _workplace(path) as folder:
        yield folder / path.name
        os.replace(folder / path.name, path)


@contextmanager
def complete_folder(path: Path) -> Iterator[Path]:
    """Yield an empty temporary folder for `path`, which replaces it when the block ends without an error."""
    with _workplace(path) as folder:
        new, old = folder / path.name, folder / f"replaced{PARTIAL}"
        new.mkdir()
        yield new
        if path.is_symlink() or path.exists():  # aside at once: deleting takes a while, in which it would be half there
            os.replace(path, old)
        os.replace(new, path)


@contextmanager
def _workplace(path: Path) -> Iterator[Path]:
    """A folder of this process alone beside `path`, locked while it works there; what others left behind is removed."""
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(path)
        folder, lock = _new_workplace(path)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Have an `OSError` that names no file, as that of a full disk, or a partial output of `path`, name `path`."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and (error.filename is None or _prefix(path) in str(error.filename)):
            error.filename = str(path)
        raise


def _prefix(path: Path) -> str:
    return f".{path.name[:40]}."  # what is added must not make a long name too long


def _new_workplace(path: Path) -> tuple[Path, int]:
    while True:
        folder = path.with_name(f"{_prefix(path)}{secrets.token_hex(4)}{PARTIAL}")
        folder.mkdir()
        lock = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # another process takes it for abandoned: it was quicker than the lock
            os.close(lock)
            continue
        except OSError:
            pass  # a file system without locks, where nothing is taken for abandoned either
        if folder.exists():
            return folder, lock
        os.close(lock)


def _remove_abandoned(path: Path) -> None:
    """Remove what processes that were killed have left for `path`: nobody holds its lock."""
    with os.scandir(path.parent) as entries:
        names = [e.name for e in entries if e.name.startswith(_prefix(path)) and e.name.endswith(PARTIAL)]
    for name in names:
        left = path.with_name(name)
        try:
            lock = os.open(left, os.O_RDONLY | os.O_NOFOLLOW)
        except OSError:  # gone
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)
        except OSError:  # somebody works there
            continue
        finally:
            os.close(lock)


def seal(folder: Path) -> None:
    """Add to a folder of files their digests, by which `is_sealed` tells whether it is as it was."""
    write_json(folder / DIGESTS, _digests(folder))


def is_sealed(folder: Path) -> bool:
    """Whether a folder holds just what it held when it was sealed."""
    try:
        return bool(json.loads((folder / DIGESTS).read_bytes()) == _digests(folder))
    except (OSError, ValueError):
        return False


def _digests(folder: Path) -> dict[str, str]:
    return {path.name: _digest(path) for path in folder.iterdir() if path.name != DIGESTS}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: Path, content: Any, *, sort_keys: bool = True) -> None:
    """Write JSON with sorted keys, so that equal content gives equal bytes; or in an order that is meant."""
    with complete_file(path) as partial:
        text = json.dumps(content, indent=2, sort_keys=sort_keys, allow_nan=False)
        partial.write_text(text + "\n", encoding="utf-8")


def write_csv(path: Path, table: pd.DataFrame, missing: str = "") -> None:
    """Write a table without its index; floats with 8 significant digits, lines end in a newline on every system."""
    with complete_file(path) as partial:
        table.to_csv(partial, index=False, float_format="%.8g", na_rep=missing, lineterminator="\n")


def read_csv(path: Path, **dtypes: str) -> pd.DataFrame:
    """Read a table written by `write_csv`; columns are text unless `dtypes` says otherwise, empty cells are ''."""
    table = pd.read_csv(path, dtype=str, keep_default_na=False, skip_blank_lines=False, encoding="utf-8")
    return table.astype(dtypes)
