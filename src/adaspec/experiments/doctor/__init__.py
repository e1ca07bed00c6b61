"""What usually goes wrong around a run, found before it does: what is broken, and what to do about it."""

from __future__ import annotations

from pathlib import Path

from adaspec.errors import InputError
from adaspec.experiments.doctor.findings import Finding
from adaspec.experiments.doctor.machine import check_disk, check_gpu, check_packages, check_python, check_threads
from adaspec.experiments.doctor.remains import check_checkpoints, check_models, check_queue, check_store

__all__ = ["doctor"]


def doctor(root: Path) -> list[Finding]:
    """Look at environment, machine, data and what earlier runs left.

    Parameters
    ----------
    root : Path
        Repository, in which the command was given.

    Raises
    ------
    InputError
        It is none of adaspec.
    """
    if not (root / "params.yaml").is_file() or not (root / "dvc.yaml").is_file():
        raise InputError(f"{root} has no params.yaml and dvc.yaml; go to the root of the repository")
    return [
        check_python(),
        *check_packages(root / "requirements.lock"),
        *_check_data(root),
        check_disk(root),
        *check_threads(),
        check_gpu(),
        *check_checkpoints(root),
        *check_queue(root),
        *check_store(root),
        *check_models(root / "models"),
    ]


def _check_data(root: Path) -> list[Finding]:
    """Whether params.yaml can be read, and its recordings be found by every kind of run."""
    from adaspec.config import load_config
    from adaspec.experiments.dataset_root import check_dataset_root

    try:
        config = load_config(root / "params.yaml")
        check_dataset_root(config, root)
    except InputError as error:
        return [Finding("broken", problem) for problem in error.problems]
    return [Finding("ok", f"params.yaml, data set {config.dataset.name} in {config.dataset.root}")]
