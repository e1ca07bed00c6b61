"""The page of results is what the records say."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
RECORDS = sorted((ROOT / "benchmarks/results").glob("*.json"))


def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def test_page_tables_and_figures_are_current() -> None:
    command = [sys.executable, ROOT / "benchmarks/report.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_record_says_where_it_comes_from(path: Path) -> None:
    record = read(path)
    assert record["command"].startswith(("python benchmarks/", "adaspec ", "make "))
    assert set(record["machine"]) == {"processor", "instructions", "cores", "memory_gib", "gpu"}
    assert {"python", "torch"} <= set(record["versions"])
    assert ("commit" in record) != ("source" in record)
    for score in record.get("scores", {}).values():
        assert set(score) == {"per_seed", "mean", "std", "std_of_seeds", "interval", "interval_per_seed"}


def test_readme_tells_what_was_measured() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    told = re.findall(r"\*\*(\d+\.\d) %\*\*", text)
    means = [
        read(ROOT / f"benchmarks/results/{name}.json")["scores"]["accuracy"]["mean"]
        for name in ("esc10-fast", "esc10-best")
    ]
    assert [float(each) for each in told] == pytest.approx([100 * mean for mean in means], abs=0.0501)
