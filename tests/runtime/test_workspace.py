import subprocess
import sys
from pathlib import Path

import pytest

from adaspec.runtime import workspace

HOLDER = """
import sys, time
from pathlib import Path
from adaspec.runtime.console import configure_logging
from adaspec.runtime.workspace import only_one
configure_logging()
with only_one(Path(sys.argv[1])), open(sys.argv[2], "a") as log:
    log.write("in\\n"); log.flush()
    time.sleep(0.5)
    log.write("out\\n")
"""


def test_only_one_process_at_a_time_holds_a_lock(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "it.lock"), str(tmp_path / "log")]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    told = [process.communicate(timeout=60)[1] for process in processes]
    assert (tmp_path / "log").read_text() == "in\nout\n" * 3
    assert sum("waiting for another process" in text for text in told) == 2


def test_only_one_frees_the_lock_after_an_error(tmp_path: Path) -> None:
    lock = workspace.lock_file(tmp_path, "it")
    with pytest.raises(ZeroDivisionError), workspace.only_one(lock):
        raise ZeroDivisionError
    with workspace.only_one(lock):
        pass


def test_repository_root_is_here_or_where_dvc_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "copy").mkdir()
    monkeypatch.chdir(tmp_path / "copy")
    monkeypatch.delenv("DVC_ROOT", raising=False)
    assert workspace.repository_root() == (tmp_path / "copy").resolve()
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    assert workspace.repository_root() == tmp_path.resolve()


def test_everything_is_kept_in_one_folder(tmp_path: Path) -> None:
    state = tmp_path / ".adaspec"
    assert workspace.state_folder(tmp_path / "new") == tmp_path / "new/.adaspec"
    assert workspace.checkpoint_folder(tmp_path, "abc") == state / "checkpoints/abc"
    assert workspace.record_key_file(tmp_path, "abc") == state / "runs/abc.json"
    assert workspace.lock_file(tmp_path, "train") == state / "locks/train.lock"
    assert workspace.lock_file(tmp_path, "train") != workspace.lock_file(tmp_path, "tune")
    # Locks are opened at once, the others are created by those that fill them.
    assert sorted(path.name for path in state.iterdir()) == ["locks"]
    assert list((state / "locks").iterdir()) == []
