"""Which process gets which GPU, shown with names of GPUs alone: nothing is computed on them."""

import multiprocessing
import os
import signal
import time
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from adaspec.runtime.engine import LOCAL, Needs, run_tasks, tasks_at_a_time
from adaspec.runtime.engine.devices import gpus, take_gpu

NAMES = ["3", "GPU-8a"]
FORK = multiprocessing.get_context("fork")


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adaspec.runtime.engine.local.gpus", lambda: NAMES)


def _use_gpu(folder: Path) -> tuple[str, int]:
    name = os.environ["CUDA_VISIBLE_DEVICES"]
    used = folder / name
    used.touch(exist_ok=False)  # fails where another process uses it
    time.sleep(0.1)
    used.unlink()
    return name, os.getpid()


@pytest.mark.usefixtures("two_gpus")
def test_two_processes_never_share_a_gpu(tmp_path: Path) -> None:
    found = list(run_tasks(_use_gpu, [(tmp_path,)] * 8, LOCAL, Needs(gpu=True)))
    assert sorted({name for name, _ in found}) == NAMES
    assert len(set(found)) == 2  # a process keeps the one that it has


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize(("n_tasks", "expected"), [(5, 2), (1, 1), (None, 2)])
def test_tasks_at_a_time_follow_the_gpus_where_they_use_any(n_tasks: int | None, expected: int) -> None:
    assert tasks_at_a_time(LOCAL, Needs(threads=64, gpu=True), n_tasks=n_tasks) == expected
    assert tasks_at_a_time(LOCAL, Needs(threads=64, gpu=True), n_tasks=n_tasks, wanted=7) == min(7, n_tasks or 7)
    assert tasks_at_a_time(LOCAL, Needs(threads=64, gpu=False), n_tasks=n_tasks) == 1


def _take_and_tell(folder: Path, connection: Connection) -> None:
    take_gpu(NAMES, folder, 2)
    connection.send(os.environ["CUDA_VISIBLE_DEVICES"])
    time.sleep(60)


def test_a_worker_takes_the_gpu_of_one_that_was_killed(tmp_path: Path) -> None:
    here, there = FORK.Pipe()
    workers = {}
    for _ in range(2):
        worker = FORK.Process(target=_take_and_tell, args=(tmp_path, there))
        worker.start()
        workers[here.recv()] = worker
    assert sorted(workers) == NAMES
    workers["3"].kill()
    last = FORK.Process(target=_take_and_tell, args=(tmp_path, there))
    last.start()
    assert here.recv() == "3"
    for worker in (*workers.values(), last):
        worker.kill()
        worker.join()
        assert worker.exitcode == -signal.SIGKILL


def test_more_workers_than_gpus_share_them_evenly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    taken = []
    for _ in range(4):
        take_gpu(NAMES, tmp_path, 4)
        taken.append(os.environ["CUDA_VISIBLE_DEVICES"])
    assert sorted(taken) == sorted(2 * NAMES)


@pytest.mark.parametrize(
    ("visible", "n_gpus", "expected"),
    [
        (None, 2, ["0", "1"]),
        ("3,1", 2, ["3", "1"]),
        ("GPU-8a, MIG-b2", 2, ["GPU-8a", "MIG-b2"]),
        ("1,-1,0", 1, ["1"]),  # CUDA stops at the first that is none
        ("", 0, []),
    ],
)
def test_gpus_are_those_that_may_be_seen(
    monkeypatch: pytest.MonkeyPatch, visible: str | None, n_gpus: int, expected: list[str]
) -> None:
    monkeypatch.setattr("adaspec.runtime.engine.devices.DRIVERS", ("/",))
    monkeypatch.setattr("torch.cuda.device_count", lambda: n_gpus)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpus() == expected
