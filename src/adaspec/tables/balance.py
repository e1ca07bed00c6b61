"""Labels of uneven frequency: clips that are seen less or more often, or that weigh more."""

from __future__ import annotations

import numpy as np
import pandas as pd

__all__ = ["balance_role", "class_weights"]


def balance_role(label: pd.Series, role: pd.Series, part: str, balance: str, rng: np.random.Generator) -> pd.Series:
    """How often each clip is used: 1, but in role `part` under downsample (0 or 1) and upsample (1 or more)."""
    weight = pd.Series(1, index=label.index)
    members_of_part = label[role == part]
    if balance not in ("downsample", "upsample") or members_of_part.empty:
        return weight
    counts = members_of_part.value_counts()
    target = counts.min() if balance == "downsample" else counts.max()
    for members in members_of_part.groupby(members_of_part).groups.values():
        shuffled = rng.permutation(np.asarray(members))
        whole, extra = divmod(int(target), len(shuffled))
        weight[shuffled] = whole
        weight[shuffled[:extra]] += 1
    return weight


def class_weights(counts: pd.Series) -> pd.Series:
    """Loss weight per class, inverse to its number of training clips, mean 1 over clips."""
    return counts.sum() / (len(counts) * counts)
