"""Keep a measurement as benchmarks/results/NAME.json, from which `report.py` writes docs/results.md.

    python benchmarks/record.py NAME --table FILE --command "make ablation"

The other programs record by their option --record NAME. This one takes over a comparison that `adaspec` made: FILE is
the table.csv of `adaspec ablation`, or what `adaspec compare --form json` printed.

A record holds the command, the commit, machine and versions, and what was measured; no date and no path, so that the
same measurement gives the same file.
"""

from __future__ import annotations

import argparse
import csv
import importlib.metadata
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adaspec.runtime.files import complete_file

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks/results"
NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
VERSIONED = ("torch", "numpy", "lightning", "timm")
TEXTS = {"name", "experiment", "verdict", "window_changed", "kernels_changed"}  # columns of a table that hold no number
FLAGS = {"avx512_bf16": "AVX512-BF16", "amx_bf16": "AMX", "avx512f": "AVX512", "avx2": "AVX2"}


def machine() -> dict[str, Any]:
    """Processor, cores that this process may use, memory, GPU."""
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    model = re.search(r"^model name\s*:\s*(.*)$", text, re.MULTILINE)
    flags = set(" ".join(re.findall(r"^flags\s*:\s*(.*)$", text, re.MULTILINE)).split())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": model[1] if model else platform.processor(),
        "instructions": [name for flag, name in FLAGS.items() if flag in flags],
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory / 2**30),
        "gpu": gpu(),
    }


def gpu() -> str | None:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def environment() -> dict[str, Any]:
    """Machine and versions of what decides figures and times."""
    versions = {package: importlib.metadata.version(package) for package in VERSIONED}
    return {"machine": machine(), "versions": {"python": platform.python_version()} | versions}


def git(*arguments: str, repository: Path = ROOT) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=repository, check=True, capture_output=True, text=True
    ).stdout.strip()


def head(repository: Path = ROOT) -> str:
    """Hash of the last commit."""
    return git("rev-parse", "HEAD", repository=repository)


def commit() -> str:
    """Hash of the last commit; a plus sign tells of changes since."""
    return head() + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")


def command_line() -> str:
    """The command that was given, without the folder of the interpreter and without where data and output lie."""
    words, skip = [f"python benchmarks/{Path(sys.argv[0]).name}"], False
    for word in sys.argv[1:]:
        if skip or word in ("--record", "--out", "--root", "--parts", "--plot"):
            skip = not skip
        elif not Path(word).is_absolute():
            words.append(word)
    return " ".join(words)


def check_name(name: str) -> str:
    """For argparse: a name of a record."""
    if not NAME.fullmatch(name):
        raise argparse.ArgumentTypeError(f"{name!r} is no name; small letters, digits and hyphens, such as esc10-fast")
    return name


def write(name: str, measured: dict[str, Any], command: str | None = None) -> Path:
    """Write a record.

    Parameters
    ----------
    name : str
    measured : dict
        What was measured: numbers, texts, lists and dicts of them. Its `machine` and `versions`, if it has them, take
        the place of this process's: of what ran elsewhere.
    command : str, optional
        By default the one that runs this process.
    """
    content = {
        "command": command or command_line(),
        "commit": commit(),
        **environment(),
        **measured,
    }
    path = RESULTS / f"{name}.json"
    text = json.dumps(rounded(content), indent=1, ensure_ascii=False, allow_nan=False)
    with complete_file(path) as partial:
        partial.write_text(f"{compact(text)}\n", encoding="utf-8")
    print(f"wrote {path.relative_to(ROOT)}; 'python benchmarks/report.py' brings docs/results.md up to date")
    return path


def compact(text: str) -> str:
    """JSON with each list or object of plain values on a line of its own."""
    for innermost in (r"(\[)\s+([^][{}]*?)\s+(\])", r"(\{)\s+([^{}]*?)\s+(\})"):
        text = re.sub(innermost, lambda match: match[1] + " ".join(match[2].split()) + match[3], text)
    return text


def rounded(value: Any) -> Any:
    """Floats to six significant digits: beyond is noise, and nothing is printed with more."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(each) for each in value]
    return value


def read_table(path: Path) -> list[dict[str, Any]]:
    """Rows of a comparison, with the column names of `adaspec ablation`'s table.csv."""
    text = path.read_text(encoding="utf-8")
    if text.startswith("{"):
        return [{key: value for key, value in row.items() if value is not None} for row in json.loads(text)["rows"]]
    rows = []
    for row in csv.DictReader(text.splitlines()):
        rows.append({key: value if key in TEXTS else number(value) for key, value in row.items() if value})
    return rows


def number(text: str) -> float | int:
    return int(text) if re.fullmatch(r"-?\d+", text) else float(text)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", type=check_name)
    parser.add_argument("--table", type=Path, required=True, metavar="FILE")
    parser.add_argument("--command", required=True, help="what made the table, as a reader would type it")
    options = parser.parse_args(arguments)
    write(options.name, {"rows": read_table(options.table)}, options.command)


if __name__ == "__main__":
    main()
