"""Tasks of test_ray_cluster.py, in a file that workers import quickly."""

import importlib
import os
import signal
import time
from pathlib import Path

from adaspec.errors import SettingError


def where(number: int) -> tuple[int, str, str, str]:
    time.sleep(0.3 if number == 0 else 0.05)  # later tasks end before the first
    node = importlib.import_module("ray").get_runtime_context().get_node_id()
    return number, node, os.getcwd(), os.environ.get("PYTHONPATH", "")


def refuse(number: int) -> int:
    if number == 3:
        raise SettingError("win_length", "=2048 exceeds n_fft=1024")
    return number


def tell_and_sleep(path: Path | None) -> None:
    if path is None:
        raise TypeError
    path.write_text(str(os.getpid()))
    time.sleep(600)


def be_killed(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number
