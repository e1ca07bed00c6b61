"""Every data set of the registry; the module test_NAME.py of each has `make(root)`, which writes a small one."""

import hashlib
import importlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pandas as pd
import pytest

from adaspec.config import DatasetConfig
from adaspec.datasets import DATASETS, check_dataset, read_asv_scores, read_dataset, read_verification_trials
from adaspec.errors import InputError
from adaspec.tables import CLIP_COLUMNS, SUBSETS, VERIFICATION_COLUMNS
from adaspec.tables.score_files import ASV_COLUMNS, ASV_KEYS

COLUMNS = ["path", "label", "group", "fold", "subset"]
VARIANTS = [(name, variant) for name, dataset in DATASETS.items() for variant in dataset.variants]


def config(name: str, root: Path, variant: str | None = None) -> DatasetConfig:
    # Unchecked: the synthetic data set has one root only.
    return DatasetConfig.model_construct(
        name=name, root=str(root), variant=variant, on_bad_clip="fail", on_missing="fail"
    )


@pytest.fixture(params=DATASETS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def root(name: str, tmp_path: Path) -> Path:
    """A small data set of that name."""
    make: Callable[[Path], None] = importlib.import_module(f"test_{name}").make
    make(tmp_path / "set")
    return tmp_path / "set"


def contents(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file()
    }


def test_it_says_what_it_is_and_whose(name: str) -> None:
    dataset = DATASETS[name]
    for text in (dataset.title, dataset.licence, dataset.citation):
        assert text == text.strip() != ""
    assert "\n" not in dataset.title + dataset.licence
    if dataset.citation.startswith("@"):
        assert "https://" in dataset.citation
        assert dataset.citation.count("{") == dataset.citation.count("}")
    if dataset.source is not None:
        assert dataset.source.url.startswith("https://")


def test_read_gives_the_columns_sorted_by_path(name: str, root: Path) -> None:
    table = read_dataset(config(name, root))
    assert set(COLUMNS) <= set(table)
    assert not set(table) & (set(CLIP_COLUMNS) - set(COLUMNS))  # which are measured
    assert list(table.index) == list(range(len(table)))
    assert table["path"].is_monotonic_increasing
    assert table["path"].is_unique
    assert table["label"].nunique() > 1
    for column in table:
        assert table[column].map(type).eq(str).all(), column
    for column in ("path", "label", "group"):
        assert (table[column] != "").all(), column
    assert set(table["subset"]) <= {"", *SUBSETS}


def test_read_gives_paths_of_files_inside_the_root(name: str, root: Path) -> None:
    for path in read_dataset(config(name, root))["path"]:
        assert not PurePosixPath(path).is_absolute()
        assert ".." not in PurePosixPath(path).parts
        assert (root / path).is_file()


def test_read_is_deterministic_and_writes_nothing(name: str, root: Path, tmp_path: Path) -> None:
    before = contents(root)
    first = read_dataset(config(name, root))
    pd.testing.assert_frame_equal(read_dataset(config(name, root)), first)
    assert contents(root) == before
    # Elsewhere, with its files written in another order: nothing of the machine is in it.
    for path in sorted(before, reverse=True):
        (tmp_path / "copy" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "copy" / path).write_bytes((root / path).read_bytes())
    pd.testing.assert_frame_equal(read_dataset(config(name, tmp_path / "copy")), first)


@pytest.mark.parametrize("there", [True, False])
def test_an_empty_folder_is_refused_by_name(name: str, there: bool, tmp_path: Path) -> None:
    root = tmp_path / "empty"
    if there:
        root.mkdir()
    with pytest.raises(InputError) as caught:
        read_dataset(config(name, root))
    assert str(root) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_asv_scores_have_their_columns_where_there_are_none_too(name: str, root: Path) -> None:
    scores = read_asv_scores(config(name, root))
    assert list(scores) == ASV_COLUMNS
    assert scores.empty == (DATASETS[name].asv_scores is None)


def test_verification_trials_have_their_columns_where_there_are_none_too(name: str, root: Path) -> None:
    table = read_dataset(config(name, root))
    clips = table.assign(clip_id=table["path"])
    trials = read_verification_trials(config(name, root), table, clips)
    assert list(trials) == list(VERIFICATION_COLUMNS)
    assert trials.empty == ("use" not in table)
    if "use" in table:
        assert set(table["use"]) <= {"trial", "enrolment", "verification"}
        assert set(trials["key"]) <= set(ASV_KEYS)
        assert set(trials["clip_id"]) <= set(table.loc[table["use"] != "enrolment", "path"])
        assert set(trials["speaker"]) <= set(table.loc[table["use"] == "enrolment", "speaker"])


def test_source_tells_what_is_missing(name: str, root: Path) -> None:
    source = DATASETS[name].source
    if source is None:
        return
    assert source.missing(root) == []
    lost = read_dataset(config(name, root))["path"].iloc[-1]
    (root / lost).unlink()
    assert source.missing(root) == [lost]


@pytest.mark.parametrize(("name", "variant"), VARIANTS)
def test_a_variant_is_a_part_of_the_data_set(name: str, variant: str, root: Path) -> None:
    check_dataset(config(name, root, variant))
    whole, part = read_dataset(config(name, root)), read_dataset(config(name, root, variant))
    assert set(part["path"]) < set(whole["path"])
    pd.testing.assert_frame_equal(whole[whole["path"].isin(part["path"])].reset_index(drop=True), part)


def test_an_unknown_variant_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        check_dataset(config(name, tmp_path, "tiny"))
    variants = DATASETS[name].variants
    allowed = (
        f"no such variant; set it to {' or '.join(variants)}, or to null for all of it"
        if variants
        else "no variants; set it to null"
    )
    assert str(caught.value) == f"params.yaml dataset.variant=tiny: {name} has {allowed}"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("esc5", "; did you mean esc50?"),
        ("urbansound", f"; known: {', '.join(DATASETS)}"),
    ],
)
def test_an_unknown_data_set_is_refused(name: str, hint: str, tmp_path: Path) -> None:
    for refuse in (check_dataset, read_dataset):
        with pytest.raises(InputError) as caught:
            refuse(config(name, tmp_path))
        assert str(caught.value) == f"params.yaml dataset.name={name} is no data set{hint}"
