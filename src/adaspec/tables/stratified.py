"""Whole groups to folds and to validation, so that every label is spread as it is in all clips.

Both are greedy, and read the groups' counts of labels as a sparse matrix: a group has few of many labels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy.sparse import coo_array, csr_array

__all__ = ["assign_folds", "carve_groups", "label_counts"]

BLOCK_ROWS = 4096  # groups whose counts are held in full at a time
RELATIVE, ABSOLUTE = 1e-5, 1e-8  # tolerances of numpy.isclose


def label_counts(group: pd.Series, label: pd.Series) -> tuple[csr_array, pd.Index]:
    """Clips of each label in each group.

    Returns
    -------
    csr_array of shape (n_groups, n_labels), int64
    Index
        Names of the rows; they and the columns are in the order of their names.
    """
    row, groups = pd.factorize(group, sort=True)
    column, labels = pd.factorize(label, sort=True)
    counts = coo_array((np.ones(len(group), np.int64), (row, column)), (len(groups), len(labels))).tocsr()
    counts.sum_duplicates()
    return counts, pd.Index(groups)


def assign_folds(counts: csr_array, n_folds: int, seed: int) -> np.ndarray:
    """Fold in which each group is tested: that of `sklearn.model_selection.StratifiedGroupKFold`, shuffled.

    Groups come in shuffled order, the most uneven ones first. Each goes where the labels' shares of the folds then
    differ least: where the standard deviation over folds, mean over labels, is smallest; of folds that are as good,
    into the one of fewest clips. Here all folds are tried at once, and only the labels that a group has. Each sum has
    the terms, and their order, that it has in scikit-learn 1.9, so that ties fall alike.

    Parameters
    ----------
    counts : csr_array of shape (n_groups, n_labels)
        Clips; at least two labels, each with at least one clip, and at least `n_folds` groups.
    n_folds : int
    seed : int

    Returns
    -------
    ndarray of shape (n_groups,), int
        0 to `n_folds` - 1.
    """
    n_groups, n_labels = counts.shape
    shuffled = np.arange(n_groups)
    np.random.RandomState(seed).shuffle(shuffled)
    unevenness = np.concatenate([np.std(block, axis=1) for block in _blocks(counts)])
    order = shuffled[np.argsort(-unevenness[shuffled], kind="stable")]
    total = counts.sum(axis=0).astype(float)
    own = np.eye(n_folds)[:, :, None]
    in_fold = np.zeros((n_folds, n_labels))
    spread = np.zeros((n_folds, n_labels))  # of each label's shares, should this group go into this fold
    size = [0] * n_folds
    found = np.empty(n_groups, np.intp)
    starts = counts.indptr.tolist()
    for group in order.tolist():
        start, end = starts[group], starts[group + 1]
        labels: np.ndarray | slice = counts.indices[start:end]
        added = counts.data[start:end]
        if end - start == 1:  # most groups; a slice is faster than an index
            label = int(counts.indices[start])
            labels = slice(label, label + 1)
        # (fold, fold that is tried, label); sums over the first axis run fold by fold
        shares = (in_fold[:, None, labels] + own * added) / total[labels]
        shares -= np.add.reduce(shares, axis=0) / n_folds
        shares *= shares
        spread[:, labels] = np.sqrt(np.add.reduce(shares, axis=0) / n_folds)
        best = _least((np.add.reduce(spread, axis=1) / n_labels).tolist(), size)
        spread[:, labels] = spread[best, labels]
        in_fold[best, labels] += added
        size[best] += int(added.sum())
        found[group] = best
    return found


def _least(values: list[float], sizes: list[int]) -> int:
    """Index of the least value, told one by one; of two that are close to each other, that of the smaller size."""
    best, least, smallest = 0, math.inf, math.inf
    for index, (value, size) in enumerate(zip(values, sizes, strict=True)):
        if value < least or (size < smallest and abs(value - least) <= ABSOLUTE + RELATIVE * abs(least)):
            best, least, smallest = index, value, size
    return best


def carve_groups(counts: csr_array, fraction: float, rng: np.random.Generator) -> np.ndarray:
    """Choose groups that hold about `fraction` of the clips in all and of each label.

    Groups come in random order; one is chosen if that brings the counts nearer to their targets and leaves a clip of
    every label. (Scikit-learn's splitters either stratify or take a fraction, not both with groups.)

    Parameters
    ----------
    counts : csr_array of shape (n_groups, n_labels)
        Clips.
    fraction : float
        Above 0, below 1.
    rng : Generator

    Returns
    -------
    ndarray of int
        Rows of `counts`; none where there is no such group.
    """
    total = counts.sum(axis=0)
    target, so_far = fraction * total, np.zeros(counts.shape[1])
    wanted = float(target.sum())

    def distances(moved: np.ndarray) -> np.ndarray:
        # Python's power is the C library's, whose last digit now and then is not that of NumPy's square: ties would
        # fall otherwise than they did in folds of earlier versions.
        in_all = [(n - wanted) ** 2 for n in np.add.reduce(moved, axis=1).tolist()]
        return np.asarray(in_all + np.add.reduce((moved - target) ** 2, axis=1))

    nearest, chosen = float(distances(so_far[None])[0]), []
    order = rng.permutation(counts.shape[0])
    n_tried = 1  # at once: as many as are likely to be passed over
    for start, block in zip(range(0, len(order), BLOCK_ROWS), _blocks(counts[order]), strict=True):
        place = 0
        while place < len(block):
            moved = so_far + block[place : place + n_tried]
            found = distances(moved)
            better = (found < nearest) & (moved < total).all(axis=1)
            if not better.any():
                place, n_tried = place + len(moved), min(2 * n_tried, BLOCK_ROWS)
                continue
            first = int(better.argmax())
            so_far, nearest = moved[first], float(found[first])
            chosen.append(order[start + place + first])
            place, n_tried = place + first + 1, max(1, n_tried // 2)
    return np.asarray(chosen, np.intp)


def _blocks(counts: csr_array) -> Iterator[np.ndarray]:
    """The rows in full, some thousands at a time."""
    for start in range(0, counts.shape[0], BLOCK_ROWS):
        yield counts[start : start + BLOCK_ROWS].toarray().astype(float)
