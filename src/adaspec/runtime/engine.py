"""Where folds and shards run.

Results never depend on how many tasks run at once: they come back in the order of the tasks, and a task that computes
with torch sets its own number of threads.
"""

from __future__ import annotations

import ctypes
import math
import multiprocessing
import multiprocessing.forkserver
import os
import signal
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, TypeVar

from joblib import Parallel, delayed
from joblib.externals.loky.backend.context import get_start_method, set_start_method
from joblib.externals.loky.process_executor import TerminatedWorkerError

from adaspec.errors import InputError
from adaspec.runtime.watchdog import follow_parent

__all__ = [
    "folds_at_a_time",
    "keep_freed_memory",
    "load_for_workers",
    "n_cores",
    "run_tasks",
    "torch_device",
]

Result = TypeVar("Result")

# Where the process listens that workers are forked from: the system limits the length of such a path.
SOCKET, LONGEST_SOCKET = "/pymp-12345678/listener-12345678", 107
CAN_FORK = sys.platform == "linux" and len(os.fsencode(tempfile.gettempdir() + SOCKET)) <= LONGEST_SOCKET


def n_cores() -> int:
    """Cores that this process may use, which containers and batch systems make fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def torch_device(wanted: Literal["auto", "cpu"] = "auto") -> Literal["cuda", "cpu"]:
    """Where a network runs: "auto" is the GPU where there is one."""
    import torch  # here: the workers that decode do without

    return "cuda" if wanted == "auto" and torch.cuda.is_available() else "cpu"


def folds_at_a_time(n_folds: int, wanted: int | None, threads_per_fold: int) -> int:
    """How many of `n_folds` run at once: as wanted, else so that every round, the last one too, fills the cores.

    Five folds on two cores: three share them, then two, which ends sooner than two, two and one with a core idle.
    """
    if wanted is not None:
        return min(wanted, n_folds)
    n_places = max(1, n_cores() // threads_per_fold)
    n_rounds = max(1, n_folds // n_places)
    return math.ceil(n_folds / n_rounds)


def load_for_workers(*modules: str) -> None:
    """Begin to load modules once for all workers of `run_tasks`, which are forked from the process that has them.

    Returns at once. Only on Linux, and where the path of the temporary folder is not very long; elsewhere each worker
    loads them itself, as it also does where this is not called.

    Parameters
    ----------
    modules : str
        Their import must not use a GPU or start threads: neither survives a fork.
    """
    if CAN_FORK:
        set_start_method("forkserver", force=True)
        multiprocessing.get_context("forkserver").set_forkserver_preload(list(modules))
        with _ctrl_c_is_for_this_process():
            multiprocessing.forkserver.ensure_running()


def run_tasks(function: Callable[..., Result], tasks: Iterable[tuple[Any, ...]], n_parallel: int) -> Iterator[Result]:
    """Call `function(*task)` for each task in worker processes.

    Parameters
    ----------
    function : callable
        Importable by name.
    tasks : iterable of tuples
        Arguments; taken as workers become free.
    n_parallel : int
        Tasks at a time; 1 runs them in this process.

    Yields
    ------
    Result
        In the order of `tasks`. The first error ends the rest and is raised here.

    Raises
    ------
    InputError
        A worker was killed.
    """
    backend: dict[str, Any] = (
        {"backend": "loky", "initializer": follow_parent} if n_parallel > 1 else {"backend": "sequential"}
    )
    if get_start_method() is None:
        # Not loky's own way: its processes cannot tell when the process that they work for has been killed.
        set_start_method("spawn")
    # loky replaces a worker whose memory has grown, and says so at every fold; no task is lost by it.
    warnings.filterwarnings("ignore", "A worker stopped while some jobs were given", UserWarning)
    parallel = Parallel(n_jobs=n_parallel, **backend, return_as="generator", batch_size=1)
    try:
        with _ctrl_c_is_for_this_process():
            results = parallel(delayed(function)(*task) for task in tasks)
        yield from results
    except TerminatedWorkerError:
        raise InputError(
            f"one of {n_parallel} worker processes was killed, as a system does that runs out of memory; run again, "
            "and if it comes back, lower engine.workers (decoding) or engine.parallel_folds (training)"
        ) from None


@contextmanager
def _ctrl_c_is_for_this_process() -> Iterator[None]:
    """Start processes that ignore SIGINT, which a terminal sends to all: this one ends them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


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
