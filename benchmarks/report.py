"""Write docs/results.md with its figures, docs/reliability.md and tables of other pages from benchmarks/results/*.json.

    python benchmarks/report.py [--check]

--check writes nothing and fails where a file is not what the records say.
"""
# ruff: noqa: E501 (lines of the page)

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from report_cluster import cluster
from report_compare import compare_power
from report_figures import draw_power
from report_format import load, made, table
from report_reliability import PAGE as RELIABILITY
from report_reliability import reliability
from report_robustness import robustness
from report_scale import scale
from report_sections import LAYERS, sections
from report_speaker_aware import speaker_aware

ROOT = Path(__file__).parents[1]
PAGE = Path("docs/results.md")
FIGURES = Path("docs/figures")
ROUTES = {"closed_form": "closed form", "closed_form, second pass": "closed form, second pass"}

Record = dict[str, Any]


def results(folder: Path) -> str:
    """The page; its figures are drawn into `folder`."""
    intro = """<!-- Written by benchmarks/report.py from benchmarks/results/*.json; change those, not this page. -->

# Results

What the recipes reach, task by task: the table, the command that measures it, the verdict and a figure. Scores are means over folds
and seeds; std is over folds and seeds together; the interval is a 95 % bootstrap interval ([how](reproducibility.md)). Where the line below
a table names a commit, the interval draws test clips, or whole groups where these share a source; all others were measured before that, and draw clips one by one.
The test fold decides nothing: knobs were chosen on validation parts, as the [lab notes](lab/index.md) tell, which also say where test clips had been looked at before. Times are those of one
`dvc exp run`, from the recordings to the scores. Another processor rounds differently, and so moves single clips.

The commands look for data sets in `/data`; put your own folder there. `python benchmarks/accuracy.py RECIPE --root DIR --record NAME` measures anew and keeps the figures; `python benchmarks/report.py` writes this page from them.
"""
    return f"{intro}\n{sections(folder)}"


def layer_rows(record: Record) -> str:
    rows = []
    for row in record["rows"]:
        cells = [LAYERS[row["name"]], f"{row['ms']:#.3g}".rstrip(".") if row["ms"] < 1000 else f"{row['ms']:.0f}"]
        cells.append(f"{row['ms_to_peer']:.2f} of {LAYERS[row['peer']].split(',')[0]}" if "peer" in row else "")
        cells += [f"{row['peak_mib']:.0f}" if "peak_mib" in row else ""]
        rows.append(cells)
    held = []
    for target in record["targets"]:
        verdict = "met" if target["ratio"] <= target["at_most"] else "**missed**"
        names = (LAYERS[target[key]].removeprefix("training step on ") for key in ("name", "beside"))
        held.append([*names, f"{target['ratio']:.2f}", f"{target['at_most']:g}", verdict])
    versions = ", ".join(f"{name} {version}" for name, version in record["peers"].items())
    told = f"Peers: {versions}. {made(record)}"
    targets = table(["time of", "over that of", "ratio", "at most", ""], held)
    return f"{table(['', 'ms', 'time, beside', 'peak MiB'], rows)}\n{targets}\n{told}\n"


def qr_rows(record: Record) -> str:
    rows = []
    for row in record["rows"]:
        cells = [f"{row['m']} x {row['n']}", ROUTES.get(row["route"], row["route"])]
        cells.append(f"{row['ms']:.1f}" if row["ms"] < 99.95 else f"{row['ms']:.0f}")
        rows.append([*cells, f"{row['of_lapack']:.2f}", f"{row['kept_mib']:.2f}", f"{row['peak_mib']:.2f}"])
    return table(["m x n", "route", "time in ms", "of torch.linalg.qr's", "kept in MiB", "peak in MiB"], rows)


TABLES: dict[str, tuple[str, Callable[[Record], str]]] = {  # record -> page with its marked table, and the table
    "cluster": ("scale.md", cluster),
    "compare-power": ("compare.md", compare_power),
    "frontends": ("adaptive-stft.md", layer_rows),
    "qr": ("qr.md", qr_rows),
    "robustness-asv-mini": ("robustness.md", robustness),
    "robustness-embedded": ("robustness.md", robustness),
    "robustness-esc10": ("robustness.md", robustness),
    "scale": ("scale.md", scale),
    "sasv-libri": ("speaker-aware.md", lambda record: speaker_aware(record, load("sasv-minila"))),
}


def tables() -> dict[Path, str]:
    """Pages with their marked tables brought up to date."""
    pages: dict[Path, str] = {}
    for name, (file, told) in TABLES.items():
        page = Path("docs") / file
        marked = re.compile(
            rf"(<!-- table: benchmarks/results/{name}\.json -->\n\n).*?(\n<!-- end of table -->)", re.DOTALL
        )
        text = pages.get(page) or (ROOT / page).read_text(encoding="utf-8")
        before, begin, end, after = marked.split(text)
        pages[page] = f"{before}{begin}{told(load(name))}{end}{after}"
    return pages


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        written = {PAGE: results(folder).encode()}
        written[RELIABILITY] = reliability().encode()
        draw_power(load("compare-power")["power"], folder / "compare-power.svg")
        written |= {page: text.encode() for page, text in tables().items()}
        written |= {FIGURES / path.name: path.read_bytes() for path in sorted(folder.iterdir())}
    stale = [path for path, content in written.items() if not _holds(ROOT / path, content)]
    if arguments.check and stale:
        sys.exit(f"not what the records say: {', '.join(map(str, stale))}; run 'python benchmarks/report.py'")
    for path in stale:
        (ROOT / path).parent.mkdir(exist_ok=True)
        (ROOT / path).write_bytes(written[path])
        print(f"wrote {path}")


def _holds(path: Path, content: bytes) -> bool:
    return path.is_file() and path.read_bytes() == content


if __name__ == "__main__":
    main()
