"""The measured parts of docs/scale.md: how time and memory grow, and what two million clips would take."""
# ruff: noqa: E501 (lines of the page)

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

from report_format import code, made, table

__all__ = ["beyond_start", "exponents", "scale"]

Record = dict[str, Any]
Row = dict[str, Any]

ESTIMATED = ("prepare", "features", "split", "train", "evaluate", "report")
HEARING = ("prepare", "features", "train", "evaluate")  # whose time follows the seconds
CLIPS, EPOCHS, N_FOLDS = 2_000_000, 50, 5
CORE_HOUR_USD, GB_MONTH_USD = 0.04, 0.02  # assumed
SOME_S = 2.0  # CPU time that stands out from what differs by chance


def exponents(rows: list[Row], key: str = "cpu_s") -> dict[str, list[float]]:
    """Stage -> slopes of the logarithms from each number of clips to the next."""
    found = {}
    for stage in dict.fromkeys(row["stage"] for row in rows):
        own = sorted((row["clips"], max(row[key], 1e-3)) for row in rows if row["stage"] == stage)
        found[stage] = [
            math.log(value / before) / math.log(n / n_before)
            for (n_before, before), (n, value) in itertools.pairwise(own)
        ]
    return found


def beyond_start(rows: list[Row], stage: str) -> float | None:
    """Slope of what CPU time is above that of the fewest clips, which is start-up; None where that is too little."""
    own = sorted((row["clips"], row["cpu_s"]) for row in rows if row["stage"] == stage)
    if len(own) < 3 or own[1][1] - own[0][1] < SOME_S:
        return None
    (n_0, cpu_0), (n_1, cpu_1), (n_2, cpu_2) = own[-3:]
    return math.log((cpu_2 - cpu_0) / (cpu_1 - cpu_0)) / math.log((n_2 - n_0) / (n_1 - n_0))


def scale(record: Record) -> str:
    """The marked part of the page."""
    return f"{_growth(record)}\n## Two million clips\n\n{_two_million(record)}"


def _growth(record: Record) -> str:
    """The table of all stages."""
    rows, slopes = record["rows"], exponents(record["rows"])
    sizes = sorted({row["clips"] for row in rows})
    head = ["stage", *(f"CPU s, {size:,}" for size in sizes), "exponent", "without start-up"]
    head += [f"own MiB, {size:,}" for size in sizes] + ["mapped MiB", "DVC: CPU s", "DVC: MiB"]
    body = []
    for stage, of_stage in slopes.items():
        own = {row["clips"]: row for row in rows if row["stage"] == stage}
        last = own[max(own)]
        cells = [stage, *(_cell(own, size, "cpu_s") for size in sizes), f"{of_stage[-1]:.2f}"]
        beyond = beyond_start(rows, stage)
        cells.append("" if beyond is None else f"{beyond:.2f}")
        cells += [_cell(own, size, "own_mib") for size in sizes]
        body.append([*cells, *(f"{last[key]:.0f}" for key in ("mapped_mib", "dvc_cpu_s", "dvc_mib"))])
    n_log_n = math.log(sizes[-1] * math.log(sizes[-1]) / (sizes[-2] * math.log(sizes[-2]))) / math.log(
        sizes[-1] / sizes[-2]
    )
    short = record["short"]
    told = (
        f"Clips of {short['clip_s']} s at {short['sample_rate']} Hz, a small network, one epoch and two folds. The exponent is the slope between the two largest numbers of clips, start-up included; beside it that of what is above the time of the fewest clips: "
        f"1 is linear, {n_log_n:.2f} is n log n. Own memory is the largest sum over all processes of a stage of what they do not share with the page cache. What is mapped from files is counted apart, as the system takes it back where others need room; it "
        f"and DVC's own part, which hashes the recordings and what stages make, are those of the most clips."
    )
    return f"{code(record['command'])}\n\n{table(head, body)}\n{told}\n\n{made(record)}\n"


def _cell(rows: dict[int, Row], size: int, key: str) -> str:
    """A figure; empty where a stage was not run with so many clips."""
    return f"{rows[size][key]:.0f}" if size in rows else ""


def _slope(rows: list[Row], stage: str, key: str) -> float:
    """Growth per clip between the two largest sizes."""
    (n_before, before), (n, value) = sorted((row["clips"], row[key]) for row in rows if row["stage"] == stage)[-2:]
    return max(float(value - before), 0.0) / (n - n_before)


@dataclass(frozen=True)
class Line:
    """What a stage is estimated to take.

    Attributes
    ----------
    stage : str
    per_clip_s, per_second_s : float
        CPU time of a clip as short as those that were measured, and of each further second of it, for each pass.
    passes : float
        How often the stage works through the clips, where in the measurement it did once.
    memory_gib : float
        What its processes own.
    gigabytes : float or None
        What it makes.
    """

    stage: str
    per_clip_s: float
    per_second_s: float
    passes: float
    memory_gib: float
    gigabytes: float | None

    def core_hours(self, further_s: float) -> float:
        return CLIPS * self.passes * (self.per_clip_s + self.per_second_s * further_s) / 3600


