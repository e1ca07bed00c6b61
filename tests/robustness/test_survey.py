import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
from toydata import Toy, changed, differing, make_toy

from adaspec.errors import InputError
from adaspec.evaluation.evaluate import evaluate
from adaspec.robustness import Survey, survey
from adaspec.robustness.asked import CLEAN
from adaspec.runtime.files import read_csv
from adaspec.tables.columns import labels_of, score_column
from adaspec.training.fit import fit_fold

ASKED = {"robustness.attributes": ("white_noise", "gain"), "robustness.gradient.snr_db": (20.0,)}


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Toy, Path, pd.DataFrame]:
    """A toy, the evaluated models of its two folds, and predictions.csv as evaluation wrote it."""
    folder = tmp_path_factory.mktemp("robustness")
    knobs = {
        "features.window.length_s": 0.1,
        "train.epochs": 6,
        "robustness.gradient.n_steps": 4,
        "evaluate.overlap": 0.5,
    }
    toy = make_toy(folder, {"high": 6, "low": 6, "middle": 6}, **knobs, **ASKED)
    for fold in (1, 2):
        checkpoints, finished = folder / f"checkpoints-{fold}", folder / "trained" / f"fold-{fold}"
        fit_fold(fold, toy.rows(fold), toy.labels, toy.config, toy.features, checkpoints, finished)
    evaluation = evaluate(toy.clips, toy.folds, toy.config, toy.features, folder / "trained")
    evaluation.write_models(folder / "trained", folder / "models")
    return toy, folder / "models", evaluation.predictions


def surveyed(evaluated: tuple[Toy, Path, Any], **knobs: Any) -> Survey:
    toy, models, _ = evaluated
    return survey(toy.clips, toy.folds, changed(toy.config, **knobs), models)


@pytest.fixture(scope="module")
def found(evaluated: tuple[Toy, Path, Any]) -> Survey:
    return surveyed(evaluated)


def test_clips_as_they_are_get_the_evaluated_predictions(evaluated: tuple[Toy, Path, Any], found: Survey) -> None:
    clean = found.predictions[found.predictions["change"] == CLEAN].set_index("clip_id").sort_index()
    expected = evaluated[2].set_index("clip_id").sort_index()
    assert list(clean.index) == list(expected.index)
    assert list(clean["predicted"]) == list(expected["predicted"])
    scores = [score_column(label) for label in labels_of(expected)]
    np.testing.assert_allclose(clean[scores], expected[scores], atol=1e-6)


def test_every_clip_is_asked_about_at_every_level(found: Survey) -> None:
    counts = found.predictions.groupby("change")["level"].value_counts().unstack()
    assert counts.loc[CLEAN].dropna().to_dict() == {0: 18}
    for name in ("white_noise", "gain"):
        assert counts.loc[name].dropna().to_dict() == dict.fromkeys(range(1, 6), 18)
    for name in ("random", "pgd", "transfer", "universal"):
        assert counts.loc[name].dropna().to_dict() == {1: 18}
    noise = found.measures.conditions.query("change == 'white_noise'") if found.measures else pd.DataFrame()
    assert noise["change_db"].is_monotonic_increasing


def test_attack_raises_the_loss_more_than_noise(found: Survey) -> None:
    own = found.predictions.assign(
        own=[row[score_column(row["label"])] for row in found.predictions.to_dict("records")]
    )
    mean = own.groupby("change")["own"].mean()
    assert mean["pgd"] < mean["universal"] < mean["random"] + 0.05
    assert mean["pgd"] < mean["transfer"]
    assert found.alarms == []


def test_written_files_are_the_same_bytes_twice(
    evaluated: tuple[Toy, Path, Any], found: Survey, tmp_path: Path
) -> None:
    for name, one in (("first", found), ("second", surveyed(evaluated, **{"engine.workers": 2}))):  # found: one
        one.write(tmp_path / name / "robustness.json", tmp_path / name / "robustness")
    assert differing(tmp_path / "first", tmp_path / "second") == []
    headline = json.loads((tmp_path / "first/robustness.json").read_text())
    assert [*headline] == [
        *("changed_accuracy", "worst_level_accuracy", "random_accuracy", "pgd_accuracy"),
        *("transfer_accuracy", "universal_accuracy"),
    ]
    figures = {path.name for path in (tmp_path / "first/robustness/figures").iterdir()}
    assert figures == {"changes.svg", "severities.svg", "gradient.svg"}


def test_turned_clips_can_be_heard(found: Survey, tmp_path: Path) -> None:
    assert found.flips
    found.write(tmp_path / "robustness.json", tmp_path / "robustness")
    table = read_csv(tmp_path / "robustness/flips.csv")
    for row in table.to_dict("records"):
        samples, rate = soundfile.read(tmp_path / "robustness" / row["file"])
        assert rate == 8000
        assert len(samples) > 100
    assert (table["label"] != table["predicted"]).all()


def test_few_clips_are_spread_over_the_labels(evaluated: tuple[Toy, Path, Any]) -> None:
    knobs = {"robustness.n_clips": 3, "robustness.attributes": ("gain",), "robustness.gradient.snr_db": ()}
    few, again = (surveyed(evaluated, **knobs, seed=seed).predictions for seed in (1, 2))
    assert list(few["clip_id"]) == list(again["clip_id"])  # else runs of two seeds could not be compared
    labels = few.drop_duplicates("clip_id").groupby("fold")["label"].value_counts()
    assert labels.to_dict() == {(fold, label): 1 for fold in (1, 2) for label in ("high", "low", "middle")}


def test_nothing_is_done_unless_asked_for(evaluated: tuple[Toy, Path, Any], tmp_path: Path) -> None:
    nothing = surveyed(evaluated, **{"robustness.attributes": (), "robustness.gradient.snr_db": ()})
    nothing.write(tmp_path / "robustness.json", tmp_path / "robustness")
    assert json.loads((tmp_path / "robustness.json").read_text()) == {}
    assert [path.name for path in (tmp_path / "robustness").iterdir()] == ["summary.json"]


def test_sample_of_one_kind_tells_no_error_rates(evaluated: tuple[Toy, Path, Any]) -> None:
    toy, models, _ = evaluated
    labels = {"high": "bonafide", "low": "spoof", "middle": "spoof"}
    clips = toy.clips.assign(label=toy.clips["label"].map(labels))
    config = changed(toy.config, **{"robustness.n_clips": 1})
    with pytest.raises(InputError, match=r"fold 1: its 1 test clips are all \w+, .*raise robustness.n_clips"):
        survey(clips, toy.folds, config, models)


@pytest.mark.parametrize("name", ["white_nois", "all of them"])
def test_unknown_attribute_is_told(evaluated: tuple[Toy, Path, Any], name: str) -> None:
    with pytest.raises(
        InputError, match=r"robustness.attributes: .* is no attribute; (did you mean white_noise|use all)"
    ):
        surveyed(evaluated, **{"robustness.attributes": (name,)})


def test_recording_that_is_gone_is_told(evaluated: tuple[Toy, Path, Any], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"wav: .*No such file.*run 'dvc repro'"):
        surveyed(evaluated, **{"dataset.root": str(tmp_path)})
