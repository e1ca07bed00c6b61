import hashlib
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adaspec.config import SplitConfig
from adaspec.errors import InputError
from adaspec.runtime.files import write_csv
from adaspec.tables import read_folds
from adaspec.tables.balance import class_weights
from adaspec.tables.leakage import check_leakage
from adaspec.tables.splits import _joined_groups, describe_folds, make_folds
from adaspec.tables.stored import data_digest


def config(**changes: Any) -> SplitConfig:
    base = {
        "scheme": "group_kfold",
        "n_folds": 3,
        "validation_fraction": 0.0,
        "balance": "none",
        "balance_evaluation": False,
    }
    return SplitConfig.model_validate(base | changes)


def clips(labels: list[str], **columns: Any) -> pd.DataFrame:
    n = len(labels)
    table = pd.DataFrame(
        {
            "clip_id": [f"c{index:04d}" for index in range(n)],
            "path": [f"c{index:04d}.wav" for index in range(n)],
            "digest": [f"d{index}" for index in range(n)],
            "label": labels,
            "group": [f"g{index}" for index in range(n)],
            "fold": "",
            "subset": "",
            "n_samples": 100,
            "sample_rate": 8000,
        }
    )
    return table.assign(**columns)


def joined(folds: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    return folds.merge(table[["clip_id", "label", "group", "digest"]], on="clip_id")


def sizes(folds: pd.DataFrame, fold: int = 1) -> dict[str, int]:
    return folds.loc[folds["fold"] == fold, "role"].value_counts().to_dict()


@st.composite
def clip_tables(draw: st.DrawFn) -> pd.DataFrame:
    """Groups of one to four clips of one label, most labels common enough; some clips are copies of others."""
    rows: list[tuple[str, str]] = []
    n_group = 0
    for label in ["dog", "NA", "007"][: draw(st.integers(2, 3))]:
        for size in draw(st.lists(st.integers(1, 4), min_size=3, max_size=10)):
            rows += [(label, f"g{n_group}")] * size
            n_group += 1
    digests = [f"d{index}" for index in range(len(rows))]
    for copy, original in draw(
        st.lists(st.tuples(st.integers(0, len(rows) - 1), st.integers(0, len(rows) - 1)), max_size=4)
    ):
        digests[copy] = digests[original]
    order = draw(st.permutations(range(len(rows))))
    table = clips([rows[index][0] for index in order], group=[rows[index][1] for index in order])
    return table.assign(digest=[digests[index] for index in order])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    table=clip_tables(),
    n_folds=st.integers(2, 4),
    fraction=st.sampled_from([0.0, 0.1, 0.25, 0.5]),
    balance=st.sampled_from(["none", "downsample", "upsample", "class_weights"]),
    seed=st.integers(0, 5),
)
def test_group_kfold_never_leaks(table: pd.DataFrame, n_folds: int, fraction: float, balance: str, seed: int) -> None:
    wanted = config(n_folds=n_folds, validation_fraction=fraction, balance=balance)
    try:
        folds = make_folds(table, wanted, seed)
    except InputError as error:  # too few clips or groups of a label is told, never a traceback
        assert re.match(r"label |fold \d+: label |split\.validation_fraction=|.*group", str(error))  # noqa: PT017
        assert "leakage" not in str(error)  # noqa: PT017
        return
    told = joined(folds, table)
    assert (told.groupby(["fold", "group"])["role"].nunique() == 1).all()
    assert (told.groupby(["fold", "digest"])["role"].nunique() == 1).all()
    # every clip has one role in each fold, and is tested once
    assert not folds.duplicated(["clip_id", "fold"]).any()
    assert len(folds) == n_folds * len(table)
    assert set(folds["clip_id"]) == set(table["clip_id"])
    assert (folds[folds["role"] == "test"].groupby("clip_id").size() == 1).all()
    assert (folds["role"] == "test").sum() == len(table)
    # every fold trains and tests on every class
    for role in ("train", "test"):
        assert (told[told["role"] == role].groupby("fold")["label"].nunique() == table["label"].nunique()).all()
    assert (folds["role"] == "validation").any() == (fraction > 0)
    # only training clips are weighted, and only as far as asked
    assert (folds.loc[folds["role"] != "train", "weight"] == 1).all()
    train = told[told["role"] == "train"]
    used = train.groupby(["fold", "label"])["weight"].sum().unstack()
    if balance == "downsample":
        assert set(train["weight"]) <= {0, 1}
        assert (used.nunique(axis=1) == 1).all()
    elif balance == "upsample":
        assert (train["weight"] >= 1).all()
        assert (used.nunique(axis=1) == 1).all()
    else:
        assert (train["weight"] == 1).all()
    pd.testing.assert_frame_equal(folds, make_folds(table, wanted, seed))


