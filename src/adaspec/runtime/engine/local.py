"""Tasks in processes of this machine: joblib's loky."""

from __future__ import annotations

import math
import multiprocessing
import multiprocessing.forkserver
import os
import signal
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from joblib import Parallel, delayed
from joblib.externals.loky.backend.context import get_start_method, set_start_method
from joblib.externals.loky.process_executor import TerminatedWorkerError

from adaspec.errors import InputError
from adaspec.runtime.engine.devices import Needs, gpus, n_cores, take_gpu
from adaspec.runtime.watchdog import follow_parent

__all__ = ["load_for_workers", "places", "run"]

Result = TypeVar("Result")

# Where the process listens that workers are forked from: the system limits the length of such a path.
SOCKET, LONGEST_SOCKET = "/pymp-12345678/listener-12345678", 107
CAN_FORK = sys.platform == "linux" and len(os.fsencode(tempfile.gettempdir() + SOCKET)) <= LONGEST_SOCKET


def places(needs: Needs, n_tasks: int | None) -> int:
    """How many tasks run at once: one for each GPU, or else as many as the cores have threads for.

    A known number of tasks, which are long, is spread so that every round, the last one too, fills the cores: five on
    two cores begin with three that share them, then two, which ends sooner than two, two and one with a core idle.
    """
    if needs.gpu and (n_gpus := len(gpus())):
        return n_gpus
    n_places = max(1, n_cores() // needs.threads)
    return n_places if not n_tasks else math.ceil(n_tasks / max(1, n_tasks // n_places))


def load_for_workers(*modules: str) -> None:
    """Begin to load modules once for all worker processes of this machine, which are forked from one that has them.

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


def run(
    function: Callable[..., Result], tasks: Iterable[tuple[Any, ...]], needs: Needs, n_parallel: int
) -> Iterator[Result]:
    """Call `function(*task)` for each task, `n_parallel` at a time, in processes; one at a time in this one."""
    if get_start_method() is None:
        # Not loky's own way: its processes cannot tell when the process that they work for has been killed.
        set_start_method("spawn")
    # loky replaces a worker whose memory has grown, and says so at every fold; no task is lost by it.
    warnings.filterwarnings("ignore", "A worker stopped while some jobs were given", UserWarning)
    with _backend(needs, n_parallel) as backend:
        parallel = Parallel(n_jobs=n_parallel, **backend, return_as="generator", batch_size=1)
        try:
            with _ctrl_c_is_for_this_process():
                results = parallel(delayed(function)(*task) for task in tasks)
            yield from results
        except TerminatedWorkerError:
            raise InputError(
                f"one of {n_parallel} worker processes was killed, as a system does that runs out of memory; run "
                "again, and if it comes back, lower engine.workers (decoding) or engine.parallel_folds (training)"
            ) from None


@contextmanager
def _backend(needs: Needs, n_parallel: int) -> Iterator[dict[str, Any]]:
    """Arguments of `Parallel`; places of GPUs are given out as long as the block runs."""
    if n_parallel == 1:
        yield {"backend": "sequential"}
    elif needs.gpu and (names := gpus()):
        with tempfile.TemporaryDirectory(prefix="adaspec-") as folder:
            given = (names, Path(folder), n_parallel)
            yield {"backend": "loky", "initializer": _begin_with_gpu, "initargs": given}
    else:
        yield {"backend": "loky", "initializer": follow_parent}


def _begin_with_gpu(names: Sequence[str], folder: Path, n_workers: int) -> None:
    follow_parent()
    take_gpu(names, folder, n_workers)


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
