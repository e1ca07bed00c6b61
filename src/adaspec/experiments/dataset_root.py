"""Where a data set may lie so that every kind of DVC run can follow."""

from __future__ import annotations

import os
from pathlib import Path

from adaspec.config import Config
from adaspec.errors import InputError
from adaspec.experiments.repository import is_ignored

__all__ = ["check_dataset_root"]


def check_dataset_root(config: Config, repository: Path) -> None:
    """Refuse roots that DVC cannot follow into every kind of run.

    Queued and temporary experiments run in a copy of the repository elsewhere on the disk: there a relative path
    leads nowhere and a git-ignored folder is missing; `~` is never expanded by DVC.

    Raises
    ------
    InputError
        With the reason and the remedy.
    """
    root = config.dataset.root
    if config.dataset.name == "synthetic":
        return
    where = f"params.yaml dataset.root={root}"
    if root.startswith("~"):
        raise InputError(f"{where}: DVC does not expand '~'; write {os.path.expanduser(root)}")
    if not os.path.isabs(root):
        inside = repository / root
        if ".." in Path(root).parts:
            raise InputError(
                f"{where}: queued runs work in a copy elsewhere; write the absolute path {inside.resolve()}"
            )
        if is_ignored(root, repository) and not inside.with_name(f"{inside.name}.dvc").exists():
            raise InputError(
                f"{where}: git ignores this folder, so queued runs cannot see it; write the absolute path "
                f"{inside.resolve()}, or track it with 'dvc add {root}'"
            )
        root = str(inside)
    if not os.path.isdir(root):
        raise InputError(f"{where} is not a folder; write the absolute path of your recordings")
