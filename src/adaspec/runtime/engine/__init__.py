"""Where folds, shards and other tasks run: in processes of this machine, or on the nodes of a Ray cluster.

Results never depend on where, or on how many run at once: they come back in the order of the tasks, and a task that
computes with torch sets its own number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

from adaspec.runtime.engine import local, ray_cluster
from adaspec.runtime.engine.devices import Needs, compute_alike, keep_freed_memory, n_cores, torch_device
from adaspec.runtime.engine.local import load_for_workers

__all__ = [
    "LOCAL",
    "Engine",
    "Needs",
    "Where",
    "compute_alike",
    "keep_freed_memory",
    "load_for_workers",
    "n_cores",
    "run_tasks",
    "tasks_at_a_time",
    "torch_device",
]

Result = TypeVar("Result")


class Engine(Protocol):
    """Where tasks run; the section `engine` is one."""

    @property
    def backend(self) -> Literal["local", "ray"]:
        """Processes of this machine, or a Ray cluster."""

    @property
    def address(self) -> str | None:
        """Of the cluster, host:port; None: RAY_ADDRESS, a Ray that runs on this machine, or one of its own."""


class Where(NamedTuple):
    """An engine for those who have no params.yaml."""

    backend: Literal["local", "ray"]
    address: str | None


LOCAL = Where("local", None)
ONE_THREAD = Needs()


def tasks_at_a_time(
    engine: Engine, needs: Needs = ONE_THREAD, *, wanted: int | None = None, n_tasks: int | None = None
) -> int:
    """How many tasks run at once.

    Parameters
    ----------
    engine, needs, wanted, n_tasks
        As of `run_tasks`.
    """
    if wanted is None:
        on_ray = engine.backend == "ray"
        wanted = ray_cluster.places(needs, engine.address) if on_ray else local.places(needs, n_tasks)
    return wanted if n_tasks is None else max(1, min(wanted, n_tasks))


def run_tasks(
    function: Callable[..., Result],
    tasks: Iterable[tuple[Any, ...]],
    engine: Engine = LOCAL,
    needs: Needs = ONE_THREAD,
    *,
    wanted: int | None = None,
    n_tasks: int | None = None,
) -> Iterator[Result]:
    """Call `function(*task)` for each task.

    Parameters
    ----------
    function : callable
        Importable by name.
    tasks : iterable of tuples
        Arguments; taken as workers become free.
    engine : Engine
        Such as config.engine.
    needs : Needs
        Of each task.
    wanted : int, optional
        Tasks at a time; None: as many as GPUs, or else cores, can take. 1 on this machine is this process.
    n_tasks : int, optional
        Their number, where they are few and long, so that the last round of them fills the cores too.

    Yields
    ------
    Result
        In the order of `tasks`. The first error ends the rest and is raised here.

    Raises
    ------
    InputError
        A worker was killed.
    """
    if engine.backend == "ray":
        yield from ray_cluster.run(function, tasks, needs, wanted, engine.address)
    else:
        yield from local.run(function, tasks, needs, tasks_at_a_time(engine, needs, wanted=wanted, n_tasks=n_tasks))
