"""Kill the pipeline at random moments over all its stages, and look whether the next `dvc repro` mends everything.

    python benchmarks/faults.py [--kills 30] [--seed 1] [--record faults]

A small copy of the pipeline is reproduced once, undisturbed. In each round all that it made is removed, and `dvc repro`
is started and hit at a random moment, again and again: SIGKILL or SIGTERM for DVC alone, SIGKILL for the stage or one
of its workers, SIGINT for the whole group, as Ctrl-C does. Nothing that was hit may leave a process behind. After the
last hit `dvc repro` is left alone: it must end in the bytes of the undisturbed run, and no run of MLflow still RUNNING.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
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
    "frontend": {"cached": True},
    "evaluate": {"n_bootstrap": 100},
    "engine": {"parallel_folds": 2, "workers": 2, "checkpoint_interval_s": 0.0},
}
MADE = ("data", "models", "metrics", "reports")
STAGES = (
    *("validate", "synthesize", "prepare", "features", "split", "embed", "train", "evaluate"),
    *("robustness", "report"),
)
HITS = ("SIGKILL to DVC", "SIGTERM to DVC", "SIGKILL to the stage", "SIGKILL to a worker", "Ctrl-C")
BETWEEN = "none: DVC itself"
LATEST_S = 8.0  # after a stage has begun, within which it is hit, rather early: most take less
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
    """What must be the same bytes after every repro; DVC's own .gitignore has lines in the order of its attempts."""
    files = [path / "dvc.lock", *(file for name in MADE for file in (path / name).rglob("*"))]
    files = [file for file in files if file.is_file() and file.name != ".gitignore"]
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in files}


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


def hit(process: subprocess.Popen[str], kind: str, rng: random.Random) -> tuple[str, str, list[psutil.Process]]:
    """Strike; return the stage that ran, what was done, and all processes that ought to be gone soon.

    Where there is no stage or worker to be killed, DVC is.
    """
    started = descendants(process)
    stages = [(each, stage) for each in started if (stage := stage_of(each)) is not None]
    workers: list[psutil.Process] = []
    with contextlib.suppress(psutil.NoSuchProcess):
        workers = stages[0][0].children(recursive=True) if stages else []
    if (kind == "SIGKILL to the stage" and not stages) or (kind == "SIGKILL to a worker" and not workers):
        kind = "SIGKILL to DVC"
    with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
        if kind == "Ctrl-C":
            os.killpg(process.pid, signal.SIGINT)
        elif kind == "SIGKILL to the stage":
            stages[0][0].kill()
        elif kind == "SIGKILL to a worker":
            rng.choice(workers).kill()
        else:
            process.send_signal(signal.SIGTERM if kind == "SIGTERM to DVC" else signal.SIGKILL)
    return stages[0][1] if stages else BETWEEN, kind, started


def running(path: Path) -> int:
    """Runs that MLflow takes for running."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{path / 'mlflow.db'}")
    found = [each.experiment_id for each in client.search_experiments()]
    return len(client.search_runs(found, "attributes.status = 'RUNNING'"))


def mend_lock(path: Path) -> int:
    """Remove DVC's own lock file where DVC was killed while it wrote it, as docs/reliability.md tells to do."""
    lock = path / ".dvc/tmp/rwlock"
    with contextlib.suppress(FileNotFoundError):
        try:
            json.loads(lock.read_bytes())
        except ValueError:
            lock.unlink()
            return 1
    return 0


def one_round(path: Path, rng: random.Random) -> list[dict[str, Any]]:
    """Hit one repro after another, each a while after a stage began; what it printed is shown where it looks wrong."""
    rows = []
    kinds, places = rng.sample(HITS, len(HITS)), sorted(rng.choices(range(len(STAGES)), k=len(HITS)))
    for kind, place in zip(kinds, places, strict=True):
        process = repro(path)
        while process.poll() is None and not any(
            stage in STAGES[place:] for stage in map(stage_of, descendants(process))
        ):
            time.sleep(0.02)
        deadline = time.monotonic() + LATEST_S * rng.random() ** 2
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        if process.poll() is not None:  # it had ended: nothing was hit
            process.communicate()
            continue
        stage, done, started = hit(process, kind, rng)
        told, _ = process.communicate()
        _, stray = psutil.wait_procs(started, timeout=GRACE_S)
        n_tracebacks = told.count("Traceback (most recent call last)")
        rows.append({"stage": stage, "hit": done, "stray": len(stray), "tracebacks": n_tracebacks})
        rows[-1]["locks"] = mend_lock(path)
        print(" ", rows[-1], told if n_tracebacks else "", flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30, help="at least; a round is ended")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--record", type=record.check_name, metavar="NAME")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    rows: list[dict[str, Any]] = []
    totals = {"rounds": 0, "failed": 0, "different": 0, "running": 0}
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "repository"
        make(path)
        output, _ = (undisturbed := repro(path)).communicate()
        if undisturbed.returncode:
            sys.exit(output)
        whole = contents(path)
        print(f"undisturbed: {len(whole)} files", flush=True)
        while len(rows) < options.kills:
            forget(path)
            rows += one_round(path, rng)
            totals["rounds"] += 1
            output, _ = (last := repro(path)).communicate()
            found = contents(path)
            different = sorted(name for name in whole.keys() | found.keys() if whole.get(name) != found.get(name))
            left = running(path) if (path / "mlflow.db").exists() else 0
            totals["failed"] += int(last.returncode != 0)
            totals["different"] += len(different)
            totals["running"] += left
            print(totals, *different[:5], output if last.returncode or different else "", flush=True)
    counts = Counter((row["stage"], row["hit"]) for row in rows)
    table = [{"stage": stage} | {kind: counts[stage, kind] for kind in HITS} for stage in (*STAGES, BETWEEN)]
    totals["kills"] = len(rows)
    totals |= {key: sum(row[key] for row in rows) for key in ("stray", "tracebacks", "locks")}
    print(*table, totals, sep="\n")
    if options.record:
        record.write(options.record, {"rows": table, "totals": totals})
    if any(totals[key] for key in ("failed", "different", "running", "stray", "tracebacks")):
        sys.exit(1)


if __name__ == "__main__":
    main()
