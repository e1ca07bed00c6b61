"""Figures of verification under spoofing: errors of each kind, the plane of both scores, scores of each attack."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from adaspec.evaluation.scores.contract import Array
from adaspec.evaluation.scores.error_curve import error_curve
from adaspec.evaluation.scores.speaker_aware import NONTARGET, SPOOF, TARGET
from adaspec.evaluation.trials.figures import BLUE, GREY, RED, det_axes, det_points
from adaspec.evaluation.trials.verification import BLENDED, VerificationScores
from adaspec.runtime.figures import save_figure
from adaspec.tables.verification_files import ASV_SCORE, CM_SCORE

__all__ = ["draw_verification"]

COLOURS = {TARGET: BLUE, NONTARGET: "tab:orange", SPOOF: RED}
GRID = 200  # points of the plane on either axis


def draw_verification(scores: VerificationScores, folder: Path) -> None:
    """Draw verification_det.svg, verification_plane.svg and verification_attacks.svg."""
    _draw_det(scores, folder / "verification_det.svg")
    _draw_plane(scores, folder / "verification_plane.svg")
    _draw_attacks(scores, folder / "verification_attacks.svg")


def _draw_det(scores: VerificationScores, path: Path) -> None:
    """Error trade-off of the chosen blend, of the first fold: targets against each other kind and against both."""
    fold, rows = next(iter(scores.test.items()))
    figure = Figure(figsize=(4.8, 4.6), layout="constrained")
    axes = figure.add_subplot()
    others = {NONTARGET: [NONTARGET], SPOOF: [SPOOF], "both": [NONTARGET, SPOOF]}
    for name, kinds in others.items():
        own = rows[rows["label"].isin([TARGET, *kinds])]
        curve = error_curve(own[BLENDED].to_numpy(), (own["label"] == TARGET).to_numpy())
        eer = float(curve.eer())
        colour = COLOURS.get(name, "black")
        axes.plot(*det_points(curve.p_fa, curve.p_miss), color=colour, label=f"against {name}: EER {100 * eer:.1f} %")
        axes.plot(*det_points(np.array([eer]), np.array([eer])), "o", color=colour)
    det_axes(axes, "others accepted (%)", "targets rejected (%)")
    title = f"blend: {scores.chosen[fold]}"
    axes.set_title(title if len(scores.test) == 1 else f"fold {fold}, {title}", fontsize=10)
    save_figure(figure, path)


def _draw_plane(scores: VerificationScores, path: Path) -> None:
    """Both scores of each test trial of the first fold, and where the chosen blend decides."""
    fold, rows = next(iter(scores.test.items()))
    figure = Figure(figsize=(5.6, 4.6), layout="constrained")
    axes = figure.add_subplot()
    for kind in (NONTARGET, SPOOF, TARGET):
        own = rows[rows["label"] == kind]
        axes.plot(
            own[ASV_SCORE],
            own[CM_SCORE],
            ".",
            rasterized=True,
            color=COLOURS[kind],
            markersize=3.5,
            alpha=0.6,
            label=kind,
        )
    x, y = (np.linspace(*_ends(rows[name].to_numpy()), GRID) for name in (ASV_SCORE, CM_SCORE))
    plane = pd.DataFrame({ASV_SCORE: np.tile(x, GRID), CM_SCORE: np.repeat(y, GRID)})
    blended = scores.blend(fold, plane).reshape(GRID, GRID)
    if blended.min() < scores.thresholds[fold] < blended.max():
        axes.contour(x, y, blended, levels=[scores.thresholds[fold]], colors="black", linewidths=1.2)
        axes.plot([], [], color="black", label=f"accepted beyond ({scores.chosen[fold]})")
    axes.set(xlabel="verification score", ylabel="countermeasure score (log-odds of bona fide)")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, markerscale=3)
    save_figure(figure, path)


def _draw_attacks(scores: VerificationScores, path: Path) -> None:
    """Scores of the chosen blend of targets, of nontargets and of each attack."""
    rows = pd.concat(scores.test.values())
    parts = {kind: rows[rows["label"] == kind] for kind in (TARGET, NONTARGET)}
    parts |= {name: rows[(rows["label"] == SPOOF) & (rows["attack"] == name)] for name in scores.names}
    figure = Figure(figsize=(6.4, max(2.6, 0.32 * len(parts) + 1)), layout="constrained")
    axes = figure.add_subplot()
    names = {name: f"{name}, seen" if name in scores.seen else name for name in parts}
    drawn = axes.boxplot(
        [own[BLENDED] for own in parts.values()],
        orientation="horizontal",
        tick_labels=[names[name] for name in parts],
        flierprops={"markersize": 3},
        patch_artist=True,
        widths=0.6,
    )
    for box, name in zip(drawn["boxes"], parts, strict=True):
        box.set(facecolor=COLOURS.get(name, RED), alpha=0.55)
    for line in drawn["medians"]:
        line.set_color("black")
    _thresholds(axes, scores)
    axes.invert_yaxis()
    axes.set(xlabel="score of the blend")
    save_figure(figure, path)


def _thresholds(axes: Axes, scores: VerificationScores) -> None:
    for index, threshold in enumerate(scores.thresholds.values()):
        told = None if index else "threshold from validation trials"
        axes.axvline(threshold, color=GREY, linestyle="--", label=told)
    axes.legend(fontsize=8)


def _ends(values: Array) -> tuple[float, float]:
    margin = 0.05 * float(np.ptp(values))
    return float(values.min()) - margin, float(values.max()) + margin
