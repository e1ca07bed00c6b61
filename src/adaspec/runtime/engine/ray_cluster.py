"""Tasks on the nodes of a Ray cluster. Nothing of Ray is imported until one is asked for."""

from __future__ import annotations

import importlib
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from adaspec.errors import InputError
from adaspec.runtime.engine import remote
from adaspec.runtime.engine.devices import Needs, n_cores
from adaspec.runtime.text import one_line

__all__ = ["places", "run"]

log = logging.getLogger(__name__)

Result = TypeVar("Result")

RETRIES = 3  # of a task whose worker or node died
AHEAD = 256  # tasks that are submitted before there are places for them, such as on nodes that are still to come
PATIENCE_S = 5.0  # for the address to answer
PASSED = ("ADASPEC_", "DVC_", "MLFLOW_")  # variables of these names, and PYTHONPATH, are set for tasks too
SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",  # a task that asked for no GPU sees none
    "RAY_task_oom_retries": str(RETRIES),  # for ever, by default
}


def places(needs: Needs, address: str | None) -> int:
    """How many tasks the cluster has room for at once."""
    ray = _connected(address)
    n_cpus, n_gpus = _share(ray, needs)
    total = 0
    for node in _nodes(ray):
        rooms = [int(node.get("CPU", 0) // n_cpus)]
        if n_gpus:
            rooms.append(int(node.get("GPU", 0)))
        total += min(rooms)
    return max(1, total)


def run(
    function: Callable[..., Result],
    tasks: Iterable[tuple[Any, ...]],
    needs: Needs,
    wanted: int | None,
    address: str | None,
) -> Iterator[Result]:
    """Call `function(*task)` for each task on the cluster; the next results are computed while one is waited for."""
    ray = _connected(address)
    n_cpus, n_gpus = _share(ray, needs)
    options = {"num_cpus": n_cpus, "num_gpus": n_gpus, "max_retries": RETRIES, "scheduling_strategy": "SPREAD"}
    call = ray.remote(**options)(remote.call)
    n_ahead = wanted or max(AHEAD, 2 * places(needs, address))
    left, surroundings = iter(tasks), (str(Path.cwd()), _environment(), list(map(os.path.abspath, sys.path)))
    pending: dict[Any, int] = {}
    found: dict[int, Result] = {}
    n_begun = n_given = 0
    try:
        while True:
            while n_given in found:
                yield found.pop(n_given)
                n_given += 1
            while len(pending) < n_ahead and len(found) < n_ahead:
                if (task := next(left, None)) is None:
                    break
                pending[call.remote(ray.cloudpickle.dumps((function, task)), *surroundings)] = n_begun
                n_begun += 1
            if not pending:
                return
            for done in ray.wait(list(pending), num_returns=1)[0]:
                found[pending.pop(done)] = _result(ray, done)
    finally:
        if pending:
            # Which ends the tasks of this process. Ray 2.60 aborts it where a task is cancelled as it comes to its end.
            ray.shutdown()


def _result(ray: Any, done: Any) -> Any:
    try:
        result, error = ray.get(done)
    except (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError, ray.exceptions.NodeDiedError):
        raise InputError(
            f"a task was begun {1 + RETRIES} times on the cluster, and its worker was killed each time, as happens "
            "where a node runs out of memory; run again, and if it comes back, lower engine.workers (decoding) or "
            "engine.parallel_folds (training), or give the nodes more memory"
        ) from None
    except ray.exceptions.RayError as error:
        raise InputError(f"the Ray cluster fails: {one_line(error, 500)}; the same command goes on from here") from None
    if error is not None:
        raise error
    return result


def _share(ray: Any, needs: Needs) -> tuple[int, int]:
    """CPUs and GPUs that a task reserves: no more than the largest node has, so that it can run at all."""
    nodes = _nodes(ray)
    largest = max((int(node.get("CPU", 0)) for node in nodes), default=0)
    return max(1, min(needs.threads, largest)), int(needs.gpu and any(node.get("GPU", 0) >= 1 for node in nodes))


def _nodes(ray: Any) -> list[dict[str, float]]:
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _environment() -> dict[str, str]:
    paths = [os.path.abspath(path) for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    passed = {name: value for name, value in os.environ.items() if name.startswith(PASSED)}
    return passed | ({"PYTHONPATH": os.pathsep.join(paths)} if paths else {})


def _connected(address: str | None) -> Any:
    """Ray's module, once this process is connected to a cluster.

    Raises
    ------
    InputError
        Ray is not installed, or nothing answers at the address.
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    with _handlers_kept():
        try:
            ray: Any = importlib.import_module("ray")  # only now: it takes seconds
        except ImportError:
            raise InputError(
                "engine.backend=ray needs Ray, which is not installed; run \"pip install '.[cluster]'\", or set "
                "engine.backend=local"
            ) from None
        if not ray.is_initialized():
            logging.getLogger("ray").setLevel(logging.ERROR)
            address = address or os.environ.get("RAY_ADDRESS") or None
            _check_answers(address)
            quiet = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": False}
            try:
                try:
                    own = {} if address else {"include_dashboard": False, "num_cpus": n_cores()}
                    ray.init(address, **quiet, **own)
                except ValueError:  # there is one on this machine, which has its number of cores
                    ray.init(address, **quiet)
            except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
                where = f"at {address}" if address else "on this machine"
                raise InputError(f"Ray {where} cannot be used: {one_line(error, 500)}; see docs/scale.md") from None
        ray.cloudpickle.register_pickle_by_value(remote)
        ray._private.worker.print_to_stdstream = _tell_of_losses
    return ray


def _tell_of_losses(message: dict[str, Any], **_: Any) -> None:
    """In place of what Ray prints about the cluster, in many lines, and on stdout, where results go."""
    if any("will be retried" in line for line in message["lines"]):
        log.warning("the cluster lost a worker; what it had in hand is run again")


def _check_answers(address: str | None) -> None:
    """Refuse an address where nobody listens: Ray would try for a minute."""
    host, _, port = (address or "").rpartition(":")
    if not host or not port.isdecimal():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), PATIENCE_S).close()
    except OSError as error:
        raise InputError(
            f"no Ray cluster answers at {address} ({one_line(error)}); start one with `ray start --head`, or set "
            "engine.address"
        ) from None


@contextmanager
def _handlers_kept() -> Iterator[None]:
    """Keep what this process does upon SIGTERM, for which Ray has a way of its own."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
