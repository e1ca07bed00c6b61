"""Clips of one source must not lie on two sides of a fold."""

from __future__ import annotations

import pandas as pd

from adaspec.errors import InputError
from adaspec.tables.stored import labelled_rows

__all__ = ["check_leakage"]


def check_leakage(folds: pd.DataFrame, clips: pd.DataFrame) -> None:
    """Make sure that no group, and no byte-identical copy of a clip, has two roles in a fold.

    Raises
    ------
    InputError
        Names the fold, the roles, and the group or the copies.
    """
    columns = ("group", "digest")
    table = labelled_rows(clips, folds, columns)
    for column in columns:
        n_roles = table.groupby(["fold", column])["role"].transform("nunique")
        leaking = table[n_roles > 1]
        if leaking.empty:
            continue
        fold, value = leaking.iloc[0][["fold", column]]
        pair = leaking[(leaking["fold"] == fold) & (leaking[column] == value)].drop_duplicates("role")
        told = ", ".join(f"{clip_id} ({role})" for clip_id, role in zip(pair["clip_id"], pair["role"], strict=True))
        n_leaking = leaking[column].nunique()
        what = f"group {value!r} has" if column == "group" else "identical copies of a clip have"
        raise InputError(
            f"leakage in fold {fold}: {what} two roles: {told}; {n_leaking} such {column}s in all; correct the data "
            "set's folds or groups, or set split.scheme=group_kfold"
        )
