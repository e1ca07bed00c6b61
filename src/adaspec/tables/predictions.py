"""Tables of predictions: the score of the clips' own labels, and the errors by it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from adaspec.tables.columns import labels_of, score_column

__all__ = ["own_scores", "worst_errors"]


def own_scores(rows: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Score of each clip's own label: (n_rows,).

    Parameters
    ----------
    rows : DataFrame
        `label`, and `score_LABEL` of every label.
    """
    labels = labels_of(rows)
    scores = rows[[score_column(label) for label in labels]].to_numpy(np.float64)
    found: npt.NDArray[np.float64] = scores[np.arange(len(rows)), pd.Index(labels).get_indexer(pd.Index(rows["label"]))]
    return found


def worst_errors(rows: pd.DataFrame, number: int) -> pd.DataFrame:
    """Rows that were taken for something else, with `own_score`; those first whose own label has the lowest score."""
    wrong = rows[rows["label"] != rows["predicted"]]
    ranked = wrong.assign(own_score=own_scores(wrong)).sort_values(["own_score", "clip_id"], kind="stable")
    return ranked.head(number)
