"""Kill the pipeline at random moments over all its stages, and look whether the next `dvc repro` mends everything.

    python benchmarks/faults.py [--kills 30] [--seed 1] [--record faults]

A small copy of the pipeline is reproduced once, undisturbed. Then, time and again, all that it made is removed, `dvc
repro` is started and, at a random moment, hit: SIGKILL or SIGTERM for DVC alone, SIGKILL for the stage or one of its
workers, SIGINT for the whole group, as Ctrl-C does. The next `dvc repro` must end in the bytes of the undisturbed run,
with no process of the first left and no run of MLflow still RUNNING.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
import record
import yaml

ROOT = Path(__file__).parents[1]
COPIED = ("src", "stages", "dvc.yaml", "params.yaml", ".gitignore", ".dvcignore")
SMALL = {
    "synthetic": {"clips_per_class": 10, "duration_s": 0.6},
    "split": {"scheme": "group_kfold", "n_folds": 2, "validation_fraction": 0.34},
    "train": {"epochs": 2},
    "evaluate": {"n_bootstrap": 100},
    "engine": {"parallel_folds": 2, "workers": 2, "checkpoint_interval_s": 0.0},
}
MADE = ("data", "models", "metrics")
STAGES = ("validate", "synthesize", "prepare", "features", "split", "train", "evaluate")
HITS = ("SIGKILL to DVC", "SIGTERM to DVC", "SIGKILL to the stage", "SIGKILL to a worker", "Ctrl-C")
GRACE_S = 30.0  # for what was hit to end


def make(path: Path) -> None:
    """A small copy of the pipeline in a repository of its own."""
    path.mkdir()
    for name in COPIED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
        copy(ROOT / name, path / name)
    params = yaml.safe_load((path / "params.yaml").read_text(encoding="utf-8"))
    params["features"]["window"]["length_s"] = 0.5
    params["features"]["clips_per_shard"] = 4
    for section, knobs in SMALL.items():
        params[section] |= knobs
    (path / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    for command in (["git", "init", "--quiet"], [sys.executable, "-m", "dvc", "init", "--quiet"]):
        subprocess.run(command, cwd=path, check=True, env=environment())


def environment() -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("DVC_", "MLFLOW_"))}
    kept["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
    return kept | {"DVC_NO_ANALYTICS": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def repro(path: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "dvc", "repro"]
    return subprocess.Popen(
        command,
        cwd=path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def forget(path: Path) -> None:
    """Remove all that the pipeline made, DVC's memory of it, and what was recorded and kept of trainings."""
    for name in (*MADE, "dvc.lock", ".dvc/cache", ".adaspec"):
        target = path / name
        shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)


def contents(path: Path) -> dict[str, bytes]:
    """What must be the same bytes after every repro."""
    files = [path / "dvc.lock", *(file for name in MADE for file in (path / name).rglob("*"))]
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in files if file.is_file()}


def descendants(process: subprocess.Popen[str]) -> list[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(process.pid).children(recursive=True)
    return []


def stage_of(process: psutil.Process) -> str | None:
    """The stage that a process runs, if it is the script of one."""
    with contextlib.suppress(psutil.Error):
        found = re.search(r"stages/(\w+)\.py", " ".join(process.cmdline()))
        return found[1] if found and "python" in process.name() else None
    return None


def hit(process: subprocess.Popen[str], kind: str, rng: random.Random) -> tuple[str, list[psutil.Process]]:
    """Strike; return the stage that ran then, and all processes that ought to be gone soon."""
    started = descendants(process)
    stages = [(each, stage) for each in started if (stage := stage_of(each)) is not None]
    workers = [each for each in started if stages and each.pid not in {stage.pid for stage, _ in stages}]
    with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
        if kind == "Ctrl-C":
            os.killpg(process.pid, signal.SIGINT)
        elif kind == "SIGKILL to the stage" and stages:
            stages[0][0].kill()
        elif kind == "SIGKILL to a worker" and workers:
            rng.choice(workers).kill()
        else:
            process.send_signal(signal.SIGTERM if kind == "SIGTERM to DVC" else signal.SIGKILL)
    return stages[0][1] if stages else "DVC itself", started


def running(path: Path) -> int:
    """Runs that MLflow takes for running."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{path / 'mlflow.db'}")
    found = [each.experiment_id for each in client.search_experiments()]
    return len(client.search_runs(found, "attributes.status = 'RUNNING'"))


def one(path: Path, kind: str, after_s: float, whole: dict[str, bytes], rng: random.Random) -> dict[str, Any]:
    """Hit one repro after some seconds, repeat it and compare."""
    forget(path)
    first = repro(path)
    deadline = time.monotonic() + after_s
    while time.monotonic() < deadline and first.poll() is None:
        time.sleep(0.02)
    stage, started = hit(first, kind, rng)
    told, _ = first.communicate()
    _, stray = psutil.wait_procs(started, timeout=GRACE_S)
    again = repro(path)
    output, _ = again.communicate()
    found = contents(path)
    different = sorted(name for name in whole.keys() | found.keys() if whole.get(name) != found.get(name))
    return {
        "stage": stage,
        "hit": kind,
        "tracebacks": told.count("Traceback (most recent call last)")
        + output.count("Traceback (most recent call last)"),
        "failed": int(again.returncode != 0),
        "different": len(different),
        "stray": len(stray),
        "running": running(path) if (path / "mlflow.db").exists() else 0,
        "told": "" if again.returncode == 0 and "Traceback" not in told else f"{told}\n{output}",
        "names": different[:5],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--record", type=record.check_name, metavar="NAME")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "repository"
        make(path)
        started = time.monotonic()
        output, _ = (undisturbed := repro(path)).communicate()
        if undisturbed.returncode:
            sys.exit(output)
        lasted_s, whole = time.monotonic() - started, contents(path)
        print(f"undisturbed: {lasted_s:.0f} s, {len(whole)} files", flush=True)
        for number in range(options.kills):
            kind = HITS[number % len(HITS)]
            # One moment in each part of the time, so that all of it is covered.
            row = one(path, kind, lasted_s * (number + rng.random()) / options.kills, whole, rng)
            told, names = row.pop("told"), row.pop("names")
            rows.append(row)
            print(number + 1, row, *names, told, flush=True)
    table = [
        {
            "hit": kind,
            "kills": len(mine := [row for row in rows if row["hit"] == kind]),
            "stages": sorted({row["stage"] for row in mine}),
        }
        | {key: sum(row[key] for row in mine) for key in ("tracebacks", "failed", "different", "stray", "running")}
        for kind in HITS
    ]
    print(*table, sep="\n")
    if options.record:
        record.write(options.record, {"kills": options.kills, "rows": table})
    if any(row[key] for row in table for key in ("failed", "different", "stray", "running")):
        sys.exit(1)


if __name__ == "__main__":
    main()
