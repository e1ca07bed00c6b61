"""How time and memory of every stage grow with the number of clips.

    python benchmarks/scale.py [--sizes 1000 10000 100000] [--parts FILE] [--record scale]

The last commit is cloned to a temporary folder. For each size, short clips are generated (a quarter of a second each,
groups of five, ten labels), and each stage is run as `dvc repro` runs it: a small network, one epoch, two folds; then
`train` and `evaluate` again with `frontend.cached`. Last come some longer clips with params.yaml as it stands, but for
the number of epochs: what a second of audio costs.

CPU time is that of the whole process tree. Of memory, what the processes own is told apart from what they share with
the page cache: mapped files, which the system takes back where others need the room. Both are the largest sum over the
tree that was seen, several times a second.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import re
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import record
import yaml
from accuracy import PR_SET_CHILD_SUBREAPER, children_cpu_s, clone_last_commit
from report_scale import exponents

SHORT_S, SHORT_RATE = 0.25, 8000
LONG, LONG_S, LONG_RATE = (300, 1500), 3.0, 16000
N_LABELS, GROUP_SIZE, PER_FOLDER = 10, 5, 1000
STAGES = (
    *("validate", "synthesize", "prepare", "features", "split", "embed", "train", "evaluate"),
    *("robustness", "report"),
)
EVERY = {"dataset.name": "manifest", "split.n_folds": 2, "tracking.experiment": "scale"}
SMALL = {
    "audio.sample_rate": SHORT_RATE,
    "features.window.length_s": SHORT_S,
    "frontend.n_fft": 256,
    "frontend.hop_length": 128,
    "frontend.mel.n_mels": 32,
    "backbone.resnet.widths": [8, 16],
    "train.epochs": 1,
    "train.batch_size": 128,
}
AS_IT_STANDS = {"audio.sample_rate": LONG_RATE, "features.window.length_s": LONG_S, "train.epochs": 2}
KINDS = ("short", "long")
POLL_S = 0.15


def write_clips(root: Path, n_clips: int, seconds: float, rate: int) -> None:
    """Tones in noise, a pitch for each label, with a manifest."""
    rng = np.random.default_rng(n_clips)
    n = round(seconds * rate)
    header = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + 2 * n, b"WAVE", b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16, b"data", 2 * n)  # fmt: skip # noqa: E501
    lines = ["path,label,group"]
    for clip in range(n_clips):
        group = clip // GROUP_SIZE
        label = group % N_LABELS
        path = Path(f"{clip // PER_FOLDER:04d}/{clip:07d}.wav")
        (root / path.parent).mkdir(parents=True, exist_ok=True)
        tone = np.sin(2 * np.pi * 300 * (1 + label) * np.arange(n) / rate)
        samples = 6000 * tone + rng.normal(0, 2000, n)
        (root / path).write_bytes(header + samples.astype("<i2").tobytes())
        lines.append(f"{path},label-{label},group-{group}")
    (root / "manifest.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def set_params(repository: Path, knobs: dict[str, Any]) -> None:
    """Write values into params.yaml, as -S does."""
    path = repository / "params.yaml"
    params = yaml.safe_load(path.read_text(encoding="utf-8"))
    for name, value in knobs.items():
        *sections, key = name.split(".")
        section = params
        for each in sections:
            section = section[each]
        assert key in section, name
        section[key] = value
    path.write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")


def memory_of(process: psutil.Process) -> tuple[int, int]:
    """Bytes that a process owns, and that it has of mapped files, as its share where several have them."""
    try:
        text = Path(f"/proc/{process.pid}/smaps_rollup").read_text(encoding="ascii")
    except OSError:  # it ended
        return 0, 0
    found = {name: 1024 * int(value) for name, value in re.findall(r"^(\w+):\s+(\d+) kB", text, re.MULTILINE)}
    own = sum(found.get(name, 0) for name in ("Pss_Anon", "Pss_Shmem", "SwapPss"))
    return own, found.get("Pss_File", 0)


class Watch:
    """Samples the processes below this one until it is stopped; that of DVC apart from those of the stage."""

    def __init__(self, dvc: int, stage: str) -> None:
        self.dvc, self.script = dvc, f"stages/{stage}.py"
        self.peaks: dict[str, int] = defaultdict(int)
        self.dvc_cpu_s, self.stage_wall_s = 0.0, 0.0
        self.begun: float | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        """Sample no more."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(POLL_S):
            with contextlib.suppress(psutil.Error):
                self._sample(psutil.Process().children(recursive=True))

    def _sample(self, processes: list[psutil.Process]) -> None:
        sums: dict[str, int] = defaultdict(int)
        runs = False
        for process in processes:
            own, mapped = memory_of(process)
            if process.pid == self.dvc:
                times = process.cpu_times()
                self.dvc_cpu_s = times.user + times.system
                sums["dvc_own"] += own
                continue
            sums["own"] += own
            sums["mapped"] += mapped
            with contextlib.suppress(psutil.Error):
                runs = runs or self.script in " ".join(process.cmdline())
        for name, value in sums.items():
            self.peaks[name] = max(self.peaks[name], value)
        if runs:
            now = time.perf_counter()
            self.begun = self.begun or now
            self.stage_wall_s = now - self.begun


