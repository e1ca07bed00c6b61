"""The embedded data set on two nodes of a Ray cluster, both on this machine: bytes, scaling, what a lost node costs.

    python benchmarks/cluster.py [--repeats 5] [--copies 20] [--epochs 50] [--record cluster]

Features of the embedded set, its clips taken several times, are extracted with one and two processes, and with one and
two tasks at a time on the cluster. Its training runs on this machine, on the cluster, and on the cluster while one of
the nodes is killed (SIGKILL to all its processes) once both its folds have gone some way. Every output must be the
bytes of this machine's. A node has one core.
"""

from __future__ import annotations

import argparse
import filecmp
import importlib
import importlib.metadata
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import record

from adaspec.config import Config, load_config
from adaspec.config.resolve import resolve
from adaspec.datasets import read_dataset
from adaspec.datasets.clips import examine_clips
from adaspec.datasets.synthetic import synthesize
from adaspec.features.extract import extract
from adaspec.tables.splits import make_folds
from adaspec.tracking.none import NoRun
from adaspec.training.crossvalidate import cross_validate

ROOT = Path(__file__).parents[1]
KILLED_AT = 0.4  # of the epochs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5, help="of the extraction")
    parser.add_argument("--copies", type=int, default=20, help="of each clip, to be extracted")
    parser.add_argument("--epochs", type=int, help="of the training; by default as params.yaml has it")
    parser.add_argument("--record", type=record.check_name, metavar="NAME")
    arguments = parser.parse_args()
    load = os.getloadavg()[0]  # of others
    with tempfile.TemporaryDirectory() as folder, _two_nodes() as cluster:
        work = _Work(Path(folder), cluster, arguments.epochs)
        measured: dict[str, Any] = {
            "features": work.features(arguments.copies, arguments.repeats),
            "training": work.training(),
            "load": load,
            "ray": importlib.metadata.version("ray"),
        }
    for row in measured["features"]["rows"]:
        print(f"features  {row['name']:28} {row['clips_per_s']:7.0f} clips/s, {row['speedup']:.2f} times one process")
    for row in measured["training"]["rows"]:
        print(f"training  {row['name']:28} {row['seconds']:7.1f} s, same bytes: {row['same']}")
    if arguments.record:
        record.write(arguments.record, measured)
    if not all(row["same"] for part in ("features", "training") for row in measured[part]["rows"]):
        sys.exit("the cluster gave other bytes")


@contextmanager
def _two_nodes() -> Iterator[Any]:
    ray: Any = importlib.import_module("ray")
    nodes: Any = importlib.import_module("ray.cluster_utils")
    cluster = nodes.Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.second = cluster.add_node(num_cpus=1)
    try:
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()


class _Work:
    """The embedded data set below a folder, up to its folds."""

    def __init__(self, folder: Path, cluster: Any, epochs: int | None) -> None:
        self.folder, self.cluster = folder, cluster
        config = load_config(ROOT / "params.yaml")
        synthesize(config.synthetic, folder / "raw")
        dataset = config.dataset.model_copy(update={"root": str(folder / "raw")})
        clips, _ = examine_clips(read_dataset(dataset), folder / "raw", "fail", "fail", None)
        self.clips = clips
        train = config.train.model_copy(update={"epochs": epochs or config.train.epochs})
        self.config = resolve(config.model_copy(update={"dataset": dataset, "train": train}), clips)
        self.folds = make_folds(clips, self.config.split, self.config.seed)

    def engine(self, backend: str, **knobs: Any) -> Config:
        """The configuration with another engine; on Ray that of the cluster."""
        given = {"backend": backend, "address": self.cluster.address if backend == "ray" else None, **knobs}
        return self.config.model_copy(update={"engine": self.config.engine.model_copy(update=given)})

    def features(self, copies: int, repeats: int) -> dict[str, Any]:
        """Clips a second with one and two processes, and tasks at a time."""
        many = pd.concat(
            self.clips.assign(clip_id=self.clips["clip_id"] + f"-{copy:03}") for copy in range(copies)
        ).reset_index(drop=True)
        names = {"local": "this machine, processes:", "ray": "two nodes, tasks at a time:"}
        ways = [(backend, n) for backend in names for n in (1, 2)]
        seconds: dict[tuple[str, int], list[float]] = {way: [] for way in ways}
        for _ in range(repeats + 1):  # the first starts processes and fills the page cache
            for backend, n in ways:
                where = self.folder / f"features-{backend}-{n}"
                seconds[backend, n].append(_seconds(extract, many, self.engine(backend, workers=n), where))
        base = statistics.median(seconds["local", 1][1:])
        first, rows = self.folder / "features-local-1", []
        for backend, n in ways:
            median = statistics.median(seconds[backend, n][1:])
            same = _same(first, self.folder / f"features-{backend}-{n}")
            row = {"name": f"{names[backend]} {n}", "clips_per_s": len(many) / median, "speedup": base / median}
            rows.append({**row, "same": same})
        return {"clips": len(many), "repeats": repeats, "rows": rows}

    def training(self) -> dict[str, Any]:
        """Seconds of a training on this machine, on the cluster, and with a node killed."""
        extract(self.clips, self.engine("local"), self.folder / "features")
        rows = []
        for name, backend, kills in (
            ("this machine", "local", False),
            ("two nodes", "ray", False),
            ("two nodes, one is killed", "ray", True),
        ):
            root = self.folder / f"{backend}-{kills}"
            ended = threading.Event()
            killer = threading.Thread(target=self._kill_second, args=(root, ended))
            if kills:
                killer.start()
            seconds = _seconds(self._train, root, self.engine(backend))
            ended.set()
            if kills:
                killer.join()
            same = _same(self.folder / "local-False/models", root / "models")
            rows.append({"name": name, "seconds": seconds, "same": same})
        return {"folds": int(self.folds["fold"].nunique()), "epochs": self.config.train.epochs, "rows": rows}

    def _train(self, root: Path, config: Config) -> None:
        models, features = root / "models", self.folder / "features"
        cross_validate(self.clips, self.folds, config, features, models, root, lambda digest: NoRun())

    def _kill_second(self, root: Path, ended: threading.Event) -> None:
        """Kill the second node when two folds have trained for a part of their epochs."""
        epochs = int(KILLED_AT * self.config.train.epochs)
        histories = ".adaspec/checkpoints/*/fold-*/history.jsonl"
        while sum(_n_lines(path) >= epochs for path in root.glob(histories)) < 2:
            if ended.wait(0.1):
                return
        self.cluster.remove_node(self.cluster.second, allow_graceful=False)


def _n_lines(path: Path) -> int:
    return path.read_bytes().count(b"\n")


def _seconds(job: Callable[..., None], *arguments: Any) -> float:
    started = time.perf_counter()
    job(*arguments)
    return time.perf_counter() - started


def _same(first: Path, second: Path) -> bool:
    """Whether two folders hold the same bytes."""
    names = [{path.relative_to(each) for path in each.rglob("*") if path.is_file()} for each in (first, second)]
    return names[0] == names[1] and all(filecmp.cmp(first / name, second / name, shallow=False) for name in names[0])


if __name__ == "__main__":
    main()
