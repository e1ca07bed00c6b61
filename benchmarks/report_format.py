"""How docs/results.md writes numbers, tables and commands."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

__all__ = [
    "code",
    "command",
    "differences",
    "duration",
    "figure",
    "higher_is_better",
    "interval",
    "load",
    "made",
    "options",
    "percent",
    "score_title",
    "span",
    "table",
    "verdict",
]

RESULTS = Path(__file__).parent / "results"
Record = dict[str, Any]
ROOTS = {  # how names of recipes begin -> where a reader keeps the data set
    "esc10": "/data/esc50",
    "esc50": "/data/esc50",
    "asv-mini": "/data/minila/LA",
    "asv-libri": "/data/librila/LA",
    "sasv-libri": "/data/librila/LA",
}


def load(name: str) -> Record:
    record: Record = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return record


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Markdown; empty cells stay empty."""
    lines = [list(head), *([list(row) for row in rows])]
    lines.insert(1, ["---"] * len(lines[0]))
    return "".join(f"|{'|'.join(f' {cell} ' if cell else ' ' for cell in cells)}|\n" for cells in lines)


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def span(ends: list[float] | None, unit: str = "") -> str:
    """Least to largest, as times where no unit is given."""
    if ends is None:
        return ""
    told = [duration(end) if not unit else f"{end:.0f}" for end in ends]
    return told[0] + (f" to {told[1]}" if told[0] != told[1] else "") + (f" {unit}" if unit else "")


def percent(share: float) -> str:
    """With one decimal; of a share as tables have it, in three."""
    return f"{100 * float(f'{share:.3f}'):.1f} %"


def score_title(score: str) -> str:
    return "EER" if score == "eer" else score


def higher_is_better(score: str) -> bool:
    return score != "eer"


def interval(ends: list[float] | None, form: str = ".3f") -> str:
    return f"{ends[0]:{form}} to {ends[1]:{form}}" if ends else ""


def made(record: Record) -> str:
    """Where and with what a record was measured, as a sentence below its table."""
    machine, versions = record["machine"], record["versions"]
    told = [
        machine["processor"] + "".join(f", {name}" for name in machine["instructions"]),
        f"{machine['cores']} core{'s' if machine['cores'] > 1 else ''}",
    ]
    told += [machine["gpu"]] if machine["gpu"] else []
    told.append(f"torch {versions['torch']}")
    note = f"; {record['note']}" if "note" in record else ""
    commit = record.get("trained_at", record.get("commit"))  # figures come from training, which may be older
    since = " and changes since" if commit and commit.endswith("+") else ""
    commit = f" (commit {commit[:7]}{since})" if commit else ""
    return f"*Measured on: {'; '.join(told)}{note}{commit}.*"


def code(*commands: str) -> str:
    return "```console\n" + "".join(f"$ {command}\n" for command in commands) + "```"


def options(settings: Iterable[str]) -> str:
    """Knobs as `dvc exp run` takes them."""
    return " ".join(f"-S {setting}" for setting in settings)


def command(record: Record, root: str | None = None) -> str:
    """What measured a record, as a reader types it whose data sets lie in /data; `root` where it isn't the recipe's."""
    recipe = str(record.get("recipe"))
    root = root or next((root for start, root in ROOTS.items() if recipe.startswith(start)), None)
    return record["command"] + (f" --root {root}" if root else "")


def figure(name: str, told: str) -> str:
    return f"![{told}](figures/{name}.svg)"


def verdict(row: Record, score: str = "accuracy") -> str:
    """Better or worse, where the interval leaves out 0 and p, corrected for all compared, agrees; else empty."""
    p_value = row["p_holm"] if "p_holm" in row else row["p_value"]
    if p_value >= 0.05 or row["difference_low"] <= 0 <= row["difference_high"]:
        return ""
    return "better" if (row["difference"] > 0) == higher_is_better(score) else "worse"


def differences(rows: list[Record], further: dict[str, list[str]]) -> str:
    """A comparison as a table; `further` are more columns, title -> cells."""
    head = ["", "accuracy", "std", "95 % interval", "difference", "paired 95 % interval", "only it : only fixed", "p"]
    body = []
    for row in rows:
        cells = [row["name"].replace("-", " "), f"{row['accuracy']:.3f}", f"{row['std']:.3f}"]
        cells.append(interval([row["low"], row["high"]]))
        if "difference" in row:
            cells += [f"{row['difference']:+z.4f}", interval([row["difference_low"], row["difference_high"]], "+z.3f")]
            cells += [f"{row['n_only_this']} : {row['n_only_baseline']}", f"{row.get('p_mcnemar', row['p_value']):.2g}"]
        body.append(cells + [""] * (len(head) - len(cells)))
    for title, column in further.items():
        head.append(title)
        for cells, cell in zip(body, column, strict=True):
            cells.append(cell)
    return table(head, body)
