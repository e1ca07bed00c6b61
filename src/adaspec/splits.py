"""Folds: who trains, validates and tests; balancing; leakage checks."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd

from adaspec.config import SplitConfig
from adaspec.errors import InputError
from adaspec.seeding import generator
from adaspec.tables import ROLES

__all__ = ["check_leakage", "class_weights", "describe_folds", "make_folds"]

OFFICIAL_ROLE = {"train": "train", "dev": "validation", "eval": "test"}


def make_folds(clips: pd.DataFrame, config: SplitConfig, seed: int) -> pd.DataFrame:
    """Assign every clip its role in every fold.

    Parameters
    ----------
    clips : DataFrame
        clips.csv.
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
        weight = _balance(clips["label"], role, "train", config.balance, rng)
        for held_out in ("validation", "test") if config.balance_evaluation else ():
            weight *= _balance(clips["label"], role, held_out, "downsample", rng)
        folds.append(pd.DataFrame({"fold": fold, "clip_id": clips["clip_id"], "role": role, "weight": weight}))
    table = pd.concat(folds, ignore_index=True)
    table = table[table["role"] != ""].sort_values(["fold", "clip_id"], ignore_index=True)
    check_leakage(table, clips)
    return table


def _joined_groups(clips: pd.DataFrame) -> pd.Series:
    """Groups, joined where they hold byte-identical files: a copy must not land on the other side."""
    leader = {group: group for group in clips["group"]}

    def find(group: str) -> str:
        while leader[group] != group:
            leader[group] = leader[leader[group]]
            group = leader[group]
        return group

    first_with: dict[str, str] = {}
    for digest, group in zip(clips["digest"], clips["group"], strict=True):
        leader[find(group)] = find(first_with.setdefault(digest, group))
    return clips["group"].map(find)


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
        raise InputError(f"params.yaml split.scheme={scheme}, but no clip has subset={subset}; use group_kfold or null")
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
    from sklearn.model_selection import StratifiedGroupKFold  # here, as it takes a second to import

    splitter = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed)
    splits = splitter.split(clips, clips["label"], group)
    return [
        (index, _roles(part.index.isin(clips.index[test])).where(part, ""))
        for index, (_, test) in enumerate(splits, start=1)
    ]


def _roles(is_test: pd.Series | np.ndarray) -> pd.Series:
    return pd.Series(np.where(is_test, "test", "train"))


def _carve_validation(
    label: pd.Series, group: pd.Series, role: pd.Series, fraction: float, rng: np.random.Generator
) -> pd.Series:
    """Move whole groups of the training part to validation, about `fraction` of the clips in all and of each label.

    Groups come in random order; one is moved if that brings the counts nearer to their targets and leaves every label
    in training. (Scikit-learn's splitters either stratify or take a fraction, not both with groups.)
    """
    train = role == "train"
    table = pd.crosstab(group[train], label[train])  # groups x labels, clips
    counts = table.to_numpy()
    target, chosen = fraction * counts.sum(axis=0), np.zeros(counts.shape[1])

    def distance(moved: np.ndarray) -> float:
        return float((moved.sum() - target.sum()) ** 2 + ((moved - target) ** 2).sum())

    names = []
    for index in rng.permutation(len(counts)):
        moved = chosen + counts[index]
        if distance(moved) < distance(chosen) and (moved < counts.sum(axis=0)).all():
            chosen = moved
            names.append(table.index[index])
    if not names:
        raise InputError(
            f"split.validation_fraction={fraction} cannot be carved: there are {len(counts)} groups, and every label "
            "must stay in training; give more groups, another fraction, or set it to 0"
        )
    return role.mask(train & group.isin(names), "validation")


def _check_classes(label: pd.Series, role: pd.Series, fold: int) -> None:
    """Every fold must train and test on every class, or its scores mean something else than its neighbours'."""
    for needed in ("train", "test"):
        missing = sorted(set(label) - set(label[role == needed]))
        if missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise InputError(
                f"fold {fold}: label {missing[0]!r}{more} has no {needed} clip, so the folds differ in their classes; "
                "give the label more groups, use fewer folds, or leave it out"
            )


def _balance(label: pd.Series, role: pd.Series, part: str, balance: str, rng: np.random.Generator) -> pd.Series:
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


def check_leakage(folds: pd.DataFrame, clips: pd.DataFrame) -> None:
    """Make sure that no group, and no byte-identical copy of a clip, has two roles in a fold.

    Raises
    ------
    InputError
        Names the fold, the roles, and the group or the copies.
    """
    table = folds[folds["weight"] > 0].merge(clips[["clip_id", "group", "digest"]], on="clip_id")
    for column in ("group", "digest"):
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


def describe_folds(folds: pd.DataFrame, clips: pd.DataFrame) -> None:
    """Print how many clips each role has, fold by fold; of uneven labels the rarest and the most frequent one."""
    used = folds[folds["weight"] > 0].merge(clips[["clip_id", "label"]], on="clip_id")
    for fold, rows in used.groupby("fold"):
        told = []
        for role in ROLES:
            counts = rows.loc[rows["role"] == role, "label"].value_counts().sort_index()
            uneven = len(counts) and counts.max() > 1.2 * counts.min()
            labels = f" ({counts.min()} {counts.idxmin()} to {counts.max()} {counts.idxmax()})" if uneven else ""
            told.append(f"{counts.sum()} {role}{labels}")
        print(f"fold {fold}: {', '.join(told)}", file=sys.stderr)
