"""Accuracy and cost of a recipe over several seeds, run as a user runs it.

    python benchmarks/accuracy.py RECIPE [--root DIR] [--seeds 1 2 3] [-S KEY=VALUE ...] [--scores NAME ...] [--out DIR]
                                         [--record NAME]

The last commit is cloned to a temporary folder, where each seed is one `dvc exp run` of the recipe, from the recordings
to the scores; the recipe "embedded" is params.yaml as it stands, on the embedded data set. DIR defaults to esc10 of
$ADASPEC_SHARED (or ../shared). Wall and CPU time are those of the whole command; only the first seed has to read the
recordings, the others find them in DVC's cache. Predictions and scores of each seed stay below --out, as
`adaspec compare` takes them. --scores names other scores of metrics/details/folds, such as eer. --record keeps the
figures in benchmarks/results.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import ctypes
import json
import os
import re
import resource
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import record

ROOT = Path(__file__).parents[1]
SHARED = Path(os.environ.get("ADASPEC_SHARED", ROOT.parent / "shared"))
EMBEDDED = "embedded"
DETAILS = Path("metrics/details")
ASKED = "asked.json"  # of a kept run: recipe and settings
MADE = "made.json"  # and where it was made, of which commit: written last
KEPT = ("summary.json", "predictions.csv", "per_class.csv")
KEPT_IF_THERE = ("attacks.csv", "frontend.json")  # of anti-spoofing, of front ends that learn
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


def variant(text: str) -> tuple[str, list[str]]:
    """Name and knobs of NAME=KEY=VALUE[,KEY=VALUE]; commas within brackets part nothing."""
    name, _, knobs = text.partition("=")
    return name, re.split(r",(?![^\[]*\])", knobs) if knobs else []


def run_recipe(recipe: str, root: Path, settings: list[str], repository: Path) -> dict[str, float]:
    """Run a recipe in a clone; return the wall and CPU time in seconds."""
    environment = os.environ | {"PYTHONPATH": "src"}
    subprocess.run(["git", "checkout", "--quiet", "."], cwd=repository, check=True)  # the last experiment's params.yaml
    options = [part for setting in settings for part in ("-S", setting)]
    if recipe == EMBEDDED:
        command = shlex.join(["dvc", "exp", "run", *options])
    else:
        command = subprocess.run(
            [sys.executable, "-m", "adaspec", "recipe", recipe, "--root", str(root), *options],
            cwd=repository,
            env=environment,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout
    # Nobody waits for the process that training's workers are forked from: with its parent gone it falls to this one.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    cpu_s, start = children_cpu_s(), time.perf_counter()
    subprocess.run(command, shell=True, cwd=repository, check=True, stdout=sys.stderr)
    wall_s = time.perf_counter() - start
    return {"wall_s": wall_s, "cpu_s": children_cpu_s() - cpu_s}


def keep(repository: Path, out: Path) -> list[dict[str, Any]]:
    """Copy the metrics, and return the scores of each fold."""
    out.mkdir(parents=True, exist_ok=True)
    details = repository / DETAILS
    for name in KEPT_IF_THERE:
        (out / name).unlink(missing_ok=True)  # of an earlier run
    for name in [*KEPT, *(name for name in KEPT_IF_THERE if (details / name).exists())]:
        shutil.copyfile(details / name, out / name)
    return [json.loads(path.read_text()) for path in sorted((details / "folds").iterdir())]


def is_kept(folder: Path, recipe: str, settings: list[str]) -> bool:
    """Whether a folder holds this run; a folder that holds another ends the program."""
    if not (folder / MADE).exists():
        return False
    if not (folder / ASKED).exists() or json.loads((folder / ASKED).read_text()) != [recipe, *settings]:
        sys.exit(f"{folder} holds a run of other settings; give another --out, or remove it")
    return True


def mark_kept(folder: Path, recipe: str, settings: list[str], repository: Path) -> None:
    """Say what a folder holds, and so that it is complete."""
    (folder / ASKED).write_text(json.dumps([recipe, *settings]))
    (folder / MADE).write_text(json.dumps({"trained_at": record.head(repository)} | record.environment()))


def made_alike(folders: Iterable[Path], out: Path) -> dict[str, Any]:
    """Commit, machine and versions of kept runs; they must be the same for one record."""
    first, *others = (json.loads((folder / MADE).read_text()) for folder in folders)
    if any(other != first for other in others):
        sys.exit(f"not recorded: the runs in {out} are of several machines, versions or commits")
    return dict(first)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("--root", type=Path, default=SHARED / "data/esc10")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("-S", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--scores", nargs="+", default=["accuracy"], metavar="NAME")
    parser.add_argument("--out", type=Path, default=Path("accuracy"))
    parser.add_argument("--record", type=record.check_name, metavar="NAME")
    arguments = parser.parse_args()
    if arguments.recipe != EMBEDDED and not arguments.root.is_dir():
        sys.exit(f"{arguments.root} not found; give --root, or set ADASPEC_SHARED")
    out = arguments.out.absolute()
    seeds: list[list[dict[str, Any]]] = []  # the scores of each fold
    costs: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as scratch:
        repository = Path(scratch) / "adaspec"
        clone_last_commit(repository)
        trained_at = record.head(repository)
        for seed in arguments.seeds:
            settings = [f"seed={seed}", *arguments.settings]
            cost = run_recipe(arguments.recipe, arguments.root.absolute(), settings, repository)
            costs.append(cost)
            seeds.append(keep(repository, out / f"seed-{seed}"))
            told = "  ".join(describe(name, seeds[-1]) for name in arguments.scores)
            print(f"seed {seed}  {told}  wall {cost['wall_s']:.0f} s  CPU {cost['cpu_s']:.0f} s", flush=True)
    print(f"{arguments.recipe} {' '.join(arguments.settings)}".strip())
    folders = [out / f"seed-{seed}" for seed in arguments.seeds]
    scores = {name: summarise(name, seeds, folders) for name in arguments.scores}
    for name, found in scores.items():
        told = f"{name}: mean {found['mean']:.4f}"
        if found["std"] is not None:
            told += f", std over folds and seeds {found['std']:.4f}"
        print(told + ("" if found["std_of_seeds"] is None else f", over seeds {found['std_of_seeds']:.4f}"))
    if arguments.record:
        measured = {
            "trained_at": trained_at,
            "recipe": arguments.recipe,
            "settings": arguments.settings,
            "seeds": arguments.seeds,
            "n_folds": len(seeds[0]),
            "scores": scores,
            "cost": {key: span([cost[key] for cost in costs]) for key in costs[0]},
        }
        record.write(arguments.record, measured | attacks_of(folders) | learned_of(folders))


def span(values: list[float]) -> list[float]:
    """Least and largest."""
    return [min(values), max(values)]


def summarise(name: str, seeds: list[list[dict[str, Any]]], folders: list[Path]) -> dict[str, Any]:
    """One score over folds and seeds.

    The interval is the mean, end by end, of those that the runs print: it carries the chance of which clips were drawn.
    """
    means = [statistics.mean(fold[name] for fold in folds) for folds in seeds]
    everything = [fold[name] for folds in seeds for fold in folds]
    runs = [json.loads((folder / "summary.json").read_text()).get(name, {}) for folder in folders]
    intervals = [[run["ci_low"], run["ci_high"]] for run in runs if "ci_low" in run]
    return {
        "per_seed": means,
        "mean": statistics.mean(means),
        "std": statistics.stdev(everything) if len(everything) > 1 else None,
        "std_of_seeds": statistics.stdev(means) if len(means) > 1 else None,
        "interval": [statistics.mean(ends) for ends in zip(*intervals, strict=True)] if intervals else None,
        "interval_per_seed": intervals,
    }


def attacks_of(folders: list[Path]) -> dict[str, Any]:
    """Errors on each attack, of anti-spoofing: EER per seed, accepted share at the threshold."""
    tables = [
        {row["attack"]: row for row in csv.DictReader((folder / "attacks.csv").read_text().splitlines())}
        for folder in folders
        if (folder / "attacks.csv").exists()
    ]
    attacks = []
    for name in tables[0] if tables else ():
        rows = [table[name] for table in tables]
        eers, accepted = ([float(row[key]) for row in rows] for key in ("eer", "p_fa_at_threshold"))
        attacks.append(
            {
                "attack": name,
                "seen": rows[0]["seen"],
                "eer": statistics.mean(eers),
                "eer_per_seed": eers,
                "p_fa_at_threshold": statistics.mean(accepted),
            }
        )
    return {"attacks": attacks} if attacks else {}


def learned_of(folders: list[Path]) -> dict[str, Any]:
    """What the front end learned: each number's mean over seeds."""
    found = [json.loads((path / "frontend.json").read_text()) for path in folders if (path / "frontend.json").exists()]
    keys = [key for key in (found[0] if found else ()) if all(key in each for each in found)]
    learned = {key: statistics.mean(float(each[key]) for each in found) for key in keys}
    return {"learned": learned} if learned else {}


def describe(name: str, folds: list[dict[str, Any]]) -> str:
    """Mean over folds, and each of them where there are several."""
    values = [fold[name] for fold in folds]
    each = f" (folds {' '.join(map('{:.4f}'.format, values))})" if len(values) > 1 else ""
    return f"{name} {statistics.mean(values):.4f}{each}"


if __name__ == "__main__":
    main()