def run_stage(repository: Path, stage: str, environment: dict[str, str]) -> dict[str, Any]:
    """Run one stage through DVC; what it took, and what DVC took beside it."""
    cpu_s, start = children_cpu_s(), time.perf_counter()
    command = [sys.executable, "-m", "dvc", "repro", "--single-item", stage]
    output = repository.parent / "output.txt"
    with output.open("wb") as file:
        process = subprocess.Popen(command, cwd=repository, env=environment, stdout=file, stderr=subprocess.STDOUT)
        watch = Watch(process.pid, stage)
        # The process itself stays until it is waited for, so that its children are not taken for those of another.
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        wall_s = time.perf_counter() - start
        watch.stop()
    if process.wait():
        sys.exit(output.read_text(encoding="utf-8", errors="replace"))
    return {
        "wall_s": watch.stage_wall_s,
        "cpu_s": max(children_cpu_s() - cpu_s - watch.dvc_cpu_s, 0.0),
        "own_mib": watch.peaks["own"] / 2**20,
        "mapped_mib": watch.peaks["mapped"] / 2**20,
        "dvc_wall_s": wall_s - watch.stage_wall_s,
        "dvc_cpu_s": watch.dvc_cpu_s,
        "dvc_mib": watch.peaks["dvc_own"] / 2**20,
        "out_bytes": out_bytes(repository, stage),
    }


def out_bytes(repository: Path, stage: str) -> int:
    """Bytes of what a stage made, by dvc.lock."""
    lock = yaml.safe_load((repository / "dvc.lock").read_text(encoding="utf-8"))
    return sum(out.get("size", 0) for out in lock["stages"].get(stage, {}).get("outs", []))


def pipeline(scratch: Path, n_clips: int, seconds: float, rate: int, knobs: dict[str, Any]) -> Path:
    """A clone, with clips of its own."""
    root, repository = scratch / "clips", scratch / "adaspec"
    root.mkdir()
    start = time.perf_counter()
    write_clips(root, n_clips, seconds, rate)
    print(f"{n_clips} clips of {seconds} s written in {time.perf_counter() - start:.0f} s", flush=True)
    clone_last_commit(repository)
    set_params(repository, {**EVERY, "dataset.root": str(root), **knobs})
    return repository


def measure(repository: Path, n_clips: int, *, cached: bool) -> list[dict[str, Any]]:
    """A row for each stage; with `cached`, further rows for what cached spectrograms change."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("DVC_", "MLFLOW_"))}
    kept["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
    environment = kept | {"DVC_NO_ANALYTICS": "1"}
    rows = []
    further = ["train", "evaluate"] if cached else []
    for index, stage in enumerate([*STAGES, *further]):
        is_cached = index >= len(STAGES)
        if is_cached:
            set_params(repository, {"frontend.cached": True})
        row = {"clips": n_clips, "stage": f"{stage}, cached" if is_cached else stage}
        row |= run_stage(repository, stage, environment)
        rows.append(row)
        told = f"{row['wall_s']:8.1f} s  CPU {row['cpu_s']:8.1f} s  own {row['own_mib']:7.0f} MiB"
        told += f"  mapped {row['mapped_mib']:6.0f} MiB  DVC {row['dvc_cpu_s']:6.1f} s {row['dvc_mib']:5.0f} MiB"
        print(f"{n_clips:7d}  {row['stage']:17s} {told}", flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10000, 100000])
    parser.add_argument("--parts", type=Path, metavar="FILE", help="where parts are kept that need not be run again")
    parser.add_argument("--record", type=record.check_name, metavar="NAME")
    options = parser.parse_args()
    # Nobody waits for the process that workers are forked from: with its parent gone it falls to this one.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    parts: dict[str, list[dict[str, Any]]] = {}
    if options.parts and options.parts.exists():
        parts = json.loads(options.parts.read_text(encoding="utf-8"))
    wanted = [("short", n_clips) for n_clips in options.sizes] + [("long", n_clips) for n_clips in LONG]
    for kind, n_clips in wanted:
        if f"{kind} {n_clips}" in parts:
            continue
        clip = (SHORT_S, SHORT_RATE, SMALL) if kind == "short" else (LONG_S, LONG_RATE, AS_IT_STANDS)
        with tempfile.TemporaryDirectory() as folder:
            parts[f"{kind} {n_clips}"] = measure(
                pipeline(Path(folder), n_clips, *clip), n_clips, cached=kind == "short"
            )
        if options.parts:
            options.parts.write_text(json.dumps(parts), encoding="utf-8")
    rows, long_rows = ([row for name in parts if name.startswith(kind) for row in parts[name]] for kind in KINDS)
    for stage, slopes in exponents(rows).items():
        print(f"{stage:17s} CPU time grows with exponent {', '.join(f'{slope:.2f}' for slope in slopes)}")
    if options.record:
        measured = {
            "short": {"clip_s": SHORT_S, "sample_rate": SHORT_RATE, "settings": EVERY | SMALL},
            "long": {"clip_s": LONG_S, "sample_rate": LONG_RATE, "settings": EVERY | AS_IT_STANDS},
            "rows": rows,
            "long_rows": long_rows,
        }
        record.write(options.record, measured)


if __name__ == "__main__":
    main()
