"""How well each attack is told from bona fide speech."""

from __future__ import annotations

import numpy as np
import pandas as pd

from adaspec.evaluation.summary import DECIMALS, interval
from adaspec.evaluation.trials.detector import TrialScores, curve_of, group_key
from adaspec.tables import BONAFIDE, SPOOF

__all__ = ["per_attack"]

COLUMNS = ["attack", "seen", "n_trials", "eer", "eer_ci_low", "eer_ci_high", "p_fa_at_threshold"]


def per_attack(trials: TrialScores) -> pd.DataFrame:
    """Scores of each group of attacks, its test trials against all bona fide ones.

    Returns
    -------
    DataFrame
        `COLUMNS`: means over the folds that have such trials. The last rows are seen and unseen attacks together, and
        all.
    """
    table = []
    for title, members in trials.groups.items():
        spoofed, eers = {}, []
        for fold, rows in trials.test.items():
            is_member = (rows["label"] == SPOOF) & rows["attack"].isin(members)
            if is_member.any():
                spoofed[fold] = rows.loc[is_member, "score"]
                eers.append(float(curve_of(rows[is_member | (rows["label"] == BONAFIDE)]).eer()))
        if not spoofed:
            continue
        told = "-" if trials.seen is None or members != [title] else "yes" if title in trials.seen else "no"
        table.append(
            (
                title,
                told,
                sum(map(len, spoofed.values())),
                np.mean(eers),
                *interval(np.mean([trials.resampled[fold][group_key(title)] for fold in spoofed], axis=0)),
                np.mean([(scores >= trials.thresholds[fold]).mean() for fold, scores in spoofed.items()]),
            )
        )
    return pd.DataFrame(table, columns=COLUMNS).round(DECIMALS)
