import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from adaspec.runtime.seeding import generator
from adaspec.tables.stratified import assign_folds, carve_groups, label_counts

Rows = list[tuple[int, int]]  # group and label of each clip


@st.composite
def grouped_clips(draw: st.DrawFn) -> Rows:
    """Few kinds of groups, so that ties are common: of one clip, of several, of several labels."""
    kinds = draw(st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=6), min_size=1, max_size=4))
    chosen = draw(st.lists(st.integers(0, len(kinds) - 1), min_size=12, max_size=60))
    rows = [(index, label) for index, kind in enumerate(chosen) for label in kinds[kind]]
    # two labels at least, one of them with as many clips as there are folds at most
    return [*rows, *[(len(chosen), 0)] * 11, (len(chosen), 1)]


def counts_of(rows: Rows) -> tuple[pd.Series, pd.Series]:
    group, label = zip(*rows, strict=True)
    return pd.Series([f"g{name}" for name in group]), pd.Series([f"l{name}" for name in label])


MANY = [(index // 3, index * index % 150) for index in range(900)]  # labels, for sums of more than a block of 128


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows=grouped_clips(), n_folds=st.integers(2, 11), seed=st.integers(0, 2**32 - 1))
@example(rows=[(index, index % 2) for index in range(40)], n_folds=5, seed=0)
@example(rows=MANY, n_folds=10, seed=1)
def test_assign_folds_are_those_of_scikit_learn(rows: Rows, n_folds: int, seed: int) -> None:
    from sklearn.model_selection import StratifiedGroupKFold

    group, label = counts_of(rows)
    splitter = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed)
    expected = np.full(len(rows), -1)
    with warnings.catch_warnings(action="ignore"):  # that a label is rare
        for fold, (_, test) in enumerate(splitter.split(rows, label.to_numpy(), group.to_numpy())):
            expected[test] = fold
    counts, names = label_counts(group, label)
    found = pd.Series(assign_folds(counts, n_folds, seed), index=names)
    np.testing.assert_array_equal(group.map(found), expected)


def carved_one_by_one(counts: np.ndarray, fraction: float, rng: np.random.Generator) -> list[int]:
    """The rule of `carve_groups`, a group at a time."""
    total, so_far = counts.sum(axis=0), np.zeros(counts.shape[1])
    target, chosen = fraction * total, []

    def distance(moved: np.ndarray) -> float:
        return float((moved.sum() - target.sum()) ** 2 + ((moved - target) ** 2).sum())

    for index in rng.permutation(len(counts)):
        moved = so_far + counts[index]
        if distance(moved) < distance(so_far) and (moved < total).all():
            so_far = moved
            chosen.append(int(index))
    return chosen


@settings(max_examples=80, deadline=None)
@given(rows=grouped_clips(), fraction=st.sampled_from([0.05, 0.1, 0.25, 1 / 3, 0.5, 0.9]), seed=st.integers(0, 99))
@example(rows=[(index, index % 2) for index in range(600)], fraction=0.1, seed=0)
@example(rows=MANY, fraction=0.34, seed=1)
def test_carve_groups_chooses_as_one_group_after_the_other_would(rows: Rows, fraction: float, seed: int) -> None:
    counts, _ = label_counts(*counts_of(rows))
    found = carve_groups(counts, fraction, generator(seed))
    assert found.tolist() == carved_one_by_one(counts.toarray(), fraction, generator(seed))


@pytest.mark.parametrize("block_rows", [1, 7])
def test_blocks_decide_nothing(block_rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    counts, _ = label_counts(*counts_of(MANY))
    folds, carved = assign_folds(counts, 5, 3), carve_groups(counts, 0.2, generator(3))
    monkeypatch.setattr("adaspec.tables.stratified.BLOCK_ROWS", block_rows)
    np.testing.assert_array_equal(assign_folds(counts, 5, 3), folds)
    np.testing.assert_array_equal(carve_groups(counts, 0.2, generator(3)), carved)


def test_label_counts_are_those_of_a_cross_table() -> None:
    group, label = counts_of([(10, 1), (9, 0), (10, 1), (9, 2), (2, 0)])
    counts, names = label_counts(group, label)
    expected = pd.crosstab(group, label)
    assert names.tolist() == expected.index.tolist() == ["g10", "g2", "g9"]
    np.testing.assert_array_equal(counts.toarray(), expected.to_numpy())
