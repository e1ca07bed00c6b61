"""What happened in each epoch, as a file that anybody can follow while a fold trains."""

from __future__ import annotations

import json
from pathlib import Path

from adaspec.runtime.files import complete_file

__all__ = ["HISTORY", "read_history", "write_history"]

HISTORY = "history.jsonl"  # one JSON object per epoch


def write_history(folder: Path, rows: list[dict[str, float]]) -> None:
    """Write all rows so far: epoch (from 1), train_loss, learning_rate; where validated, its loss and accuracy."""
    with complete_file(folder / HISTORY) as partial:
        lines = (json.dumps(row, sort_keys=True, allow_nan=False) + "\n" for row in rows)
        partial.write_text("".join(lines), encoding="utf-8")


def read_history(folder: Path) -> list[dict[str, float]]:
    """Rows written so far; none where training has not got through an epoch."""
    try:
        return [json.loads(line) for line in (folder / HISTORY).read_text(encoding="utf-8").splitlines()]
    except FileNotFoundError:
        return []
