"""Real processes: what a killed parent leaves behind must end by itself, wherever it is in its work."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from waiting import wait_for

from adaspec.runtime.watchdog import end_with_parent, follow_parent

# A stage that works in steps, started by a process that is then killed, as DVC may be.
STAGE = """
import os, sys, time
from pathlib import Path
from adaspec.runtime.console import stage_command
from adaspec.runtime.files import complete_file
folder = Path(sys.argv[1])
with stage_command(), complete_file(folder / "output") as partial:
    partial.write_text("half")
    (folder / "child").write_text(str(os.getpid()))
    for step in range(600):
        (folder / "steps").write_text(str(step))
        time.sleep(0.05)
"""
STARTER = """
import subprocess, sys
subprocess.run([sys.executable, "-c", sys.argv[1], sys.argv[2]])
"""

# Folds in workers, of which one has nothing to do; the process that they work for is killed.
POOL = """
import os, sys, time
from pathlib import Path
from adaspec.runtime.engine import load_for_workers, run_tasks

def work(folder, number):
    (Path(folder) / f"worker-{number}").write_text(str(os.getpid()))
    time.sleep(60)

if __name__ == "__main__":
    if sys.argv[2] == "forked":
        load_for_workers("colorsys")
    list(run_tasks(work, [(sys.argv[1], 1), (sys.argv[1], 2)], wanted=3))
"""


def alive(process: int) -> bool:
    """Whether a process runs; one that has ended and waits to be collected does not."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def written(path: Path) -> bool:
    return path.exists() and path.read_text() != ""


needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


@needs_proc
def test_a_stage_ends_when_the_process_that_started_it_is_killed(tmp_path: Path) -> None:
    environment = os.environ | {"DVC_STAGE": "features"}
    starter = subprocess.Popen([sys.executable, "-c", STARTER, STAGE, str(tmp_path)], env=environment)
    assert wait_for(lambda: written(tmp_path / "steps"))
    child = int((tmp_path / "child").read_text())
    assert alive(child)
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    assert wait_for(lambda: not alive(child), 20)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["child", "steps"]  # and no half output


@needs_proc
@pytest.mark.parametrize("start", ["forked", "spawned"])
def test_workers_end_when_the_process_that_they_work_for_is_killed(tmp_path: Path, start: str) -> None:
    (tmp_path / "pool.py").write_text(POOL)
    command = [sys.executable, str(tmp_path / "pool.py"), str(tmp_path), start]
    pool = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    assert wait_for(lambda: all(written(tmp_path / f"worker-{number}") for number in (1, 2)))
    started = [child.pid for child in psutil.Process(pool.pid).children(recursive=True)]
    assert len(started) >= 3
    pool.send_signal(signal.SIGKILL)
    pool.wait()
    assert wait_for(lambda: not any(map(alive, started)), 20)


def test_a_process_whose_parent_lives_goes_on() -> None:
    before = signal.getsignal(signal.SIGINT)
    follow_parent()  # nobody's worker
    with end_with_parent():
        time.sleep(0.5)
    assert signal.getsignal(signal.SIGINT) is before
