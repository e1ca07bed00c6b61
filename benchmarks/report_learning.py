"""What learned front ends add, in docs/results.md: on real recordings, and on the embedded set."""
# ruff: noqa: E501 (lines of the page)

from __future__ import annotations

from pathlib import Path
from typing import Any

import report_figures as figures
from report_format import code, command, figure, interval, load, made, options, score_title, table, verdict

__all__ = ["embedded", "real_recordings"]

Record = dict[str, Any]


def ends_of(row: Record) -> str:
    return interval([row["difference_low"], row["difference_high"]], "+z.3f")


def variant_rows(record: Record) -> str:
    """Each variant of the front end: score, seed by seed, and the difference to the fixed one."""
    score, rows = record["score"], []
    for row in record["rows"]:
        knobs = options(row["settings"])
        cells = [row["name"].replace("-", " "), f"`{knobs}`" if knobs else "", f"{row[score]:.3f}"]
        cells.append(", ".join(f"{each:.3f}" for each in row["per_seed"]))
        if "difference" in row:
            cells += [f"{row['difference']:+z.3f}", ends_of(row), f"{row['p_holm']:.4f}"]
        rows.append([*cells, *[""] * (7 - len(cells))])
    return table(["", "options", score_title(score), "of each seed", "difference", "95 % interval", "p"], rows)


def noise_rows(record: Record) -> str:
    """Each variant with noise in test clips alone: score, and the difference to the fixed one with its interval."""
    score = record["score"]
    conditions = sorted(record["in_noise"].items(), key=lambda each: -ratio(each[0]))
    rows = []
    for place, first in enumerate(record["rows"]):
        cells = [first["name"].replace("-", " ")]
        for _, heard in conditions:
            row = heard[place]
            cells += [f"{row[score]:.3f}", ""]
            if "difference" in row:
                mark = "**" if verdict(row, score) else ""
                cells[-1] = f"{mark}{row['difference']:+z.3f}{mark} ({ends_of(row)})"
        rows.append(cells)
    head = [part for name, _ in conditions for part in (f"{ratio(name):g} dB", "difference")]
    return table(["", *head], rows)


def ratio(condition: str) -> float:
    """Signal-to-noise ratio in dB of "noise-10-db"."""
    return float(condition.removeprefix("noise-").removesuffix("-db"))


def found(rows: list[Record], score: str) -> str:
    """Which variants are shown to be better than the first, and which worse; empty where none is."""
    told = []
    for title in ("better", "worse"):
        names = [row["name"].replace("-", " ") for row in rows if "difference" in row and verdict(row, score) == title]
        told += [f"{title}: {', '.join(names)}"] if names else []
    return "; ".join(told)


def verdict_of(record: Record) -> str:
    """What is shown, without noise and in it."""
    score = record["score"]
    clean = found(record["rows"], score)
    told = f"Shown to be {clean}." if clean else "Nothing is shown to be better than the fixed transform, or worse."
    noisy = {ratio(name): found(rows, score) for name, rows in record["in_noise"].items()}
    shown = [f"at {snr_db:g} dB {noisy[snr_db]}" for snr_db in sorted(noisy, reverse=True) if noisy[snr_db]]
    return f"{told} In noise, {'; '.join(shown)}." if shown else told


MINILA = "`asv-mini` with one transform, without group delay, a hop of 8 ms and 20 epochs. EER: less is better"
ESC10 = "`esc10-waveform` (22.05 kHz, n_fft 1024, 64 bands, 40 epochs), the official five folds"
SETS = {  # record -> title, and what was run
    "learning-esc10": (
        "Environmental sound: ESC-10, also in noise",
        f"{ESC10}; the fixed transform has levels in dB",
    ),
    "learning-esc10-pcen": (
        "Environmental sound: ESC-10, is it PCEN or its learning?",
        f"{ESC10}, all with PCEN: beside settings that stay at their start those that are learned",
    ),
    "learning-minila": ("Anti-spoofing: minila", MINILA),
    "learning-minila-window": (
        "Anti-spoofing: minila, the window again",
        "The same for the one form whose interval leaves out 0 above, with other seeds and nothing else to correct for. The seeds are new, the clips are those on which it was picked, which flatters it",
    ),
    "learning-librila": (
        "Anti-spoofing: librila",
        "`asv-libri` with one transform, without group delay, a hop of 8 ms and 15 epochs; the window, picked on minila, was not picked on these clips. Dense kernels were left out for time",
    ),
    "learning-minila-mel": (
        "Anti-spoofing: minila, bands",
        "As the first table, measured later, since bands may come no nearer to each other than bins: a limit that was "
        "found by looking at this set ([what they did before](lab/placement.md))",
    ),
}
HOW = """Differences are means over seeds; their intervals cover which groups of clips were tested and the seeds ([how](compare.md)), the p-values are corrected by Holm
for all comparisons of a table. Every form has its defaults, parametric kernels `frontend.kernels.smooth=16` besides; none was tuned on these clips, but for what stands above a table."""


def part(record: Record, name: str, told: str, commands: str, folder: Path, figure_title: str) -> str:
    """Table, command, verdict and figure of a record of benchmarks/learning.py; the figure bears its name."""
    figures.draw_differences(record["rows"], figure_title, folder / f"{name}.svg", record["score"])
    noisy = ""
    if record["in_noise"]:
        noisy = f"With white noise in test clips alone, at these signal-to-noise ratios; bold is what is shown:\n\n{noise_rows(record)}\n"
    return f"""{told}

{variant_rows(record)}
{noisy}{commands}

**Verdict.** {verdict_of(record)}

{figure(name, "Difference to the fixed transform, with paired intervals")}

{made(record)}
"""


def real_recordings(folder: Path) -> str:
    """What each form adds where nobody knows what there is to find; figures are drawn into `folder`."""
    parts = [f"## Learned front ends on real recordings\n\n{HOW}\n"]
    for name, (title, told) in SETS.items():
        record = load(name)
        seeds = ", ".join(map(str, record["seeds"]))
        parts.append(
            f"### {title}\n\n{part(record, name, f'{told}. Seeds {seeds}.', code(command(record)), folder, title)}"
        )
    return "\n".join(parts)


def embedded(folder: Path) -> str:
    """The same on the embedded set, which is made for one of them."""
    record, again = load("learning-embedded"), load("learning-embedded-mel")
    fixed, bands = again["rows"]
    told = f"""200 generated clips, 10 classes, five folds; made for bands that learn where they lie ([what is in it](synthetic.md)). Seeds
{", ".join(map(str, record["seeds"]))}, all else as in params.yaml (64 bands, n_fft 1024). Measured before bands were kept from crowding within
a bin. The first line again since then, on another machine: {fixed["accuracy"]:.3f} to {bands["accuracy"]:.3f}, {bands["difference"]:+.3f} ({ends_of(bands)}). Differences, intervals and p-values as above."""
    commands = code(f"dvc exp run {options(record['rows'][1]['settings'])}", command(record))
    return f"""## The embedded data set

{part(record, "learning-embedded", told, commands, folder, "The embedded data set")}
Lab notes: [bands that move](lab/placement.md); [windows and kernels](lab/embedded.md), on an earlier design of the set.
"""
