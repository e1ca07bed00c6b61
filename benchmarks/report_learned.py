"""The parts of docs/results.md on learned forms of the front end, from the records of benchmarks/learning.py."""
# ruff: noqa: E501 (lines of the page)

from __future__ import annotations

from pathlib import Path
from typing import Any

import report_figures as figures
from report_format import RESULTS, code, figure, load, made, table

__all__ = ["embedded", "recordings"]

Record = dict[str, Any]

REAL_SETS = {  # record -> title
    "learning-esc10": "ESC-10, waveforms",
    "learning-minila": "minila, anti-spoofing in the telephone band",
    "learning-librila": "librila, anti-spoofing of read speech",
}


def embedded(folder: Path) -> str:
    record = load("learning-embedded")
    figures.draw_differences(record["rows"], "The embedded data set", folder / "embedded.svg")
    first = record["rows"][1]
    return f"""## The embedded data set

200 generated clips, 10 classes, five folds; made for bands that learn where they lie ([what is in it](synthetic.md)). Seeds
{", ".join(map(str, record["seeds"]))}, all else as in params.yaml (64 bands, n_fft 1024). Differences are means over seeds; their intervals resample
groups of clips that share a source, the p-values are corrected by Holm for all forms.

{forms(record["rows"], record["score"])}
{code("dvc exp run " + " ".join(f"-S {setting}" for setting in first["settings"]), record["command"])}

**Verdict.** {told_apart(record["rows"], record["score"])}

{figure("embedded", "Difference in accuracy to the fixed transform, with paired intervals")}

{made(record)}

Lab notes: [bands that move](lab/placement.md); [windows and kernels](lab/embedded.md), on an earlier design of the set.
"""


def recordings(folder: Path) -> str:
    """Learned forms on sets of real recordings, as far as they were measured."""
    parts = []
    for name, title in REAL_SETS.items():
        if not (RESULTS / f"{name}.json").exists():
            continue
        record = load(name)
        settings = " ".join(f"-S {setting}" for setting in record["settings"])
        part = [f"### {title}\n", f"Recipe `{record['recipe']}`{f' with `{settings}`' if settings else ''}, seeds "]
        part[-1] += f"{', '.join(map(str, record['seeds']))}.\n"
        part += [
            forms(record["rows"], record["score"]),
            f"**Verdict.** {told_apart(record['rows'], record['score'])}\n",
        ]
        for condition, rows in record["in_noise"].items():
            snr_db = condition.removeprefix("noise-").removesuffix("-db")
            part += [f"Test clips alone with white noise, {snr_db} dB:\n", forms(rows, record["score"])]
            part += [f"**Verdict.** {told_apart(rows, record['score'])}\n"]
        parts += [*part, code(record["command"]), "", made(record), ""]
    if not parts:
        return ""
    figures_text = "\n".join(parts)
    return f"""## Learned forms on real recordings

Each form beside the fixed transform, on the same clips and seeds. Differences are means over seeds, with 95 % intervals that resample clips of one source together
(speakers where there are ten or more); p is corrected by Holm for the forms of a table.

{figures_text}"""


def forms(rows: list[Record], score: str) -> str:
    """A table of the forms of a front end beside the fixed one."""
    cells = []
    for row in rows:
        options = " ".join(f"-S {setting}" for setting in row["settings"])
        cells.append([row["name"].replace("-", " "), f"`{options}`" if options else "", f"{row[score]:.3f}"])
        cells[-1].append(", ".join(f"{each:.3f}" for each in row["per_seed"]))
        if "difference" in row:
            cells[-1] += [f"{row['difference']:+.3f}", f"{row['difference_low']:+.3f} to {row['difference_high']:+.3f}"]
            cells[-1].append(f"{row['p_holm']:.4f}")
        cells[-1] += [""] * (7 - len(cells[-1]))
    title = "EER" if score == "eer" else score
    return table(["", "options", title, "of each seed", "difference", "95 % interval", "p"], cells)


def told_apart(rows: list[Record], score: str) -> str:
    """Which forms are shown to be better or worse than the fixed one."""
    sign = -1 if score == "eer" else 1
    shown = [row for row in rows[1:] if row["p_holm"] < 0.05]
    better = [row["name"].replace("-", " ") for row in shown if sign * row["difference"] > 0]
    worse = [row["name"].replace("-", " ") for row in shown if sign * row["difference"] < 0]
    sentences = [f"Better than the fixed transform: {', '.join(better)}."] if better else []
    sentences += [f"Worse: {', '.join(worse)}."] if worse else []
    return " ".join(sentences) or "Nothing is shown to be better or worse than the fixed transform."
