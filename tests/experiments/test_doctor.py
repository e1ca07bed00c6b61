"""Each fault made on purpose, on a healthy repository."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from filelock import FileLock
from typer.testing import CliRunner

from adaspec.cli import app
from adaspec.experiments import repository as asked
from adaspec.experiments.doctor import doctor, machine
from adaspec.models.saved import FORMAT
from adaspec.runtime.workspace import lock_file

ROOT = Path(__file__).parents[2]
LOCK = "".join(f"{name}=={machine._version(name)}\n" for name in ("torch", "numpy"))


@pytest.fixture
def healthy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository in which all is well, with a model, on a machine on which all is well."""
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    (tmp_path / "requirements.lock").write_text(LOCK)
    (tmp_path / "models" / "fold-1").mkdir(parents=True)
    (tmp_path / "models" / "fold-1" / "model.json").write_text(f'{{"format": {FORMAT}, "labels": ["x", "y"]}}')
    for name in (*machine.BINDING, *machine.THREADS, "DVC_ROOT", "MLFLOW_TRACKING_URI", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(machine, "LEAST_BYTES", 0)
    monkeypatch.setattr(machine, "ENOUGH_BYTES", 0)
    monkeypatch.setattr(machine, "QUOTA", tmp_path / "none")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def python_missing(root: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("PATH", str(root))


def other_python(root: Path, patch: pytest.MonkeyPatch) -> None:
    (root / "bin").mkdir()
    (root / "bin" / "python").write_text("#!/bin/sh\necho /usr\n")
    (root / "bin" / "python").chmod(0o755)
    patch.setenv("PATH", f"{root / 'bin'}{os.pathsep}{os.environ['PATH']}")


def set_root(path: str) -> Callable[[Path, pytest.MonkeyPatch], None]:
    def change(root: Path, patch: pytest.MonkeyPatch) -> None:
        params = yaml.safe_load((root / "params.yaml").read_text())
        params["dataset"] |= {"name": "folder", "root": path}
        (root / "params.yaml").write_text(yaml.safe_dump(params))

    return change


def out_of_range(root: Path, patch: pytest.MonkeyPatch) -> None:
    (root / "params.yaml").write_text(
        (root / "params.yaml").read_text().replace("clips_per_class: 20", "clips_per_class: 2")
    )


def stray(root: Path, patch: pytest.MonkeyPatch) -> None:
    (root / "mlruns" / "0").mkdir(parents=True)
    (root / "mlruns" / "0" / "meta.yaml").write_text("name: Default\n")


def other_version(root: Path, patch: pytest.MonkeyPatch) -> None:
    (root / "requirements.lock").write_text(f"{LOCK}pandas==0.1\n")


def package_missing(root: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(machine.importlib.metadata, "requires", lambda _: ["no-such-package>=1; extra == 'pipeline'"])


def full_disk(root: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(machine, "LEAST_BYTES", 2**80)
    patch.setattr(machine, "ENOUGH_BYTES", 2**80)


def bound_threads(root: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("OMP_PROC_BIND", "true")
    patch.setenv("OMP_NUM_THREADS", "1")


def container(root: Path, patch: pytest.MonkeyPatch) -> None:
    (root / "cpu.max").write_text("150000 100000\n")
    patch.setattr(machine, "QUOTA", root / "cpu.max")
    patch.setattr(machine, "n_cores", lambda: 64)


def hidden_gpu(root: Path, patch: pytest.MonkeyPatch) -> None:
    (root / "driver").write_text("NVRM version: 550\n")
    patch.setattr(machine, "DRIVER", root / "driver")
    patch.setattr("torch.cuda.is_available", lambda: False)
    patch.setenv("CUDA_VISIBLE_DEVICES", "")


def broken_off(root: Path, patch: pytest.MonkeyPatch) -> None:
    (root / ".adaspec" / "checkpoints" / "0123" / "fold-1").mkdir(parents=True)
    (root / ".adaspec" / "checkpoints" / "0123" / "fold-1" / "last.ckpt").write_bytes(b"x" * 2**20)


def lock_in_the_way(root: Path, patch: pytest.MonkeyPatch) -> None:
    lock_file(root, "0123").mkdir()


def unreadable_rwlock(root: Path, patch: pytest.MonkeyPatch) -> None:
    (root / ".dvc" / "tmp").mkdir(parents=True)
    (root / ".dvc" / "tmp" / "rwlock").write_text('{"/data": {"wri')


def corrupt_store(root: Path, patch: pytest.MonkeyPatch) -> None:
    (root / "mlflow.db").write_bytes(b"this is no database\n" * 200)


def unfinished_store(root: Path, patch: pytest.MonkeyPatch) -> None:
    (root / "mlflow.db").write_bytes(b"")


def other_store(root: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("MLFLOW_TRACKING_URI", "https://me:secret@example.org")


def old_model(root: Path, patch: pytest.MonkeyPatch) -> None:
    (root / "models" / "fold-1" / "model.json").write_text('{"adaspec_version": "0.1.0", "labels": ["x", "y"]}')


def lost_worker(root: Path, patch: pytest.MonkeyPatch) -> None:
    """Two tasks that DVC shows as running: the process of one has ended."""
    table = "Task     Name     Created    Status\n"
    table += "4848774  stuck    11:00 AM   Running\n7777777  busy     11:00 AM   Running\n"
    table += "28d5104  done     10:18 AM   Success\n"
    patch.setattr(asked, "ask", lambda *_: f"{table}\nWorker status: 0 active, 0 idle\n")
    ended = subprocess.Popen(["true"])
    ended.wait()
    for task, pid in (("4848774b", ended.pid), ("7777777a", os.getpid())):
        (root / ".dvc" / "tmp" / "exps" / "run" / task).mkdir(parents=True)
        (root / ".dvc" / "tmp" / "exps" / "run" / task / f"{task}.json").write_text(
            f'{{"pid": {pid}, "returncode": null}}'
        )
    (root / ".dvc" / "tmp" / "exps" / "celery").mkdir()


FAULTS = [
    (python_missing, "broken", "no 'python' is found, which the stages run on; activate"),
    (other_python, "broken", "the stages would run on {root}/bin/python, which is not the Python of adaspec; activate"),
    (set_root("music"), "broken", "params.yaml dataset.root=music is not a folder; write the absolute path"),
    (set_root("../music"), "broken", "queued runs work in a copy elsewhere; write the absolute path"),
    (set_root("/gone/music"), "broken", "params.yaml dataset.root=/gone/music is not a folder; write the absolute"),
    (out_of_range, "broken", "params.yaml synthetic.clips_per_class=2"),
    (stray, "broken", "'mlflow ui' reads {root}/mlruns instead of mlflow.db; move that folder elsewhere"),
    (other_version, "note", "not as in requirements.lock: pandas "),
    (package_missing, "broken", "no-such-package not installed; pip install --no-deps -r requirements.lock"),
    (full_disk, "broken", "GB of disk are free in {root}; 'dvc gc --workspace --all-experiments' removes"),
    (bound_threads, "note", "OMP_PROC_BIND=true: folds that train side by side may share a processor; unset it"),
    (bound_threads, "note", "OMP_NUM_THREADS=1: training and evaluation take train.threads_per_fold instead; unset"),
    (container, "note", "64 processors are seen, of which this container may use 1; set engine.workers=1"),
    (hidden_gpu, "broken", "sees no GPU; unset CUDA_VISIBLE_DEVICES=, which hides it"),
    (
        broken_off,
        "note",
        "a training broke off 0 days ago (1.0 MB); the same 'dvc repro' or 'dvc exp run' goes on",
    ),
    (lock_in_the_way, "broken", "{root}/.adaspec/locks/0123.lock: Is a directory; remove it"),
    (
        corrupt_store,
        "broken",
        "{root}/mlflow.db cannot be read (file is not a database); move it elsewhere, and",
    ),
    (
        unreadable_rwlock,
        "broken",
        "DVC cannot read {root}/.dvc/tmp/rwlock, as it was killed; if no other dvc runs here",
    ),
    (unfinished_store, "note", "{root}/mlflow.db was never finished and holds no run; the next run makes it anew"),
    (other_store, "note", "MLFLOW_TRACKING_URI=https://example.org records the runs, not mlflow.db"),
    (old_model, "broken", "models/fold-1 was written by adaspec 0.1.0 in format 1, this is adaspec"),
    (lost_worker, "broken", "DVC's queue shows stuck as Running, but its worker is gone; 'dvc queue kill stuck', and"),
]


@pytest.mark.parametrize(("make", "state", "told"), FAULTS)
def test_doctor_finds_a_fault_and_names_the_remedy(
    healthy: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[..., None], state: str, told: str
) -> None:
    make(healthy, monkeypatch)
    findings = [each for each in doctor(healthy) if each.state != "ok"]
    (found,) = [each for each in findings if told.format(root=healthy) in each.told]
    assert found.state == state
    assert "\n" not in found.told
    n_of_this_fault = sum(each is make for each, _, _ in FAULTS)
    assert len(findings) == n_of_this_fault, findings


def test_doctor_tells_who_holds_a_lock_and_takes_no_running_training_for_abandoned(
    healthy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken_off(healthy, monkeypatch)
    with FileLock(lock_file(healthy, "0123")):
        told = [each.told for each in doctor(healthy) if each.state != "ok"]
    assert told == [f"somebody works under {lock_file(healthy, '0123')}; who needs it waits for the end"]


def test_doctor_says_that_all_is_well_or_ends_with_1(healthy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = CliRunner().invoke(app, ["doctor"])
    assert done.exit_code == 0, done.output
    assert done.stdout.endswith("\nall is well\n")
    assert all(line.startswith("ok ") for line in done.stdout.splitlines()[:-2])
    old_model(healthy, monkeypatch)
    done = CliRunner().invoke(app, ["doctor"])
    assert done.exit_code == 1
    assert done.stdout.endswith("\n1 broken\n")
    (healthy / "dvc.yaml").unlink()
    done = CliRunner().invoke(app, ["doctor"])
    assert done.exit_code == 1
    assert done.stderr == f"error: {healthy} has no params.yaml and dvc.yaml; go to the root of the repository\n"
