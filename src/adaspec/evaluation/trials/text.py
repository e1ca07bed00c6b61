"""A detector's scores as text and as JSON: of a run, and of score files alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from adaspec.evaluation.scores.tandem import AsvErrors, asv_errors
from adaspec.evaluation.trials.attacks import per_attack
from adaspec.evaluation.trials.detector import TrialScores
from adaspec.runtime.table import TableForm, format_rows
from adaspec.tables.score_files import ASV_KEYS, read_asv_scores, read_scores

__all__ = ["TITLES", "DetectorReport", "asv_errors_of", "describe", "report", "shown", "told"]

TITLES = {
    "eer": "EER, %",
    "eer_in_steps": "EER in steps, %",
    "min_tdcf_2019": "min t-DCF, 2019",
    "min_tdcf_2021": "min t-DCF, 2021",
    "min_dcf": "min DCF",
    "act_dcf": "actual DCF",
    "cllr": "Cllr, bits",
    "auc": "AUC",
    "balanced_accuracy_at_threshold": "balanced accuracy *, %",
}


def asv_errors_of(asv_scores: pd.DataFrame) -> AsvErrors:
    """Error rates of speaker verification, from its scores: `key`, `score`."""
    return asv_errors(*(asv_scores.loc[asv_scores["key"] == key, "score"].to_numpy() for key in ASV_KEYS))


def shown(title: str, value: float) -> str:
    """A figure as papers print it: percent with two decimals, costs with four."""
    return f"{100 * value:.2f}" if "%" in title else f"{value:.4f}"


def told(title: str, values: Mapping[str, float]) -> str:
    """The 95 % interval of a figure; empty where it has none."""
    return " to ".join(shown(title, values[end]) for end in ("ci_low", "ci_high")) if "ci_low" in values else ""


@dataclass(frozen=True)
class DetectorReport:
    """What a detector's score file says.

    Attributes
    ----------
    trials : TrialScores
    attacks : DataFrame
        Of `per_attack`.
    """

    trials: TrialScores
    attacks: pd.DataFrame

    def text(self, form: TableForm) -> str:
        """For reading."""
        return "\n".join(describe(self.trials, self.attacks, form))

    def json(self) -> dict[str, Any]:
        """Score -> value, ci_low and ci_high, as fractions; attacks -> the EER of each."""
        found: dict[str, Any] = {}
        for name, values in self.trials.summary.items():
            found[name] = {
                "value": values["mean"],
                **{key: values[key] for key in ("ci_low", "ci_high") if key in values},
            }
        rows = self.attacks.rename(columns={"eer": "value", "eer_ci_low": "ci_low", "eer_ci_high": "ci_high"})
        columns = ["n_trials", "value", "ci_low", "ci_high"]
        return found | {"attacks": rows.set_index("attack")[columns].to_dict("index")}


def report(scores: Path, asv_scores: Path | None, threshold_from: Path | None, n_bootstrap: int) -> DetectorReport:
    """Read and score a detector's score file.

    Parameters
    ----------
    scores : Path
        Read by `read_scores`.
    asv_scores : Path or None
        Read by `read_asv_scores`; without it there is no t-DCF.
    threshold_from : Path or None
        Score file whose EER sets the threshold; without it the threshold is 0.
    n_bootstrap : int
        Resamples.
    """
    parts = [read_scores(scores).assign(role="test")]
    if threshold_from is not None:
        parts.append(read_scores(threshold_from).assign(role="validation"))
    table = pd.concat(parts, ignore_index=True).assign(fold=1, speaker="").rename(columns={"file": "path"})
    asv = None if asv_scores is None else asv_errors_of(read_asv_scores(asv_scores))
    trials = TrialScores(table, asv, n_bootstrap=n_bootstrap, seed=0)
    return DetectorReport(trials, per_attack(trials))


def describe(trials: TrialScores, attacks: pd.DataFrame, form: TableForm = TableForm.TEXT) -> list[str]:
    """Scores over all attacks, and of each of them; a line each.

    Parameters
    ----------
    trials : TrialScores
    attacks : DataFrame
        Of `per_attack`.
    form : TableForm
    """
    rows = [["", "mean", f"95 % ({'speakers' if trials.by_speaker else 'trials'} resampled)"]]
    for name, title in TITLES.items():
        if name in trials.summary:
            values = trials.summary[name]
            rows.append([title, shown(title, values["mean"]), told(title, values)])
    lines = [*format_rows(rows, form), ""]
    thresholds = ", ".join(f"{threshold:.3g}" for threshold in trials.thresholds.values())
    source = "that of the EER on validation clips" if len(trials.validation) else "without validation clips"
    lines.append(f"* at the threshold {thresholds}, {source}")
    if trials.summary["eer"]["mean"] > 0.5:
        lines.append("warning: an EER above 50 %: bona fide trials score lower than spoofed ones")
    rows = [["attack", "seen", "trials", title := "EER, %", "95 %"]]
    for row in attacks.to_dict("records"):
        ends = {"ci_low": row["eer_ci_low"], "ci_high": row["eer_ci_high"]}
        cells = [row["attack"], row["seen"], str(row["n_trials"]), shown(title, row["eer"]), told(title, ends)]
        rows.append(list(map(str, cells)))
    return [*lines, "", *format_rows(rows, form)]
