"""Accuracy and cost of a recipe over several seeds, run as a user runs it.

    python benchmarks/accuracy.py RECIPE [--root DIR] [--seeds 1 2 3] [-S KEY=VALUE ...] [--scores NAME ...] [--out DIR]

The last commit is cloned to a temporary folder, where each seed is one `dvc exp run` of the recipe, from the recordings
to the scores. DIR defaults to esc10 of $ADASPEC_SHARED (or ../shared). Wall and CPU time are those of the whole
command; only the first seed has to read the recordings, the others find them in DVC's cache. Predictions and scores of
each seed stay below --out, as `adaspec compare` takes them. --scores names other scores of metrics/folds, such as eer.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SHARED = Path(os.environ.get("ADASPEC_SHARED", ROOT.parent / "shared"))
KEPT = ("summary.json", "predictions.csv", "per_class.csv", "attacks.csv")
PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


def children_cpu_s() -> float:
    """CPU time of all processes that were started from here, once all have ended."""
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def clone_last_commit(folder: Path) -> None:
    dirty = subprocess.run(["git", "status", "--short"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    if dirty:
        print("note: the last commit is run, without what has changed since:\n" + dirty, file=sys.stderr)
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)


def run_recipe(recipe: str, root: Path, settings: list[str], repository: Path) -> dict[str, float]:
    """Run a recipe in a clone; return the wall and CPU time in seconds."""
    environment = os.environ | {"PYTHONPATH": "src"}
    subprocess.run(["git", "checkout", "--quiet", "."], cwd=repository, check=True)  # the last experiment's params.yaml
    options = [part for setting in settings for part in ("-S", setting)]
    printed = subprocess.run(
        [sys.executable, "-m", "adaspec", "recipe", recipe, "--root", str(root), *options],
        cwd=repository,
        env=environment,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    # Nobody waits for the process that training's workers are forked from: with its parent gone it falls to this one.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    cpu_s, start = children_cpu_s(), time.perf_counter()
    subprocess.run(printed.stdout, shell=True, cwd=repository, check=True, stdout=sys.stderr)
    wall_s = time.perf_counter() - start
    return {"wall_s": wall_s, "cpu_s": children_cpu_s() - cpu_s}


def keep(repository: Path, out: Path) -> list[dict[str, Any]]:
    """Copy the metrics, and return the scores of each fold."""
    out.mkdir(parents=True, exist_ok=True)
    for name in KEPT:
        shutil.copyfile(repository / "metrics" / name, out / name)
    return [json.loads(path.read_text()) for path in sorted((repository / "metrics/folds").iterdir())]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("--root", type=Path, default=SHARED / "data/esc10")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("-S", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--scores", nargs="+", default=["accuracy"], metavar="NAME")
    parser.add_argument("--out", type=Path, default=Path("accuracy"))
    arguments = parser.parse_args()
    if not arguments.root.is_dir():
        sys.exit(f"{arguments.root} not found; give --root, or set ADASPEC_SHARED")
    out = arguments.out.absolute()
    seeds: list[list[dict[str, Any]]] = []  # the scores of each fold
    with tempfile.TemporaryDirectory() as scratch:
        repository = Path(scratch) / "adaspec"
        clone_last_commit(repository)
        for seed in arguments.seeds:
            settings = [f"seed={seed}", *arguments.settings]
            cost = run_recipe(arguments.recipe, arguments.root.absolute(), settings, repository)
            seeds.append(keep(repository, out / f"seed-{seed}"))
            told = "  ".join(describe(name, seeds[-1]) for name in arguments.scores)
            print(f"seed {seed}  {told}  wall {cost['wall_s']:.0f} s  CPU {cost['cpu_s']:.0f} s", flush=True)
    print(f"{arguments.recipe} {' '.join(arguments.settings)}".strip())
    for name in arguments.scores:
        means = [statistics.mean(fold[name] for fold in folds) for folds in seeds]
        everything = [fold[name] for folds in seeds for fold in folds]
        told = f"{name}: mean {statistics.mean(means):.4f}"
        if len(everything) > 1:
            told += f", std over folds and seeds {statistics.stdev(everything):.4f}"
        print(told + (f", over seeds {statistics.stdev(means):.4f}" if len(means) > 1 else ""))


def describe(name: str, folds: list[dict[str, Any]]) -> str:
    """Mean over folds, and each of them where there are several."""
    values = [fold[name] for fold in folds]
    each = f" (folds {' '.join(map('{:.4f}'.format, values))})" if len(values) > 1 else ""
    return f"{name} {statistics.mean(values):.4f}{each}"


if __name__ == "__main__":
    main()
