"""What earlier runs left: checkpoints, locks, queued work, records, models."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import filelock

from adaspec.errors import InputError
from adaspec.experiments.doctor.findings import Finding
from adaspec.experiments.repository import dead_tasks
from adaspec.runtime.workspace import checkpoint_folder, lock_file, state_folder

__all__ = ["check_checkpoints", "check_models", "check_queue", "check_store"]

MB = 2**20


def check_checkpoints(root: Path) -> Iterator[Finding]:
    """Trainings that broke off, and locks that cannot be taken."""
    try:
        state = state_folder(root)
        digests = sorted(path.name for path in (state / "checkpoints").glob("*") if path.is_dir())
        n_locks = 0
        for name in sorted({*digests, *(path.stem for path in (state / "locks").glob("*.lock"))}):
            n_locks += 1
            try:
                with filelock.FileLock(lock_file(root, name), blocking=False):
                    is_held = False
            except filelock.Timeout:
                is_held = True
                yield Finding("note", f"somebody works under {lock_file(root, name)}; who needs it waits for the end")
            if name in digests and not is_held:
                yield _broken_off(checkpoint_folder(root, name))
    except OSError as error:
        yield Finding(
            "broken", f"{error.filename or root / '.adaspec'}: {error.strerror}; remove it, or change its permissions"
        )
        return
    lock = root / ".dvc" / "tmp" / "rwlock"
    with suppress(OSError):
        try:
            json.loads(lock.read_bytes() or b"{}")
        except ValueError:
            yield Finding("broken", f"DVC cannot read {lock}, as it was killed; if no other dvc runs here, remove it")
    if not digests:
        yield Finding("ok", f"no training broke off; {n_locks} locks")


def _broken_off(folder: Path) -> Finding:
    files = [path.stat() for path in folder.rglob("*") if path.is_file()]
    days = (time.time() - max([folder.stat().st_mtime, *(each.st_mtime for each in files)])) / 86400
    size = sum(each.st_size for each in files) / MB
    return Finding(
        "note",
        f"a training broke off {days:.0f} days ago ({size:.1f} MB); the same 'dvc repro' or 'dvc exp run' goes on with "
        f"it, 'rm -r {folder}' gives it up",
    )


def check_queue(root: Path) -> Iterator[Finding]:
    """Tasks of DVC's queue that nobody works on any more."""
    if not (root / ".dvc" / "tmp" / "exps" / "celery").is_dir():
        return  # nothing was ever queued
    try:
        dead = dead_tasks(root)
    except InputError as error:
        yield Finding("broken", str(error))
        return
    for name in dead:
        yield Finding(
            "broken",
            f"DVC's queue shows {name} as Running, but its worker is gone; 'dvc queue kill {name}', and queue it again",
        )
    if not dead:
        yield Finding("ok", "no task of DVC's queue has lost its worker")


def check_store(root: Path) -> Iterator[Finding]:
    """Whether `mlflow ui` reads the database that runs are recorded in, and that can be read."""
    from adaspec.tracking.mlflow_database import is_unfinished

    store, stray = root / "mlflow.db", root / "mlruns"
    if any(stray.glob("[0-9]*/meta.yaml")):
        yield Finding("broken", f"'mlflow ui' reads {stray} instead of mlflow.db; move that folder elsewhere")
    if uri := os.environ.get("MLFLOW_TRACKING_URI"):
        yield Finding("note", f"MLFLOW_TRACKING_URI={_without_password(uri)} records the runs, not mlflow.db")
        return
    try:
        if is_unfinished(store):
            yield Finding("note", f"{store} was never finished and holds no run; the next run makes it anew")
        elif store.exists():
            yield Finding("ok", "mlflow.db can be read")
    except sqlite3.Error as error:
        yield Finding(
            "broken",
            f"{store} cannot be read ({error}); move it elsewhere, and 'adaspec sync' records again what DVC holds",
        )


def _without_password(uri: str) -> str:
    return re.sub(r"//[^/@]*@", "//", uri)


def check_models(models: Path) -> Iterator[Finding]:
    """Whether this version reads the models."""
    from adaspec.models.saved import read_description

    folders = sorted(models.glob("fold-*"))
    try:
        for folder in folders:
            read_description(folder)
    except InputError as error:  # of the first: all come of one run
        yield Finding("broken", str(error))
    else:
        if folders:
            yield Finding("ok", f"{len(folders)} models of this version's format")
