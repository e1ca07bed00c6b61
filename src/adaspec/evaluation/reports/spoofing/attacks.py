"""How well each attack is told from bona fide speech."""

from __future__ import annotations

import numpy as np
import pandas as pd

from adaspec.evaluation.reports.spoofing.trials import TrialScores, curve_of
from adaspec.evaluation.summary import DECIMALS, interval
from adaspec.tables import SPOOF

__all__ = ["per_attack"]

COLUMNS = ["attack", "seen", "n_trials", "eer", "eer_ci_low", "eer_ci_high", "p_fa_at_threshold"]
SAME_SYSTEM = {"A16": "A04", "A19": "A06"}  # in ASVspoof 2019 LA: X. Wang et al., 2020, table 1


def per_attack(trials: TrialScores, seen: set[str] | None) -> pd.DataFrame:
    """Scores of each attack's test trials against all bona fide ones.

    Parameters
    ----------
    trials : TrialScores
    seen : set of str or None
        Attacks that were trained on; None where that is not known. `SAME_SYSTEM` counts as seen with its namesake.

    Returns
    -------
    DataFrame
        `COLUMNS`: means over folds. The last rows are seen and unseen attacks together, and all.
    """
    names = sorted(set().union(*(set(rows["attack"]) for rows in trials.test.values())) - {"-"})
    groups = {name: [name] for name in names}
    if seen is not None:
        seen = seen | {name for name, same in SAME_SYSTEM.items() if same in seen}
        groups["seen"] = [name for name in names if name in seen]
        groups["unseen"] = [name for name in names if name not in seen]
    groups["all"] = names
    table = []
    for title, members in groups.items():
        folds = {
            fold: rows[rows["attack"].isin(["-", *members])]
            for fold, rows in trials.test.items()
            if rows["attack"].isin(members).any()
        }
        if not folds:
            continue
        spoofed = {fold: rows.loc[rows["label"] == SPOOF, "score"] for fold, rows in folds.items()}
        told = "-" if seen is None or title not in names else "yes" if title in seen else "no"
        table.append(
            (
                title,
                told,
                sum(len(scores) for scores in spoofed.values()),
                np.mean([float(curve_of(rows).eer()) for rows in folds.values()]),
                *interval(trials.resampled(list(folds.values()), "eer")["eer"]),
                np.mean([(scores >= trials.thresholds[fold]).mean() for fold, scores in spoofed.items()]),
            )
        )
    return pd.DataFrame(table, columns=COLUMNS).round(DECIMALS)