def _line(record: Record, stage: str) -> Line:
    rows, long_rows = record["rows"], record["long_rows"]
    short, long = (record[kind] for kind in ("short", "long"))
    measured = [
        _passes(stage, part["settings"]["train.epochs"], part["settings"]["split.n_folds"]) for part in (short, long)
    ]
    per_clip_s = _slope(rows, stage, "cpu_s") / measured[0]
    more_s = _slope(long_rows, stage, "cpu_s") / measured[1] - per_clip_s if stage in HEARING else 0.0
    return Line(
        stage,
        per_clip_s,
        max(more_s, 0.0) / (long["clip_s"] - short["clip_s"]),
        _passes(stage, EPOCHS, N_FOLDS),
        _memory_gib(rows, stage, "own_mib"),
        CLIPS * _slope(long_rows, stage, "out_bytes") / 1e9,
    )


def _memory_gib(rows: list[Row], stage: str, key: str) -> float:
    """What a stage needs where it goes on growing as it did."""
    n, value = max((row["clips"], row[key]) for row in rows if row["stage"] == stage)
    return float(value + _slope(rows, stage, key) * (CLIPS - n)) / 1024


def _passes(stage: str, epochs: int, n_folds: int) -> float:
    """How often a stage works through the clips."""
    return {"train": epochs * (n_folds - 1.0), "split": float(n_folds)}.get(stage, 1.0)


def _dvc_line(record: Record) -> Line:
    """DVC's own part in all stages: it hashes the recordings, and what stages make."""
    per_clip, per_long_clip = (
        sum(_slope(record[rows], stage, "dvc_cpu_s") for stage in ESTIMATED) for rows in ("rows", "long_rows")
    )
    further_s = record["long"]["clip_s"] - record["short"]["clip_s"]
    memory = _memory_gib(record["rows"], "prepare", "dvc_mib")  # the stage that depends on all recordings
    return Line("DVC", per_clip, max(per_long_clip - per_clip, 0.0) / further_s, 1.0, memory, None)


def _two_million(record: Record) -> str:
    """The worked estimate, a line for each stage and one for DVC."""
    short, long = record["short"], record["long"]
    further_s = long["clip_s"] - short["clip_s"]
    sizes, long_sizes = (sorted({row["clips"] for row in record[rows]}) for rows in ("rows", "long_rows"))
    lines = [*(_line(record, stage) for stage in ESTIMATED), _dvc_line(record)]
    body = []
    for line in lines:
        hours = line.core_hours(further_s)
        cells = [
            line.stage,
            f"{1e3 * line.per_clip_s:.3f}",
            f"{1e3 * line.per_second_s:.3f}" if line.per_second_s else "",
        ]
        cells += [f"{line.passes:g}", f"{hours:,.1f}", f"{line.memory_gib:.1f}"]
        body.append(
            [*cells, "" if line.gigabytes is None else f"{line.gigabytes:,.1f}", f"{hours * CORE_HOUR_USD:,.2f}"]
        )
    hours, gigabytes = sum(line.core_hours(further_s) for line in lines), sum(line.gigabytes or 0 for line in lines)
    body.append(["all", "", "", "", f"{hours:,.0f}", "", f"{gigabytes:,.0f}", f"{hours * CORE_HOUR_USD:,.0f}"])
    head = ["stage", "ms a clip", "ms a further second", "passes", "core-hours", "own memory, GiB", "makes, GB", "US$"]
    told = f"""{CLIPS:,} clips of {long["clip_s"]:g} s at {long["sample_rate"]} Hz, {CLIPS * long["clip_s"] / 3600:,.0f} hours; params.yaml as it stands, with {EPOCHS} epochs and {N_FOLDS} folds, on waveforms.

- **Core-hours** are clips x passes x (ms a clip + ms a further second x {further_s:g}). Of the former, the measured growth from {sizes[-2]:,} to {sizes[-1]:,} clips of {short["clip_s"]} s; of the latter, what clips of {long["clip_s"]:g} s with params.yaml's own front end and network take more, from {long_sizes[-2]:,} to {long_sizes[-1]:,} of them.
- **Passes**: training sees a clip in {N_FOLDS - 1} of {N_FOLDS} folds, each epoch; `split` carves each fold; all else sees each clip once.
- **Memory and bytes** go on as they grew between the same sizes.
- **Money**: US$ {CORE_HOUR_USD} a core-hour and US$ {GB_MONTH_USD} a GB-month are assumptions, about what clouds ask for spot instances and object stores. What stages make lies there twice, in the workspace and in DVC's cache ([once](https://dvc.org/doc/user-guide/data-management/large-dataset-optimization) where these are links): US$ {2 * gigabytes * GB_MONTH_USD:,.0f} a month, beside the recordings.
"""
    return f"{told}\n{table(head, body)}\n{made(record)}\n"
