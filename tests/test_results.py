"""The page of results is what the records say."""

import importlib
import json
import mmap
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil
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


def test_readme_tells_what_learned_bands_gain() -> None:
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    fixed, mel = read(ROOT / "benchmarks/results/learning-embedded.json")["rows"][:2]
    low, high, gain = (100 * mel[key] for key in ("difference_low", "difference_high", "difference"))
    assert f"from {fixed['accuracy']:.2f} to {mel['accuracy']:.2f} (three seeds: +{gain:.1f} points" in text
    assert f"interval +{low:.1f} to +{high:.1f})" in text
    assert f"[{gain:.1f} points]" in text


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> tuple[ModuleType, ModuleType]:
    """The programs `accuracy` and `record`."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("accuracy"), importlib.import_module("record")


def lay_out(folder: Path, eers: list[float]) -> None:
    """Write metrics of a run as `evaluate` does, as far as they are recorded."""
    details = folder / "metrics/details"
    (details / "folds").mkdir(parents=True)
    for fold, eer in enumerate(eers, start=1):
        (details / f"folds/fold-{fold}.json").write_text(json.dumps({"eer": eer}))
    summary = {"eer": {"mean": sum(eers) / len(eers), "ci_low": 0.1, "ci_high": 0.3}}
    (details / "summary.json").write_text(json.dumps(summary))
    (details / "attacks.csv").write_text("attack,seen,n_trials,eer,p_fa_at_threshold\nA01,no,9,0.25,0.5\n")
    (details / "frontend.json").write_text(json.dumps({"window_change": 0.02}))
    for name in ("predictions.csv", "per_class.csv"):
        (details / name).write_text("clip_id\n")


def test_runs_become_a_record(programs: tuple[ModuleType, ModuleType], tmp_path: Path) -> None:
    accuracy, record = programs
    seeds = []
    for seed, eers in ((1, [0.2, 0.4]), (2, [0.1, 0.1])):
        lay_out(tmp_path / f"clone-{seed}", eers)
        seeds.append(accuracy.keep(tmp_path / f"clone-{seed}", tmp_path / f"seed-{seed}"))
    folders = [tmp_path / "seed-1", tmp_path / "seed-2"]
    assert record.rounded(accuracy.summarise("eer", seeds, folders)) == {
        "per_seed": [0.3, 0.1],
        "mean": 0.2,
        "std": 0.141421,
        "std_of_seeds": 0.141421,
        "interval": [0.1, 0.3],
        "interval_per_seed": [[0.1, 0.3], [0.1, 0.3]],
    }
    [attack] = accuracy.attacks_of(folders)["attacks"]
    assert attack == {
        "attack": "A01",
        "seen": "no",
        "eer": 0.25,
        "eer_per_seed": [0.25, 0.25],
        "p_fa_at_threshold": 0.5,
    }
    assert accuracy.learned_of(folders) == {"learned": {"window_change": 0.02}}


def test_record_is_complete_and_without_paths(
    programs: tuple[ModuleType, ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, record = programs
    monkeypatch.setattr(record, "ROOT", tmp_path)
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    monkeypatch.setattr(record, "commit", lambda: "0" * 40)
    arguments = ["accuracy.py", "esc10-fast", "--root", "/data/esc10", "--seeds", "1", "2", "--record", "fast"]
    monkeypatch.setattr(sys, "argv", arguments)
    written = read(record.write("fast", {"rows": [{"ms": 1 / 3}]}))
    assert written["command"] == "python benchmarks/accuracy.py esc10-fast --seeds 1 2"
    assert written["rows"] == [{"ms": 0.333333}]
    assert set(written["machine"]) == {"processor", "instructions", "cores", "memory_gib", "gpu"}


def test_comparison_is_read_from_json_and_csv(programs: tuple[ModuleType, ModuleType], tmp_path: Path) -> None:
    _, record = programs
    fixed = {"name": "fixed", "accuracy": 0.9, "std": 0.041, "low": 0.87, "high": 0.93}
    window = {"name": "window", "accuracy": 0.91, "std": None, "low": 0.88, "high": 0.94, "difference": 0.01}
    window |= {
        "difference_low": -0.004,
        "difference_high": 0.027,
        "n_only_baseline": 1,
        "n_only_this": 8,
        "p_value": 0.04,
    }
    told = json.dumps({"score": "accuracy", "rows": [fixed, window]})
    comma = """name,accuracy,std,low,high,difference,difference_low,difference_high,n_only_baseline,n_only_this,p_value
fixed,0.9,0.041,0.87,0.93,,,,,,
window,0.91,,0.88,0.94,0.01,-0.004,0.027,1,8,0.04
"""
    rows = []
    for name, text in (("a.json", told), ("a.csv", comma)):
        (tmp_path / name).write_text(text)
        rows.append(record.read_table(tmp_path / name))
    assert rows[0] == rows[1]
    assert rows[0][1]["n_only_this"] == 8


def test_growth_is_the_slope_of_logarithms(programs: tuple[ModuleType, ModuleType]) -> None:
    rows = [{"stage": "a", "clips": clips, "cpu_s": 2.0 * clips**1.5} for clips in (1000, 10, 100)]
    report = importlib.import_module("report_scale")
    assert report.exponents(rows) == {"a": pytest.approx([1.5, 1.5])}
    late = [{"stage": "a", "clips": clips, "cpu_s": 9.0 + 2.0 * (clips - 10)} for clips in (10, 100, 1000)]
    assert report.beyond_start(late, "a") == pytest.approx(1.0)
    assert report.beyond_start(late[:2], "a") is None


def test_mapped_files_are_counted_apart_from_owned_memory(
    programs: tuple[ModuleType, ModuleType], tmp_path: Path
) -> None:
    memory_of = importlib.import_module("scale").memory_of
    size = 40 * 2**20
    (tmp_path / "file").write_bytes(bytes(size))
    own, mapped = memory_of(psutil.Process())
    with (tmp_path / "file").open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        assert content.find(b"\x01") == -1  # all of it is read
        _, with_file = memory_of(psutil.Process())
    # Not a bytearray, which may find room among what the process has freed.
    with mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as held:
        held.write(b"\x01" * size)
        with_more, _ = memory_of(psutil.Process())
    assert with_file - mapped > 0.9 * size
    assert with_more - own > 0.9 * size
