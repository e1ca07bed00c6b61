"""Figures of a spoofing detector."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import ndtri

from adaspec.evaluation.scores.calibration import calibrated, probability
from adaspec.evaluation.scores.contract import Array
from adaspec.evaluation.scores.tandem import AsvErrors, tandem_cost
from adaspec.evaluation.trials.detector import curve_of
from adaspec.runtime.figures import save_figure
from adaspec.tables import BONAFIDE, SPOOF

__all__ = [
    "BLUE",
    "GREY",
    "RED",
    "det_axes",
    "det_points",
    "draw_attacks",
    "draw_calibration",
    "draw_costs",
    "draw_det",
    "draw_scores",
]

BLUE, RED, GREY = "tab:blue", "tab:red", "0.4"
DET_ENDS = (5e-4, 1 - 5e-4)
DET_TICKS = (0.001, 0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.95)


def draw_scores(test: pd.DataFrame, thresholds: dict[int, float], path: Path) -> None:
    """Draw the distribution of scores per class, and of each attack beside bona fide speech."""
    attacks = sorted(set(test["attack"]), key=lambda name: (name != "-", name))
    figure = Figure(figsize=(11, max(3.4, 0.32 * len(attacks) + 1)), layout="constrained")
    left, right = figure.subplots(1, 2)
    edges = np.linspace(test["score"].min(), test["score"].max() + 1e-6, 41)
    for label, colour in ((BONAFIDE, BLUE), (SPOOF, RED)):
        scores = test.loc[test["label"] == label, "score"]
        left.hist(scores, edges, weights=np.full(len(scores), 1 / len(scores)), color=colour, alpha=0.55, label=label)
    for index, threshold in enumerate(thresholds.values()):
        left.axvline(threshold, color="black", linestyle="--", label=None if index else "threshold")
    left.set(xlabel="score (log-odds of bona fide)", ylabel="share of the class's trials")
    left.legend(fontsize=8)
    parts = right.boxplot(
        [test.loc[test["attack"] == attack, "score"] for attack in attacks],
        orientation="horizontal",
        tick_labels=["bona fide" if attack == "-" else attack for attack in attacks],
        flierprops={"markersize": 3},
        patch_artist=True,
        widths=0.6,
    )
    for box, attack in zip(parts["boxes"], attacks, strict=True):
        box.set(facecolor=BLUE if attack == "-" else RED, alpha=0.55)
    for line in parts["medians"]:
        line.set_color("black")
    for threshold in thresholds.values():
        right.axvline(threshold, color="black", linestyle="--")
    right.invert_yaxis()
    right.set(xlabel="score (log-odds of bona fide)")
    save_figure(figure, path)


def draw_det(folds: list[pd.DataFrame], path: Path) -> None:
    """Draw the detection error trade-off on normal deviates, a line per fold; the circle is the EER.

    References
    ----------
    A. Martin et al., "The DET curve in assessment of detection task performance", Eurospeech 1997
    """
    figure = Figure(figsize=(4.8, 4.6), layout="constrained")
    axes = figure.add_subplot()
    for rows in folds:
        curve = curve_of(rows)
        eer = float(curve.eer())
        told = f"fold {rows['fold'].iloc[0]}: EER {100 * eer:.1f} %"
        (line,) = axes.plot(*det_points(curve.p_fa, curve.p_miss), label=told)
        axes.plot(*det_points(np.array([eer]), np.array([eer])), "o", color=line.get_color())
    det_axes(axes, "spoofed trials accepted (%)", "bona fide trials rejected (%)")
    save_figure(figure, path)


def det_points(p_fa: Array, p_miss: Array) -> tuple[Array, Array]:
    """Error rates as normal deviates, within what `det_axes` shows."""
    p_fa, p_miss = (np.asarray(ndtri(np.clip(rate, *DET_ENDS))) for rate in (p_fa, p_miss))
    return p_fa, p_miss


def det_axes(axes: Axes, xlabel: str, ylabel: str) -> None:
    """Finish a panel of `det_points`: scales in percent, the line of equal errors, the legend."""
    limits = ndtri([DET_ENDS[0], 0.97])
    axes.plot(limits, limits, color=GREY, linewidth=0.7, linestyle=":")
    ticks = ndtri(DET_TICKS)
    names = [f"{100 * tick:g}" for tick in DET_TICKS]
    axes.set_xticks(ticks, names)
    axes.set_yticks(ticks, names)
    axes.set(xlim=limits, ylim=limits, xlabel=xlabel, ylabel=ylabel)
    axes.set_aspect("equal")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)


def draw_costs(folds: list[pd.DataFrame], thresholds: dict[int, float], asv: AsvErrors | None, path: Path) -> None:
    """Draw both error rates and, where ASV errors are known, the t-DCF against the threshold."""
    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axes = figure.add_subplot()
    for index, rows in enumerate(folds):
        curve = curve_of(rows)
        lines = [(curve.p_fa, RED, "spoofed trials accepted"), (curve.p_miss, BLUE, "bona fide trials rejected")]
        if asv is not None:
            lines.append((np.minimum(tandem_cost(curve, asv, "2019"), 2), "black", "t-DCF, 2019 (1: no detector)"))
        for rates, colour, label in lines:
            axes.step(curve.thresholds, rates, where="pre", color=colour, label=None if index else label)
    for index, threshold in enumerate(thresholds.values()):
        told = None if index else "threshold from validation clips"
        axes.axvline(threshold, color=GREY, linestyle="--", label=told)
    axes.set(xlabel="threshold (log-odds of bona fide)", ylabel="rate or cost", ylim=(0, 1.6 if asv else 1))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    save_figure(figure, path)


def draw_calibration(test: pd.DataFrame, path: Path) -> None:
    """Draw the share of bona fide trials against the probability they were given, and how many trials lie there."""
    trials = calibrated(probability(test["score"].to_numpy()), (test["label"] == BONAFIDE).to_numpy())
    bins = trials.prepare(trials.summed())
    n_trials, (mean, share) = bins.n_trials, bins.per_bin()
    figure = Figure(figsize=(4.6, 5.2), layout="constrained")
    upper, lower = figure.subplots(2, 1, height_ratios=[3, 1], sharex=True)
    upper.plot([0, 1], [0, 1], color=GREY, linestyle=":", label="calibrated")
    filled = n_trials > 0
    upper.plot(mean[filled], share[filled], "o-", color=BLUE, label="test trials")
    upper.set(ylabel="share that is bona fide", ylim=(-0.02, 1.02))
    upper.legend(fontsize=8)
    upper.grid(alpha=0.3)
    lower.bar((np.arange(len(n_trials)) + 0.5) / len(n_trials), n_trials, width=0.9 / len(n_trials), color=GREY)
    lower.set(xlabel="probability of bona fide", ylabel="trials")
    save_figure(figure, path)


def draw_attacks(attacks: pd.DataFrame, path: Path) -> None:
    """Draw the EER of each attack with its 95 % interval."""
    figure = Figure(figsize=(6.4, max(2.6, 0.3 * len(attacks) + 1)), layout="constrained")
    axes = figure.add_subplot()
    colours = {"yes": BLUE, "no": RED, "-": GREY}
    rows = np.arange(len(attacks))
    axes.barh(rows, 100 * attacks["eer"], color=[colours[seen] for seen in attacks["seen"]], alpha=0.7)
    low = (attacks["eer"] - attacks["eer_ci_low"]).clip(lower=0)
    high = (attacks["eer_ci_high"] - attacks["eer"]).clip(lower=0)
    axes.errorbar(100 * attacks["eer"], rows, xerr=100 * np.stack([low, high]), fmt="none", color="black", capsize=2)
    axes.set_yticks(rows, attacks["attack"])
    axes.invert_yaxis()
    axes.set(xlabel="EER against all bona fide trials (%); blue: seen in training, red: not")
    axes.grid(axis="x", alpha=0.3)
    save_figure(figure, path)
