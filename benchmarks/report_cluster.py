"""The table of docs/scale.md about a cluster: bytes, scaling, and what a lost node costs."""

from __future__ import annotations

from typing import Any

from report_format import made, table

__all__ = ["cluster"]

Record = dict[str, Any]


def cluster(record: Record) -> str:
    """The marked part, from a record of benchmarks/cluster.py."""
    features, training = record["features"], record["training"]
    extracted = [
        [*_named(row), f"{row['clips_per_s']:.0f} clips/s", f"{row['speedup']:.2f}"] for row in features["rows"]
    ]
    first = training["rows"][0]["seconds"]
    trained = [[*_named(row), f"{row['seconds']:.0f} s", f"{row['seconds'] / first:.2f}"] for row in training["rows"]]
    head = f"features of {features['clips']} clips, median of {features['repeats']}"
    tables = table([head, "bytes", "", "of one process"], extracted)
    head = f"training, {training['folds']} folds of {training['epochs']} epochs"
    tables += "\n" + table([head, "bytes", "", "of this machine's time"], trained)
    told = f"Ray {record['ray']}. {made(record)}"
    if record["load"] > 0.5:
        told = (
            f"Meanwhile others wanted the cores, too (a load of {record['load']:.1f} on {record['machine']['cores']}): "
            f"the bytes count, the times tell little. {told}"
        )
    return f"{tables}\n{told}\n"


def _named(row: Record) -> list[str]:
    return [row["name"], "the same" if row["same"] else "**others**"]
