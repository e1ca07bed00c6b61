"""The tables of docs/robustness.md: what changed recordings cost, and what defences buy."""
# ruff: noqa: E501 (lines of the page)

from __future__ import annotations

from statistics import mean, median
from typing import Any

from report_format import code, command, higher_is_better, interval, made, score_title, table

from adaspec.attributes import ATTRIBUTES

__all__ = ["robustness"]

Record = dict[str, Any]
TITLES = {
    "clean": "all test clips as they are",
    "all changes": "**all attributes and levels**",
    "part of training": "attributes that were part of training",
    "not part of training": "attributes that were not",
}


def robustness(record: Record) -> str:
    """The marked part, from a record of benchmarks/robustness.py."""
    first, *others = (row["name"] for row in record["parts"]["clean"])
    score = record["score"]
    head = ["", first, *(part for name in others for part in (name, "difference", "95 % interval"))]
    rows = []
    for part, found in record["parts"].items():
        mark = " *" if part in record["defended"] else ""
        name, at, ratio = part.partition(" at ")  # of an attack: the signal-to-noise ratio
        cells = [TITLES.get(part, f"`{name}`{at}{ratio}") + mark]
        for row in found:
            cells.append(f"{row[score]:.3f}")
            if "difference" in row:
                ends = [row["difference_low"], row["difference_high"]]
                cells += [f"{row['difference']:+z.3f}", interval(ends, "+z.3f")]
        rows.append(cells)
    costs = ", ".join(f"{name} {median(values):.0f}" for name, values in record["cpu_s"].items())
    n_seeds, title = len(record["seeds"]), score_title(score)
    told = [
        f"{title[0].upper()}{title[1:]}, mean over folds and {n_seeds} seed{'s' if n_seeds > 1 else ''}; intervals are paired."
    ]
    if record["defended"]:
        told.append("Marked with * what was part of training.")
    ratios = _corruption_errors(record, first, others)
    if ratios:
        told.append(
            f"Mean corruption error relative to {first} ([Hendrycks and Dietterich 2019](https://arxiv.org/abs/1903.12261)): {ratios}."
        )
    told.append(f"CPU seconds of a run, the survey included (median): {costs}.")
    return f"{code(command(record))}\n\n{table(head, rows)}\n{' '.join(told)}\n\n{made(record)}\n"


def _corruption_errors(record: Record, first: str, others: list[str]) -> str:
    """Mean over attributes of a setting's error over that of the first."""
    score, parts = record["score"], record["parts"]
    attributes = [rows for part, rows in parts.items() if part in ATTRIBUTES]
    if not attributes:
        return ""

    def error(rows: list[Record], name: str) -> float:
        value: float = next(row[score] for row in rows if row["name"] == name)
        return 1 - value if higher_is_better(score) else value

    erring = [rows for rows in attributes if error(rows, first)]
    means = {name: mean(error(rows, name) / error(rows, first) for rows in erring) for name in others}
    return ", ".join(f"{name} {value:.2f}" for name, value in means.items())
