"""A stage that is ended early leaves nothing that the next one would take for its output."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from adaspec.config import SyntheticConfig
from adaspec.datasets.synthetic import synthesize
from adaspec.runtime.console import command_line

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _heeds_ctrl_c() -> Iterator[None]:
    """Where the tests were started in the background, their shell has them ignore SIGINT, and what they start too."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGKILL, -signal.SIGKILL)]
)
def test_a_stage_that_is_ended_early_leaves_no_output(
    number: signal.Signals, code: int, params, tmp_path: Path
) -> None:
    params["synthetic"] |= {"clips_per_class": 500, "duration_s": 20.0}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    stage = subprocess.Popen(
        [sys.executable, ROOT / "stages/synthesize.py", "synthetic"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        stderr=subprocess.PIPE,
        text=True,
    )
    while stage.poll() is None and not list(tmp_path.glob(".synthetic.*.partial/synthetic/*/*.wav")):
        time.sleep(0.02)
    stage.send_signal(number)
    _, told = stage.communicate(timeout=120)
    assert stage.returncode == code, told
    killed = number == signal.SIGKILL
    assert told == ("" if killed else "error: interrupted; the same command goes on from what is complete\n")
    assert bool(list(tmp_path.glob(".*.partial"))) == killed
    synthesize(SyntheticConfig(clips_per_class=10, duration_s=0.5, seed=1), tmp_path / "synthetic")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["params.yaml", "synthetic"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("command", [[ROOT / "stages/prepare.py"], ["-m", "adaspec", "score", "scores.txt"]])
def test_what_is_still_loading_ends_in_one_line(
    command: list[str | Path], number: signal.Signals, tmp_path: Path
) -> None:
    """With a package that takes for ever, and one for missing whatever it meets."""
    slow = "import pathlib, time\npathlib.Path(__file__).with_name('begun').touch()\n"
    (tmp_path / "pandas.py").write_text(f"{slow}try:\n  time.sleep(60)\nexcept BaseException:\n  raise ImportError\n")
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT / 'src'}"},
        stderr=subprocess.PIPE,
        text=True,
    )
    while process.poll() is None and not (tmp_path / "begun").exists():
        time.sleep(0.02)
    process.send_signal(number)
    _, told = process.communicate(timeout=120)
    assert told == "error: interrupted; the same command goes on from what is complete\n"
    assert process.returncode == 130


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_is_interrupted_ends_in_one_line(
    number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    def work() -> None:
        os.kill(os.getpid(), number)
        time.sleep(10)

    with pytest.raises(SystemExit) as ended, command_line():
        work()
    assert ended.value.code == 130
    assert capsys.readouterr().err == "error: interrupted; the same command goes on from what is complete\n"