def united(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """The first name that each name is connected with: a union-find without any refinement."""
    parent: dict[str, str] = {}

    def find(name: str) -> str:
        while parent.setdefault(name, name) != name:
            name = parent[name]
        return name

    for one, other in pairs:
        parent[find(other)] = find(one)
    return {name: find(name) for name in parent}


@settings(max_examples=200, deadline=None)
@given(
    pairs=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=1, max_size=40),
    index=st.integers(0, 5),
)
def test_joined_groups_are_those_of_a_union_find(pairs: list[tuple[int, int]], index: int) -> None:
    group, digest = [f"g{one}" for one, _ in pairs], [f"d{other}" for _, other in pairs]
    table = clips(["dog"] * len(pairs), group=group, digest=digest)
    table.index += index  # as of some rows of a table
    found = _joined_groups(table)
    root = united(list(zip(group, digest, strict=True)))
    assert found.index.equals(table.index)
    # The same partition, each part called after the group of its first clip.
    first: dict[str, str] = {}
    for name in group:
        first.setdefault(root[name], name)
    assert found.tolist() == [first[root[name]] for name in group]


def test_make_folds_differ_by_seed_and_come_sorted() -> None:
    table = clips(["dog", "cat"] * 30).sample(frac=1, random_state=0, ignore_index=True)
    first, again, other = (make_folds(table, config(validation_fraction=0.2), seed) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(first, again)
    assert not first["role"].equals(other["role"])
    assert list(first.columns) == ["fold", "clip_id", "role", "weight"]
    pd.testing.assert_frame_equal(first, first.sort_values(["fold", "clip_id"], ignore_index=True))


def test_make_folds_leave_the_clips_alone() -> None:
    table = clips(["dog", "cat"] * 30)
    before = table.copy(deep=True)
    make_folds(table, config(validation_fraction=0.2, balance="upsample"), 1)
    pd.testing.assert_frame_equal(table, before)


@pytest.mark.parametrize("fraction", [0.05, 0.1, 0.2, 0.25, 0.3, 0.4, 0.5])
def test_validation_is_about_the_fraction_of_the_training_part(fraction: float) -> None:
    folds = make_folds(clips(["dog", "cat"] * 150), config(validation_fraction=fraction), 3)
    for fold in (1, 2, 3):
        count = sizes(folds, fold)
        assert count["validation"] / (count["train"] + count["validation"]) == pytest.approx(fraction, abs=0.04)


def test_validation_is_stratified_by_label() -> None:
    table = clips(["dog"] * 240 + ["cat"] * 60)
    folds = make_folds(table, config(validation_fraction=0.2), 3)
    told = joined(folds, table)
    share = told[told["role"] == "validation"].groupby("fold")["label"].agg(lambda label: (label == "cat").mean())
    np.testing.assert_allclose(share, 0.2, atol=0.05)


def test_validation_stays_near_the_fraction_beside_one_large_group() -> None:
    table = clips(["dog", "cat"] * 50, group=["big"] * 60 + [f"g{index}" for index in range(40)])
    for seed in range(5):
        folds = make_folds(table, config(n_folds=2, validation_fraction=0.1), seed)
        for fold in (1, 2):
            count = sizes(folds, fold)
            assert count["validation"] < count["train"], (seed, fold)


@pytest.mark.parametrize("labels", [["dog", "cat"] * 8, ["dog"] * 20 + ["cat"] * 6, ["dog"] * 30 + ["cat"] * 12])
def test_validation_is_carved_from_few_clips_without_warning(labels: list[str]) -> None:
    folds = make_folds(clips(labels), config(n_folds=2, validation_fraction=0.1), 1)
    for fold in (1, 2):
        count = sizes(folds, fold)
        assert 1 <= count["validation"] <= 0.3 * (count["train"] + count["validation"])


def test_validation_cannot_be_carved_from_one_group() -> None:
    table = clips(["dog", "cat"] * 20, group=["a"] * 20 + ["b"] * 20)
    with pytest.raises(InputError, match=r"split\.validation_fraction=0\.1 cannot be carved: there are 1 groups"):
        make_folds(table, config(n_folds=2, validation_fraction=0.1), 1)


@pytest.mark.parametrize(("balance", "expected"), [("downsample", 20), ("upsample", 60)])
def test_balance_equalises_the_training_counts(balance: str, expected: int) -> None:
    table = clips(["dog"] * 90 + ["cat"] * 30 + ["hen"] * 45)
    folds = make_folds(table, config(balance=balance), 1)
    told = joined(folds, table)
    train = told[told["role"] == "train"]
    assert (train.groupby(["fold", "label"])["weight"].sum() == expected).all()
    least, most = (0, 1) if balance == "downsample" else (1, 3)
    assert (train["weight"].min(), train["weight"].max()) == (least, most)
    # as evenly as whole numbers allow
    assert (train.groupby(["fold", "label"])["weight"].agg(lambda weight: weight.max() - weight.min()) <= 1).all()


@pytest.mark.parametrize("balance", ["downsample", "upsample"])
def test_balance_is_drawn_anew_per_seed_and_leaves_the_roles(balance: str) -> None:
    table = clips(["dog"] * 90 + ["cat"] * 40, fold=["1", "2"] * 65)
    plain, one, other = (
        make_folds(table, config(scheme="predefined", balance=kind), seed)
        for kind, seed in (("none", 1), (balance, 1), (balance, 2))
    )
    assert one["role"].equals(plain["role"])
    assert not one["weight"].equals(other["weight"])


def test_class_weights_are_inverse_to_counts_with_mean_one_over_clips() -> None:
    counts = pd.Series({"dog": 90, "cat": 10})
    weights = class_weights(counts)
    assert weights["cat"] / weights["dog"] == pytest.approx(9)
    assert (weights * counts).sum() / counts.sum() == pytest.approx(1)
    assert weights.to_dict() == pytest.approx({"dog": 100 / 180, "cat": 5.0})


def test_predefined_folds_are_tested_in_turn_in_natural_order() -> None:
    table = clips(["dog", "cat"] * 6, fold=["10", "10", "2", "2", "1", "1"] * 2)
    folds = make_folds(table, config(scheme="predefined"), 1)
    for index, name in enumerate(["1", "2", "10"], start=1):
        tested = set(folds.loc[(folds["fold"] == index) & (folds["role"] == "test"), "clip_id"])
        assert tested == set(table.loc[table["fold"] == name, "clip_id"])
        assert sizes(folds, index) == {"train": 8, "test": 4}


def test_predefined_folds_do_not_depend_on_row_order_or_seed() -> None:
    table = clips(["dog", "cat"] * 20, fold=[f"{1 + index % 5}" for index in range(20) for _ in "ab"])
    shuffled = table.sample(frac=1, random_state=5, ignore_index=True)
    wanted = config(scheme="predefined")
    pd.testing.assert_frame_equal(make_folds(table, wanted, 1), make_folds(shuffled, wanted, 2))


def test_official_subsets_become_roles() -> None:
    subset = ["train"] * 4 + ["dev"] * 4 + ["eval"] * 4
    folds = make_folds(clips(["dog", "cat"] * 6, subset=subset), config(scheme="official"), 1)
    assert set(folds["fold"]) == {1}
    assert folds["role"].tolist() == ["train"] * 4 + ["validation"] * 4 + ["test"] * 4


def test_official_dev_clips_are_the_validation_clips() -> None:
    subset = ["train"] * 20 + ["dev"] * 2 + ["eval"] * 4
    folds = make_folds(clips(["dog", "cat"] * 13, subset=subset), config(scheme="official", validation_fraction=0.5), 1)
    assert sizes(folds) == {"train": 20, "validation": 2, "test": 4}


def test_official_validation_is_carved_where_no_dev_is_given() -> None:
    subset = ["train"] * 40 + ["eval"] * 10
    folds = make_folds(clips(["dog", "cat"] * 25, subset=subset), config(scheme="official", validation_fraction=0.1), 1)
    assert sizes(folds) == {"train": 36, "validation": 4, "test": 10}


@pytest.mark.parametrize(
    ("present", "absent"), [(["train", "dev"], "eval"), (["dev", "eval"], "train"), (["", ""], "train")]
)
def test_official_names_a_missing_subset(present: list[str], absent: str) -> None:
    table = clips(["dog", "cat"] * 8, subset=[present[0]] * 8 + [present[1]] * 8)
    with pytest.raises(InputError, match=rf"^split.scheme=official needs clips of subset={absent}, and there are none"):
        make_folds(table, config(scheme="official"), 1)


def test_make_folds_names_a_rare_label() -> None:
    table = clips(["dog"] * 30 + ["hen"] * 2)
    with pytest.raises(InputError, match=r"label 'hen' has 2 clips, fewer than split\.n_folds=3"):
        make_folds(table, config(), 1)


def test_make_folds_names_a_label_with_too_few_groups() -> None:
    table = clips(["dog"] * 30 + ["hen"] * 12, group=[f"g{index}" for index in range(30)] + ["coop"] * 12)
    with pytest.raises(InputError, match=r"fold \d: label 'hen' has no (train|test) clip"):
        make_folds(table, config(), 1)


@pytest.mark.parametrize("n_groups", [1, 2])
def test_make_folds_refuses_fewer_groups_than_folds(n_groups: int) -> None:
    table = clips(["dog", "cat"] * 20, group=[f"g{index // 2 % n_groups}" for index in range(40)])
    with pytest.raises(InputError, match="group"):
        make_folds(table, config(n_folds=3), 1)


def test_predefined_refuses_a_single_fold() -> None:
    with pytest.raises(InputError, match=r"names one fold only \(a\); two are needed, or split\.scheme=group_kfold"):
        make_folds(clips(["dog", "cat"] * 8, fold="a"), config(scheme="predefined"), 1)


def test_predefined_refuses_clips_without_folds() -> None:
    with pytest.raises(InputError, match=r"scheme=predefined, but the data set names no folds; set group_kfold"):
        make_folds(clips(["dog", "cat"] * 8), config(scheme="predefined"), 1)


def test_predefined_names_a_class_missing_from_a_fold() -> None:
    table = clips(["dog", "cat", "dog", "dog"] * 4, fold=["1", "1", "2", "2"] * 4)
    with pytest.raises(InputError, match=r"fold 1: label 'cat' has no train clip, so the folds differ"):
        make_folds(table, config(scheme="predefined"), 1)


def test_missing_classes_are_counted() -> None:
    table = clips(["ant", "bee", "cat", "cat"], fold=["1", "1", "1", "2"])
    with pytest.raises(InputError, match=r"fold 1: label 'ant' and 1 more has no train clip"):
        make_folds(table, config(scheme="predefined"), 1)


def test_official_names_a_class_that_training_lacks() -> None:
    table = clips(["dog", "dog", "cat", "dog"], subset=["train", "train", "eval", "eval"])
    with pytest.raises(InputError, match=r"fold 1: label 'cat' has no train clip"):
        make_folds(table, config(scheme="official"), 1)


def test_predefined_names_a_group_that_straddles_folds() -> None:
    group = [f"g{index}" for index in range(12)]
    group[0] = group[11] = "speaker 7"
    table = clips(["dog", "cat"] * 6, fold=["1"] * 6 + ["2"] * 6, group=group)
    with pytest.raises(InputError) as caught:
        make_folds(table, config(scheme="predefined"), 1)
    message = str(caught.value)
    assert message.startswith("leakage in fold 1: group 'speaker 7' has two roles: ")
    assert "c0000 (test)" in message
    assert "c0011 (train)" in message
    assert "1 such groups in all" in message


def test_predefined_names_byte_identical_copies_across_folds() -> None:
    digest = [f"d{index}" for index in range(12)]
    digest[0] = digest[11]
    digest[2] = digest[9]
    table = clips(["dog", "cat"] * 6, fold=["1"] * 6 + ["2"] * 6, digest=digest)
    with pytest.raises(InputError) as caught:
        make_folds(table, config(scheme="predefined"), 1)
    message = str(caught.value)
    assert message.startswith("leakage in fold 1: identical copies of a clip have two roles: ")
    assert "(test)" in message
    assert "(train)" in message
    assert "2 such digests in all" in message


def test_group_kfold_keeps_chains_of_copies_together() -> None:
    # a's copy is in b, b's other clip has a copy in c: all three groups are one
    table = clips(["dog", "cat"] * 30, group=[f"g{index // 2}" for index in range(60)])
    digest = table["digest"].tolist()
    digest[2], digest[4] = digest[0], digest[3]
    table = table.assign(digest=digest)
    for seed in range(5):
        told = joined(make_folds(table, config(validation_fraction=0.2), seed), table)
        chained = told[told["group"].isin(["g0", "g1", "g2"])]
        assert (chained.groupby("fold")["role"].nunique() == 1).all()


def test_validation_is_carved_with_copies_kept_together() -> None:
    table = clips(["dog", "cat"] * 40, fold=[f"{1 + index // 40}" for index in range(80)])
    digest = [f"d{index // 4}" for index in range(80)]  # four copies of each
    for seed in range(5):
        make_folds(table.assign(digest=digest), config(scheme="predefined", validation_fraction=0.2), seed)


def test_check_leakage_overlooks_clips_that_are_left_out() -> None:
    table = clips(["dog", "dog"], group="g")
    folds = pd.DataFrame({"fold": 1, "clip_id": table["clip_id"], "role": ["train", "test"], "weight": [0, 1]})
    check_leakage(folds, table)
    with pytest.raises(InputError, match="leakage in fold 1: group 'g' has two roles"):
        check_leakage(folds.assign(weight=1), table)


def test_check_leakage_allows_a_group_to_change_roles_between_folds() -> None:
    table = clips(["dog", "cat"], group=["a", "b"])
    roles = pd.DataFrame(
        {
            "fold": [1, 1, 2, 2],
            "clip_id": [*table["clip_id"], *table["clip_id"]],
            "role": ["train", "test", "test", "train"],
            "weight": 1,
        }
    )
    check_leakage(roles, table)


def test_describe_folds_counts_roles_and_what_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    folds = pd.DataFrame(
        {
            "fold": [1] * 5 + [2] * 2,
            "clip_id": [f"c{index}" for index in range(7)],
            "role": ["train", "train", "train", "validation", "test", "train", "test"],
            "weight": [0, 1, 2, 1, 1, 1, 1],
        }
    )
    labels = ["dog", "dog", "dog", "dog", "cat", "cat", "dog"]
    describe_folds(folds, pd.DataFrame({"clip_id": folds["clip_id"], "label": labels}))
    printed = capsys.readouterr()
    assert printed.err == "fold 1: 2 train, 1 validation, 1 test\nfold 2: 1 train, 0 validation, 1 test\n"
    assert printed.out == ""


def test_read_folds_gives_back_what_was_written(tmp_path: Any) -> None:
    folds = make_folds(clips(["dog", "cat"] * 30), config(balance="upsample", validation_fraction=0.2), 1)
    write_csv(tmp_path / "folds.csv", folds)
    again = read_folds(tmp_path / "folds.csv")
    assert again.to_dict("list") == folds.to_dict("list")
    assert (again["fold"].dtype, again["weight"].dtype) == (np.dtype("int64"), np.dtype("int64"))


def test_data_digest_is_that_of_the_tables_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    table = clips(["dog", "cat"] * 5)
    folds = make_folds(table, config(n_folds=2), 1)
    whole = table[["clip_id", "digest", "label"]].to_csv(index=False) + folds.to_csv(index=False)
    monkeypatch.setattr("adaspec.tables.stored.DIGESTED_ROWS", 3)
    assert data_digest(table, folds) == hashlib.sha256(whole.encode()).digest()
    assert data_digest(table, folds[:0]) != data_digest(table, folds)


def test_describe_folds_tells_how_uneven_the_labels_are(capsys: pytest.CaptureFixture[str]) -> None:
    ids = [f"c{index}" for index in range(6)]
    folds = pd.DataFrame({"fold": 1, "clip_id": ids, "role": ["train"] * 4 + ["test"] * 2, "weight": 1})
    describe_folds(folds, pd.DataFrame({"clip_id": ids, "label": ["a", "b", "b", "b", "a", "b"]}))
    assert capsys.readouterr().err == "fold 1: 4 train (1 a to 3 b), 0 validation, 2 test\n"


def official(n: int = 12) -> pd.DataFrame:
    """As many clips in train, dev and eval, each third of them rare; a group for two."""
    labels = ["rare", "often", "often"] * n
    table = clips(labels, group=[f"g{index // 2}" for index in range(3 * n)])
    return table.assign(subset=["train"] * n + ["dev"] * n + ["eval"] * n)


def test_make_folds_balances_validation_and_test_where_asked() -> None:
    table = official()
    even = make_folds(table, config(scheme="official", balance_evaluation=True), 1)
    uneven = make_folds(table, config(scheme="official"), 1)
    assert (uneven["weight"] == 1).all()
    used = even[even["weight"] > 0].merge(table[["clip_id", "label"]], on="clip_id")
    counts = used.groupby(["role", "label"]).size().to_dict()
    assert counts == {
        ("train", "rare"): 4,
        ("train", "often"): 8,
        ("validation", "rare"): 4,
        ("validation", "often"): 4,
        ("test", "rare"): 4,
        ("test", "often"): 4,
    }


def test_make_folds_splits_the_official_training_part_alone() -> None:
    table = official(24)
    folds = make_folds(table, config(scheme="group_kfold_train", n_folds=3, validation_fraction=0.0), 1)
    train = set(table.loc[table["subset"] == "train", "clip_id"])
    assert folds.groupby("fold")["clip_id"].agg(set).tolist() == [train] * 3
    tests = folds[folds["role"] == "test"]
    assert sorted(tests["clip_id"]) == sorted(train)
    check_leakage(folds, table)


def test_make_folds_needs_an_official_training_part() -> None:
    with pytest.raises(InputError, match=r"scheme=group_kfold_train needs clips of subset=train"):
        make_folds(clips(["dog", "cat"] * 9), config(scheme="group_kfold_train", n_folds=3), 1)


@pytest.mark.parametrize("scheme", ["official", "group_kfold", "group_kfold_train", "predefined"])
def test_folds_are_made_of_trials_alone(scheme: str) -> None:
    trials = official(24).assign(use="trial", fold=["1", "1", "2", "2"] * 18)
    enrolment = clips(
        ["often"] * 5, clip_id=[f"a{index}" for index in range(5)], subset="eval", use="enrolment", fold="1"
    )
    verification = clips(["often"], clip_id=["z"], subset="dev", use="verification", fold="3")
    table = pd.concat([enrolment, trials, verification], ignore_index=True)
    wanted = config(scheme=scheme, n_folds=3, validation_fraction=0.1, balance="downsample", balance_evaluation=True)
    pd.testing.assert_frame_equal(make_folds(table, wanted, 1), make_folds(trials.drop(columns="use"), wanted, 1))
