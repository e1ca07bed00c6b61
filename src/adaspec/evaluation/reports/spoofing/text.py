"""A detector's scores as text: of a run, and of score files alone."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from adaspec.evaluation.reports.spoofing.attacks import per_attack
from adaspec.evaluation.reports.spoofing.trials import TrialScores
from adaspec.evaluation.scores.tandem import AsvErrors, asv_errors
from adaspec.tables.score_files import ASV_KEYS, read_asv_scores, read_scores

__all__ = ["asv_errors_of", "describe", "report"]

TITLES = {
    "eer": "EER",
    "eer_in_steps": "EER, in steps",
    "min_tdcf_2019": "min t-DCF, 2019",
    "min_tdcf_2021": "min t-DCF, 2021",
    "auc": "AUC",
    "balanced_accuracy_at_threshold": "balanced accuracy *",
}


def asv_errors_of(asv_scores: pd.DataFrame) -> AsvErrors:
    """Error rates of speaker verification, from its scores: `key`, `score`."""
    return asv_errors(*(asv_scores.loc[asv_scores["key"] == key, "score"].to_numpy() for key in ASV_KEYS))


def report(scores: Path, asv_scores: Path | None, threshold_from: Path | None, n_bootstrap: int) -> str:
    """What a detector's score file says.

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
    return "\n".join(describe(trials, per_attack(trials, None)))


def describe(trials: TrialScores, attacks: pd.DataFrame) -> list[str]:
    """Scores over all attacks, and of each of them; a line each.

    Parameters
    ----------
    trials : TrialScores
    attacks : DataFrame
        Of `per_attack`.
    """
    lines = [f"{'':20}{'mean':>8}   95 % ({'speakers' if trials.by_speaker else 'trials'} resampled)"]
    for name, title in TITLES.items():
        if name not in trials.summary:
            continue
        values = trials.summary[name]
        interval = f"{values['ci_low']:.3f} to {values['ci_high']:.3f}" if "ci_low" in values else ""
        lines.append(f"{title:20}{values['mean']:>8.3f}   {interval}".rstrip())
    thresholds = ", ".join(f"{threshold:.3g}" for threshold in trials.thresholds.values())
    source = "that of the EER on validation clips" if len(trials.validation) else "without validation clips"
    lines.append(f"* at the threshold {thresholds}, {source}")
    if trials.summary["eer"]["mean"] > 0.5:
        lines.append("warning: an EER above 50 %: bona fide trials score lower than spoofed ones")
    lines += ["", f"{'attack':8}{'seen':>6}{'trials':>8}{'EER':>8}   95 %"]
    for row in attacks.to_dict("records"):
        told = f"{row['attack']:8}{row['seen']:>6}{row['n_trials']:>8}{row['eer']:>8.3f}"
        lines.append(f"{told}   {row['eer_ci_low']:.3f} to {row['eer_ci_high']:.3f}")
    return lines
