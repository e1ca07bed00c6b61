import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from adaspec.errors import InputError, SettingError
from adaspec.runtime.engine import LOCAL, Needs, keep_freed_memory, n_cores, run_tasks, tasks_at_a_time, torch_device


def _square_first_one_last(number: int) -> tuple[int, int]:
    time.sleep(0.2 if number == 0 else 0.0)  # later tasks end before the first
    return number**2, os.getpid()


def _refuse_three(number: int) -> int:
    if number == 3:
        raise InputError(f"clip {number}: 'größer' as 1 of 2; repair it")
    return number


def _refuse_setting(number: int) -> int:
    raise SettingError("win_length", f"={number} exceeds n_fft=1024")


def _add(first: int, second: int) -> int:
    return first + second


@pytest.mark.parametrize("n_parallel", [1, 2])
def test_run_tasks_results_come_in_the_order_of_the_tasks(n_parallel: int) -> None:
    results = list(run_tasks(_square_first_one_last, ((number,) for number in range(12)), wanted=n_parallel))
    assert [square for square, _ in results] == [number**2 for number in range(12)]
    own = {process for _, process in results} == {os.getpid()}
    assert own == (n_parallel == 1)


def test_run_tasks_passes_every_argument() -> None:
    assert list(run_tasks(_add, [(1, 2), (10, 20)], wanted=1)) == [3, 30]


@pytest.mark.parametrize("n_parallel", [1, 2])
def test_run_tasks_without_tasks_gives_nothing(n_parallel: int) -> None:
    assert list(run_tasks(_add, [], wanted=n_parallel)) == []


@pytest.mark.parametrize("n_parallel", [1, 2])
def test_run_tasks_input_error_arrives_as_it_was_raised(n_parallel: int) -> None:
    with pytest.raises(InputError) as refusal:
        list(run_tasks(_refuse_three, ((number,) for number in range(8)), wanted=n_parallel))
    assert type(refusal.value) is InputError
    assert str(refusal.value) == "clip 3: 'größer' as 1 of 2; repair it"


@pytest.mark.parametrize("n_parallel", [1, 2])
def test_run_tasks_setting_error_arrives_with_its_parts(n_parallel: int) -> None:
    with pytest.raises(SettingError) as refusal:
        list(run_tasks(_refuse_setting, [(2048,), (2048,)], wanted=n_parallel))
    assert str(refusal.value) == "win_length=2048 exceeds n_fft=1024"
    assert (refusal.value.setting, refusal.value.reason) == ("win_length", "=2048 exceeds n_fft=1024")


def test_run_tasks_works_again_after_an_error() -> None:
    for n_parallel in (1, 2):
        with pytest.raises(InputError):
            list(run_tasks(_refuse_three, [(3,), (4,)], wanted=n_parallel))
        assert list(run_tasks(_refuse_three, [(4,), (5,)], wanted=n_parallel)) == [4, 5]


def _be_killed(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_run_tasks_tells_of_a_worker_that_was_killed() -> None:
    with pytest.raises(InputError, match=r"one of 2 worker processes was killed, .* lower engine\.workers"):
        list(run_tasks(_be_killed, [(1,), (2,)], wanted=2))
    assert list(run_tasks(_add, [(1, 2), (3, 4)], wanted=2)) == [3, 7]


def test_run_tasks_takes_tasks_one_by_one() -> None:
    taken = []

    def tasks():
        for number in range(50):
            taken.append(number)
            yield (number, 0)

    results = run_tasks(_add, tasks(), wanted=1)
    assert next(results) == 0
    assert len(taken) < 10
    results.close()


USES_WORKERS = """
import os, sys
from adaspec.runtime.engine import load_for_workers, run_tasks

def look(module, number):
    if number == 5:
        raise ValueError("five")
    return number, module in sys.modules, os.getpid() != int(sys.argv[1])

if __name__ == "__main__":
    sys.argv[1:] = [str(os.getpid())]
    load_for_workers("colorsys")
    try:
        print(*run_tasks(look, [("colorsys", 5), ("colorsys", 6)], wanted=2))
    except ValueError as error:
        print(error)
    print(*run_tasks(look, [("colorsys", 1), ("colorsys", 2), ("colorsys", 3)], wanted=2), "colorsys" in sys.modules)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux alone")
@pytest.mark.parametrize("length", [20, 75, 76, 200])
def test_load_for_workers_spares_them_the_import_and_errors_still_arrive(length: int) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        temporary = Path(f"{folder}/".ljust(length, "t"))  # a long path holds no socket
        temporary.mkdir(exist_ok=True)
        script = Path(folder) / "uses_workers.py"
        script.write_text(USES_WORKERS)
        done = subprocess.run(
            [sys.executable, str(script)],
            capture_output=True,
            text=True,
            timeout=60,
            env=os.environ | {"TMPDIR": str(temporary)},
        )
    loaded = length <= 75
    expected = f"(1, {loaded}, True) (2, {loaded}, True) (3, {loaded}, True) False"
    assert done.stdout.splitlines() == ["five", expected], done.stderr


def test_training_code_can_be_loaded_before_a_fork() -> None:
    code = "import adaspec.training.fit, torch, threading; print(torch.cuda.is_initialized(), threading.active_count())"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "False 1\n"


@pytest.mark.parametrize(("wanted", "n_tasks", "expected"), [(3, 5, 3), (1, 5, 1), (8, 5, 5), (2, 0, 1), (8, None, 8)])
def test_tasks_at_a_time_are_as_many_as_wanted(wanted: int, n_tasks: int | None, expected: int) -> None:
    for threads in (1, 64):
        assert tasks_at_a_time(LOCAL, Needs(threads), wanted=wanted, n_tasks=n_tasks) == expected


def test_torch_device_is_the_gpu_where_there_is_one_and_none_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for present, found in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr("torch.cuda.is_available", lambda present=present: present)
        assert torch_device("auto") == found
        assert torch_device("cpu") == "cpu"


@pytest.mark.parametrize(
    ("cores", "threads", "n_tasks", "expected"),
    [
        (1, 1, 5, 1),
        (2, 1, 5, 3),  # three, then two
        (2, 1, 4, 2),
        (3, 1, 5, 5),
        (4, 1, 10, 5),
        (4, 1, 9, 5),
        (16, 1, 5, 5),
        (2, 2, 5, 1),
        (2, 20, 5, 1),
        (8, 4, 1, 1),
        (2, 1, None, 2),  # not known how many
        (8, 4, None, 2),
        (2, 4, None, 1),
    ],
)
def test_tasks_at_a_time_fill_the_cores_in_every_round(
    monkeypatch: pytest.MonkeyPatch, cores: int, threads: int, n_tasks: int | None, expected: int
) -> None:
    monkeypatch.setattr("adaspec.runtime.engine.local.n_cores", lambda: cores)
    assert tasks_at_a_time(LOCAL, Needs(threads), n_tasks=n_tasks) == expected


def test_n_cores_is_at_least_one_and_at_most_the_machine() -> None:
    assert 1 <= n_cores() <= (os.cpu_count() or 1)


def test_keep_freed_memory_leaves_the_process_working() -> None:
    keep_freed_memory()
    blocks = [bytes(2**22) for _ in range(4)]
    assert sum(len(block) for block in blocks) == 2**24
