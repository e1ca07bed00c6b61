"""Cores and GPUs of this machine, and which worker process gets which GPU."""

from __future__ import annotations

import ctypes
import fcntl
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

__all__ = ["Needs", "compute_alike", "gpus", "keep_freed_memory", "n_cores", "take_gpu", "torch_device"]

DRIVERS = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")  # of NVIDIA, AMD, and Windows' subsystem for Linux
VISIBLE = "CUDA_VISIBLE_DEVICES"
POLL_S = 0.1


class Needs(NamedTuple):
    """What a task takes of the machine that it runs on.

    Attributes
    ----------
    threads : int
        That it computes with; the task sets them itself, as their number decides the last bits.
    gpu : bool
        Whether it uses a GPU where there is one, and then wants it to itself.
    """

    threads: int = 1
    gpu: bool = False


def n_cores() -> int:
    """Cores that this process may use, which containers and batch systems make fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def torch_device(wanted: Literal["auto", "cpu"] = "auto") -> Literal["cuda", "cpu"]:
    """Where a network runs: "auto" is the GPU where there is one."""
    import torch  # here: the workers that decode do without

    return "cuda" if wanted == "auto" and torch.cuda.is_available() else "cpu"


def compute_alike(n_threads: int) -> None:
    """Have torch give the same bits whenever this process computes the same.

    On a GPU float32 is then float32: convolutions in TF32, which PyTorch takes by default, hold 10 bits of a mantissa.

    Parameters
    ----------
    n_threads : int
        Their number decides the order of float sums.
    """
    import torch

    torch.set_num_threads(n_threads)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # else matrix products may round anew each run on a GPU
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.allow_tf32 = False


def gpus() -> list[str]:
    """Names of the GPUs that this process may use, as CUDA_VISIBLE_DEVICES has them: numbers, or UUIDs."""
    if sys.platform == "linux" and not any(map(os.path.exists, DRIVERS)):
        return []  # and no second is spent on importing torch
    import torch

    n_gpus = torch.cuda.device_count()
    visible = os.environ.get(VISIBLE)
    names = map(str, range(n_gpus)) if visible is None else (name.strip() for name in visible.split(","))
    return list(names)[:n_gpus]


def take_gpu(names: Sequence[str], folder: Path, n_workers: int) -> None:
    """Give this process, one of `n_workers`, a GPU for its life, before CUDA is initialised in it.

    Each has a place of its own, which is a lock on a file; a worker that comes for one that has ended finds its place
    free. Where there are more places than GPUs, they are spread evenly.

    Parameters
    ----------
    names : sequence of str
        From `gpus`.
    folder : Path
        Of this run alone.
    n_workers : int
    """
    while True:
        for place in range(n_workers):
            try:
                held = os.open(folder / str(place), os.O_RDWR | os.O_CREAT)
            except FileNotFoundError:  # the run has ended
                return
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(held)
                continue
            os.environ[VISIBLE] = names[place % len(names)]
            return  # and the file stays open until the process ends
        time.sleep(POLL_S)  # the one whose place this is has not quite ended


def keep_freed_memory() -> None:
    """Let this process keep large freed blocks for reuse.

    glibc hands them back to the kernel, and the next training step pays for the page faults: about a tenth of its time.
    """
    if sys.platform == "linux":
        m_trim_threshold, m_mmap_max = -1, -4  # malloc.h
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):
            libc.mallopt(m_mmap_max, 0)
            libc.mallopt(m_trim_threshold, 2**30)
