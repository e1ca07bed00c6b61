"""Folds: who trains, validates and tests; balancing."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from adaspec.config import SplitConfig
from adaspec.errors import InputError
from adaspec.runtime.seeding import generator
from adaspec.tables.balance import balance_role
from adaspec.tables.columns import FOLD_COLUMNS
from adaspec.tables.labels import OFFICIAL_ROLE, ROLES
from adaspec.tables.leakage import check_leakage
from adaspec.tables.stored import labelled_rows, trial_rows
from adaspec.tables.stratified import assign_folds, carve_groups, label_counts

__all__ = ["describe_folds", "make_folds"]

log = logging.getLogger(__name__)


def make_folds(clips: pd.DataFrame, config: SplitConfig, seed: int) -> pd.DataFrame:
    """Assign every clip its role in every fold.

    Parameters
    ----------
    clips : DataFrame
        clips.csv. What enrols speakers, or is in verification trials alone, has no role.
    config : SplitConfig
        Resolved.
    seed : int

    Returns
    -------
    DataFrame
        `fold`, `clip_id`, `role` (train, validation or test), `weight` (how often a training clip is seen per epoch;
        0 leaves it out), sorted by fold and clip_id.

    Raises
    ------
    InputError
        The scheme does not fit the data, a label is too rare, the folds differ in their classes, or a group would
        straddle two roles.
    """
    clips = trial_rows(clips)
    group = _joined_groups(clips)
    if config.scheme == "predefined":
        assignments = _predefined(clips)
    elif config.scheme == "official":
        assignments = _official(clips)
    else:
        part = pd.Series(True, index=clips.index)
        if config.scheme == "group_kfold_train":
            part = _official_part(clips, "train", config.scheme)
        assignments = _group_kfold(clips, group, part, config.n_folds, seed)
    folds = []
    for fold, role in assignments:
        if config.validation_fraction > 0 and not (role == "validation").any():
            rng = generator(seed, fold, "validation")
            role = _carve_validation(clips["label"], group, role, config.validation_fraction, rng)
        _check_classes(clips["label"], role, fold)
        rng = generator(seed, fold, "balance")
        weight = balance_role(clips["label"], role, "train", config.balance, rng)
        for held_out in ("validation", "test") if config.balance_evaluation else ():
            weight *= balance_role(clips["label"], role, held_out, "downsample", rng)
        folds.append(pd.DataFrame({"fold": fold, "clip_id": clips["clip_id"], "role": role, "weight": weight}))
    table = pd.concat(folds, ignore_index=True)[[*FOLD_COLUMNS]]
    table = table[table["role"] != ""].sort_values(["fold", "clip_id"], ignore_index=True)
    check_leakage(table, clips)
    return table


def _joined_groups(clips: pd.DataFrame) -> pd.Series:
    """Groups, joined where they hold byte-identical files: a copy must not land on the other side."""
    group, names = pd.factorize(clips["group"])
    digest, digests = pd.factorize(clips["digest"])
    # A graph of groups and files; what is connected is one group, called after its first clip's.
    n = len(names) + len(digests)
    edges = coo_array((np.ones(len(clips)), (group, len(names) + digest)), (n, n))
    _, component = connected_components(edges, directed=False)
    joined = pd.Series(component[group], index=clips.index)
    return clips["group"].groupby(joined).transform("first")


def _predefined(clips: pd.DataFrame) -> list[tuple[int, pd.Series]]:
    names = sorted(clips["fold"].unique(), key=lambda name: (len(name), name))
    if "" in names:
        raise InputError("params.yaml split.scheme=predefined, but the data set names no folds; set group_kfold")
    if len(names) < 2:
        raise InputError(f"the data set names one fold only ({names[0]}); two are needed, or split.scheme=group_kfold")
    return [(index, _roles(clips["fold"] == name)) for index, name in enumerate(names, start=1)]


def _official(clips: pd.DataFrame) -> list[tuple[int, pd.Series]]:
    for needed in ("train", "eval"):
        _official_part(clips, needed, "official")
    return [(1, clips["subset"].map(OFFICIAL_ROLE).fillna(""))]


def _official_part(clips: pd.DataFrame, subset: str, scheme: str) -> pd.Series:
    part = clips["subset"] == subset
    if not part.any():
        raise InputError(
            f"split.scheme={scheme} needs clips of subset={subset}, and there are none; set split.scheme=group_kfold"
        )
    return part


def _group_kfold(
    clips: pd.DataFrame, group: pd.Series, part: pd.Series, n_folds: int, seed: int
) -> list[tuple[int, pd.Series]]:
    """Folds of the clips of `part`; the others have no role."""
    clips, group = clips[part], group[part]
    counts = clips["label"].value_counts()
    rare = counts[counts < n_folds]
    if len(rare):
        label = rare.index[-1]
        raise InputError(
            f"label {label!r} has {rare[label]} clips, fewer than split.n_folds={n_folds}; add clips, lower n_folds or "
            "leave the label out"
        )
    if group.nunique() < n_folds:
        raise InputError(
            f"{group.nunique()} groups (sets of identical files count as one) are fewer than split.n_folds={n_folds}; "
            "lower n_folds"
        )
    in_groups, names = label_counts(group, clips["label"])
    tested_in = pd.Series(assign_folds(in_groups, n_folds, seed), index=names)
    fold = group.map(tested_in).reindex(part.index)
    return [(index + 1, _roles(fold == index).where(part, "")) for index in range(n_folds)]


def _roles(is_test: pd.Series | np.ndarray) -> pd.Series:
    return pd.Series(np.where(is_test, "test", "train"))


def _carve_validation(
    label: pd.Series, group: pd.Series, role: pd.Series, fraction: float, rng: np.random.Generator
) -> pd.Series:
    """Move whole groups of the training part to validation, about `fraction` of the clips in all and of each label."""
    train = role == "train"
    counts, names = label_counts(group[train], label[train])
    moved = names[carve_groups(counts, fraction, rng)]
    if moved.empty:
        raise InputError(
            f"split.validation_fraction={fraction} cannot be carved: there are {len(names)} groups, and every label "
            "must stay in training; give more groups, another fraction, or set it to 0"
        )
    return role.mask(train & group.isin(moved), "validation")


def _check_classes(label: pd.Series, role: pd.Series, fold: int) -> None:
    """Every fold must train and test on every class, or its scores mean something else than its neighbours'."""
    for needed in ("train", "test"):
        missing = sorted({*label.unique()} - {*label[role == needed].unique()})
        if missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise InputError(
                f"fold {fold}: label {missing[0]!r}{more} has no {needed} clip, so the folds differ in their classes; "
                "give the label more groups, use fewer folds, or leave it out"
            )


def describe_folds(folds: pd.DataFrame, clips: pd.DataFrame) -> None:
    """Tell how many clips each role has, fold by fold; of uneven labels the rarest and the most frequent one."""
    used = labelled_rows(clips, folds)
    for fold, rows in used.groupby("fold"):
        told = []
        for role in ROLES:
            counts = rows.loc[rows["role"] == role, "label"].value_counts().sort_index()
            uneven = len(counts) and counts.max() > 1.2 * counts.min()
            labels = f" ({counts.min()} {counts.idxmin()} to {counts.max()} {counts.idxmax()})" if uneven else ""
            told.append(f"{counts.sum()} {role}{labels}")
        log.info("fold %s: %s", fold, ", ".join(told))
