"""Python, packages, disk, processors and GPU."""

from __future__ import annotations

import importlib.metadata
import math
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from adaspec.experiments.doctor.findings import Finding
from adaspec.experiments.repository import python_of_stages
from adaspec.runtime.engine import n_cores

__all__ = ["check_disk", "check_gpu", "check_packages", "check_python", "check_threads"]

GB = 2**30
ENOUGH_BYTES, LEAST_BYTES = 5 * GB, GB  # a run keeps features and models twice: in the workspace and in DVC's cache
DRIVER = Path("/proc/driver/nvidia/version")
QUOTA = Path("/sys/fs/cgroup/cpu.max")  # microseconds of all processors per period, or "max"
# Variables that bind threads to processors, or cap them, whatever a program asks for.
BINDING = ("OMP_PROC_BIND", "OMP_PLACES", "OMP_THREAD_LIMIT", "GOMP_CPU_AFFINITY", "KMP_AFFINITY")
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
MOST_TOLD = 5  # packages
NAME = re.compile(r"[\w.-]+")


def check_python() -> Finding:
    """Whether the `python` that the stages run on is this one."""
    activate = Path(sys.prefix) / "bin" / "activate"
    remedy = f"put {sys.prefix}/bin first in PATH"
    if activate.exists():
        remedy = f"activate the environment first: . {activate}"
    path, prefix = python_of_stages()
    if path is None:
        return Finding("broken", f"no 'python' is found, which the stages run on; {remedy}")
    if prefix is None or Path(prefix).resolve() != Path(sys.prefix).resolve():
        return Finding("broken", f"the stages would run on {path}, which is not the Python of adaspec; {remedy}")
    return Finding("ok", f"Python {sys.version.split()[0]} in {sys.prefix}")


def check_packages(lock: Path) -> Iterator[Finding]:
    """Whether what the pipeline needs is installed, at the versions of requirements.lock."""
    needed = {
        NAME.match(each)[0].lower()  # type: ignore[index]
        for each in importlib.metadata.requires("adaspec") or []
        if "extra" not in each or "'pipeline'" in each.replace('"', "'")
    }
    lines = lock.read_text(encoding="utf-8").splitlines() if lock.exists() else []
    pinned = dict(line.split("==", 1) for line in lines if "==" in line and not line.startswith("#"))
    found = {name: _version(name) for name in {*needed, *pinned}}
    if missing := sorted(name for name in needed if found[name] is None):
        yield Finding("broken", f"{', '.join(missing)} not installed; pip install --no-deps -r requirements.lock")
    other = sorted(
        f"{name} {found[name]} instead of {version.split()[0]}"
        for name, version in pinned.items()
        if found[name] is not None and found[name] != version.split()[0]
    )
    if other:
        more = f" and {len(other) - MOST_TOLD} more" if len(other) > MOST_TOLD else ""
        yield Finding(
            "note",
            f"not as in requirements.lock: {', '.join(other[:MOST_TOLD])}{more}; results may differ; pip install "
            "--no-deps -r requirements.lock",
        )
    elif pinned and not missing:
        yield Finding("ok", "packages as in requirements.lock")


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name).partition("+")[0]  # without +cpu and the like
    except importlib.metadata.PackageNotFoundError:
        return None


def check_disk(root: Path) -> Finding:
    """Whether there is space left."""
    free = shutil.disk_usage(root).free
    told = f"{free / GB:.1f} GB of disk are free"
    if free >= ENOUGH_BYTES:
        return Finding("ok", told)
    return Finding(
        "broken" if free < LEAST_BYTES else "note",
        f"{told} in {root}; 'dvc gc --workspace --all-experiments' removes from DVC's cache what no experiment uses",
    )


def check_threads() -> Iterator[Finding]:
    """Whether something outside keeps the pipeline from using the processors, or from knowing how many it has."""
    if binding := [f"{name}={os.environ[name]}" for name in BINDING if name in os.environ]:
        yield Finding("note", f"{', '.join(binding)}: folds that train side by side may share a processor; unset it")
    if threads := [f"{name}={os.environ[name]}" for name in THREADS if name in os.environ]:
        yield Finding(
            "note",
            f"{', '.join(threads)}: training and evaluation take train.threads_per_fold instead; unset it, unless all "
            "else is to follow it",
        )
    cores = n_cores()
    if (quota := _quota()) is not None and quota < cores:
        yield Finding(
            "note",
            f"{cores} processors are seen, of which this container may use {quota}; set engine.workers={quota} and "
            f"engine.parallel_folds={quota}",
        )
    elif not binding:
        yield Finding("ok", f"{cores} processors")


def _quota() -> int | None:
    try:
        used, period = QUOTA.read_text(encoding="ascii").split()
        return max(1, math.floor(int(used) / int(period)))
    except (OSError, ValueError):  # no such limit
        return None


def check_gpu() -> Finding:
    """Whether torch sees the GPU that the machine has."""
    import torch

    if torch.cuda.is_available():
        return Finding("ok", f"GPU {torch.cuda.get_device_name()}, used with train.device=auto")
    if not DRIVER.exists():
        return Finding("ok", "no GPU; training runs on the processors")
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    remedy = "update the driver, or install a torch that was built for it"
    if hidden is not None:
        remedy = f"unset CUDA_VISIBLE_DEVICES={hidden}, which hides it"
    return Finding("broken", f"the machine has an NVIDIA driver, but torch {torch.__version__} sees no GPU; {remedy}")
