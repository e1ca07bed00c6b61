"""Figures of docs/results.md, drawn from records; the same records give the same bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from report_format import score_title, verdict

__all__ = ["draw_attacks", "draw_budget", "draw_differences", "draw_power", "draw_ratios"]

Record = dict[str, Any]

STYLE: dict[Any, Any] = {
    "svg.hashsalt": "adaspec",
    "svg.fonttype": "path",  # the same letters everywhere
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.titlesize": 10,
}
TEAL, ORANGE, GREY = "#00796b", "#e07b00", "#8a8a8a"


def canvas(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def save(figure: Figure, path: Path) -> None:
    figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def draw_budget(line: dict[str, Record], others: dict[str, Record], path: Path) -> None:
    """Accuracy against wall time: one recipe with more and more epochs as a line, other recipes as points."""
    with matplotlib.rc_context(STYLE):
        figure, axes = canvas(6.4, 3.8)
        minutes = {name: record["cost"]["wall_s"][0] / 60 for name, record in (line | others).items()}
        accuracy = {name: record["scores"]["accuracy"] for name, record in (line | others).items()}
        axes.plot([minutes[name] for name in line], [accuracy[name]["mean"] for name in line], color=TEAL, marker="o")
        for name in line | others:
            axes.plot(
                [minutes[name]] * len(accuracy[name]["per_seed"]), accuracy[name]["per_seed"], ".", color=GREY, ms=4
            )
        for name in others:
            axes.plot(minutes[name], accuracy[name]["mean"], "D", color=ORANGE)
        for name in line:
            axes.annotate(
                name,
                (minutes[name], accuracy[name]["mean"]),
                (4, -13),
                textcoords="offset points",
                color=TEAL,
                fontsize=9,
            )
        for name in others:
            axes.annotate(
                name,
                (minutes[name], accuracy[name]["mean"]),
                (-5, 5),
                textcoords="offset points",
                ha="right",
                fontsize=9,
            )
        ticks = [0.5, 1, 2, 5, 10, 20]
        axes.set_xscale("log")
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
        axes.set_xlim(0.5, 30)
        axes.set_xlabel("wall time of a run on two cores, minutes")
        axes.set_ylabel("accuracy on the test folds")
        figure.suptitle("ESC-10 from scratch; line: windows of 2.5 s, by epochs; grey: single seeds", x=0.01, ha="left")
        axes.grid(alpha=0.3)
        save(figure, path)


def draw_differences(rows: list[Record], title: str, path: Path, score: str = "accuracy") -> None:
    """Difference of each setting to the baseline, with its paired interval."""
    shown = [row for row in rows if "difference" in row]
    with matplotlib.rc_context(STYLE):
        figure, axes = canvas(6.4, 1.3 + 0.32 * len(shown))
        for place, row in enumerate(shown):
            colour = TEAL if verdict(row, score) else GREY
            axes.plot([row["difference_low"], row["difference_high"]], [place, place], color=colour, lw=2.5)
            axes.plot(row["difference"], place, "o", color=colour)
        axes.axvline(0, color="black", lw=0.8)
        axes.set_yticks(range(len(shown)), [row["name"].replace("-", " ") for row in shown])
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.set_xlabel(f"{score_title(score)} less that of the fixed transform, paired 95 % interval")
        figure.suptitle(title, x=0.01, ha="left")
        axes.grid(axis="x", alpha=0.3)
        save(figure, path)


def draw_attacks(attacks: list[Record], made_by: dict[str, str], path: Path) -> None:
    """EER of each attack, those that were trained on in another colour."""
    with matplotlib.rc_context(STYLE):
        figure, axes = canvas(6.4, 1.2 + 0.3 * len(attacks))
        ordered = sorted(attacks, key=lambda attack: attack["eer"])
        for place, attack in enumerate(ordered):
            axes.barh(place, 100 * attack["eer"], color=ORANGE if attack["seen"] == "yes" else TEAL, height=0.65)
            eers = [100 * eer for eer in attack["eer_per_seed"]]
            axes.plot(eers, [place] * len(eers), ".", color="black", ms=4)
        axes.set_yticks(
            range(len(ordered)), [f"{each['attack']} {made_by.get(each['attack'], '')}" for each in ordered]
        )
        axes.set_xlabel("EER in %; dots: seeds")
        figure.suptitle("minila, by attack: orange was trained on, teal is new", x=0.01, ha="left")
        axes.grid(axis="x", alpha=0.3)
        save(figure, path)


def draw_ratios(rows: dict[str, float], title: str, path: Path) -> None:
    """Time relative to a peer's, which is 1."""
    with matplotlib.rc_context(STYLE):
        figure, axes = canvas(6.4, 1.2 + 0.3 * len(rows))
        for place, ratio in enumerate(rows.values()):
            axes.barh(place, ratio, color=TEAL if ratio < 1 else ORANGE, height=0.65)
            axes.text(ratio + 0.01, place, f"{ratio:.2f}", va="center", fontsize=9)
        axes.axvline(1, color="black", lw=0.8)
        axes.set_yticks(range(len(rows)), list(rows))
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlim(0, 1.1 * max(1, *rows.values()))
        axes.set_xlabel("time relative to the peer's (1)")
        figure.suptitle(title, x=0.01, ha="left")
        save(figure, path)


def draw_power(rows: list[Record], path: Path) -> None:
    """Share of studies in which a better setting is called better, by its lead: a panel per number of seeds."""
    rules = {
        "compare": ("adaspec compare", TEAL, "-"),
        "naive": ("paired t-test, folds and seeds", ORANGE, "--"),
        "corrected": ("corrected resampled t-test", GREY, "-"),
        "bayesian": ("Bayesian correlated t-test", "black", ":"),
    }
    seeds = sorted({row["seeds"] for row in rows})
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(3.2 * len(seeds), 3.4), layout="constrained")
        for axes, n_seeds in zip(figure.subplots(1, len(seeds), sharey=True), seeds, strict=True):
            own = [row for row in rows if row["seeds"] == n_seeds]
            for rule, (title, colour, style) in rules.items():
                found = [row["rules"][rule]["better"] for row in own]
                axes.plot([row["difference"] for row in own], found, style, color=colour, label=title)
            axes.set_title(f"{n_seeds} seed{'s' * (n_seeds > 1)}", fontsize=10)
            axes.set_xlabel("true lead in accuracy")
            axes.grid(alpha=0.3)
        figure.axes[0].set_ylabel('share of studies called "better"')
        figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=9)
        save(figure, path)
