import inspect
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics
from toydata import Toy, changed, differing

from adaspec.errors import InputError
from adaspec.evaluation import evaluate as evaluation_module
from adaspec.evaluation.evaluate import Evaluation, evaluate
from adaspec.evaluation.scores.classification import SCORES
from adaspec.features.representation import feature_contract
from adaspec.features.store import FeatureStore
from adaspec.features.windows import cut, even_starts
from adaspec.models.classifier import AudioClassifier
from adaspec.models.history import read_history
from adaspec.models.saved import load
from adaspec.models.scoring import score_clips
from adaspec.tracking.outcome import read_outcome

Trained = tuple[Toy, Path]


@pytest.fixture(scope="module")
def evaluation(trained: Trained) -> Evaluation:
    toy, models = trained
    return evaluate(toy.clips, toy.folds, toy.config, toy.features, models)


@pytest.fixture(scope="module")
def written(evaluation: Evaluation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder metrics."""
    folder = tmp_path_factory.mktemp("metrics")
    evaluation.write(folder)
    return folder


@pytest.fixture(scope="module")
def metrics(written: Path) -> Path:
    """The folder metrics/details."""
    return written / "details"


def scores_of(
    toy: Toy, model: AudioClassifier, clip_ids: list[str], vote: Any = "mean", overlap: float = 0.0
) -> np.ndarray:
    store = FeatureStore(toy.features, feature_contract(model.config))
    return score_clips(model, clip_ids, store, vote, overlap).numpy()


def fold_files(metrics: Path) -> dict[int, dict[str, float]]:
    files = sorted((metrics / "folds").glob("fold-*.json"))
    return {int(file.stem.removeprefix("fold-")): json.loads(file.read_text()) for file in files}


def test_evaluate_writes_what_there_is_of_the_task(written: Path) -> None:
    files = {path.relative_to(written).as_posix() for path in written.rglob("*") if path.is_file()}
    assert files == {
        "summary.json",
        "details/summary.json",
        "details/folds/fold-1.json",
        "details/folds/fold-2.json",
        "details/predictions.csv",
        "details/per_class.csv",
        "details/curves.csv",
        "details/figures/confusion.svg",
        "details/figures/curves.svg",
        "details/worst_errors.csv",
    }


def test_outcome_is_what_evaluation_found(
    evaluation: Evaluation, trained: Trained, written: Path, tmp_path: Path
) -> None:
    _, models = trained
    outcome = read_outcome(models, written, tmp_path)
    assert outcome.summary == evaluation.report.summary
    assert outcome.learned == evaluation.learned.mean
    assert {fold: found.scores for fold, found in outcome.folds.items()} == evaluation.report.folds
    assert {fold: found.learned for fold, found in outcome.folds.items() if found.learned} == evaluation.learned.folds
    for fold, found in outcome.folds.items():
        assert found.model == models / f"fold-{fold}"
        assert found.history == evaluation.histories[fold].to_dict("records")
    assert {path.name for path in outcome.artifacts} == {
        *("summary.json", "folds", "predictions.csv", "per_class.csv", "curves.csv", "figures", "worst_errors.csv"),
    }
    assert len(outcome.worst) == (evaluation.predictions["label"] != evaluation.predictions["predicted"]).sum()


@pytest.mark.parametrize("missing", ["details/summary.json", "details/worst_errors.csv"])
def test_outcome_that_is_not_there_is_told(trained: Trained, written: Path, tmp_path: Path, missing: str) -> None:
    shutil.copytree(written, tmp_path / "metrics")
    (tmp_path / "metrics" / missing).unlink()
    with pytest.raises(InputError, match=r"details cannot be read .*'dvc repro' writes it"):
        read_outcome(trained[1], tmp_path / "metrics", tmp_path)


def test_small_summary_holds_two_scores_of_the_large_one(written: Path) -> None:
    small, large = (json.loads((written / name).read_text()) for name in ("summary.json", "details/summary.json"))
    assert small == {"accuracy": large["accuracy"], "f1_macro": {"mean": large["f1_macro"]["mean"]}}
    # The order of the columns of `dvc exp show`.
    assert [*small] == ["accuracy", "f1_macro"]
    assert [*small["accuracy"]] == ["mean", "std", "ci_low", "ci_high"]


def test_predictions_hold_one_row_per_test_clip(trained: Trained, metrics: Path) -> None:
    toy, _ = trained
    table = pd.read_csv(metrics / "predictions.csv")
    scores = ["score_high", "score_low", "score_middle"]
    assert list(table) == ["clip_id", "fold", "group", "label", "predicted", *scores]
    test = toy.folds[toy.folds["role"] == "test"]
    assert set(zip(table["fold"], table["clip_id"], strict=True)) == set(
        zip(test["fold"], test["clip_id"], strict=True)
    )
    assert len(table) == len(test) == len(toy.clips)
    for column in ("label", "group"):
        own = dict(zip(toy.clips["clip_id"], toy.clips[column], strict=True))
        assert dict(zip(table["clip_id"], table[column], strict=True)) == own


def test_predictions_scores_sum_to_one_and_their_argmax_is_predicted(metrics: Path) -> None:
    table = pd.read_csv(metrics / "predictions.csv")
    scores = table.filter(like="score_")
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-6)
    assert (scores.to_numpy() >= 0).all()
    assert list(scores.idxmax(axis=1).str.removeprefix("score_")) == list(table["predicted"])


def test_predictions_are_those_of_the_fold_that_never_saw_the_clip(trained: Trained, metrics: Path) -> None:
    toy, models = trained
    table = pd.read_csv(metrics / "predictions.csv").set_index("clip_id")
    for fold in (1, 2):
        own = table[table["fold"] == fold]
        found = scores_of(toy, load(models / f"fold-{fold}"), list(own.index))
        np.testing.assert_allclose(own.filter(like="score_"), found, atol=1e-6)
        other = scores_of(toy, load(models / f"fold-{3 - fold}"), list(own.index))
        assert not np.allclose(own.filter(like="score_"), other, atol=1e-3)


def test_fold_scores_agree_with_sklearn_on_the_predictions(metrics: Path) -> None:
    table = pd.read_csv(metrics / "predictions.csv")
    folds = fold_files(metrics)
    assert set(folds) == {1, 2}
    for fold, scores in folds.items():
        own = table[table["fold"] == fold]
        assert set(scores) == set(SCORES)
        accuracy = sklearn.metrics.accuracy_score(own["label"], own["predicted"])
        f1 = sklearn.metrics.f1_score(own["label"], own["predicted"], average="macro", zero_division=0)
        assert scores["accuracy"] == pytest.approx(accuracy, abs=1e-6)
        assert scores["f1_macro"] == pytest.approx(f1, abs=1e-6)


def test_summary_is_consistent_with_the_folds(metrics: Path) -> None:
    summary, folds = json.loads((metrics / "summary.json").read_text()), fold_files(metrics)
    assert set(summary) == set(SCORES)
    for name, statistics in summary.items():
        values = [scores[name] for scores in folds.values()]
        assert set(statistics) == {"mean", "std", "ci_low", "ci_high"}
        assert statistics["mean"] == pytest.approx(np.mean(values), abs=2e-6)
        assert statistics["std"] == pytest.approx(np.std(values, ddof=1), abs=2e-6)
        assert statistics["ci_low"] <= statistics["ci_high"]
    accuracy = summary["accuracy"]
    assert accuracy["ci_low"] <= accuracy["mean"] <= accuracy["ci_high"]


def test_json_holds_scores_alone(written: Path) -> None:
    # No times, dates, run ids or machine names: DVC compares these files.
    def leaves(content: Any) -> list[Any]:
        return (
            [leaf for value in content.values() for leaf in leaves(value)] if isinstance(content, dict) else [content]
        )

    for file in written.rglob("*.json"):
        assert all(isinstance(leaf, float) and abs(leaf) < 100 for leaf in leaves(json.loads(file.read_text())))


def test_per_class_agrees_with_sklearn(metrics: Path) -> None:
    table, predictions = (pd.read_csv(metrics / name) for name in ("per_class.csv", "predictions.csv"))
    expected = sklearn.metrics.precision_recall_fscore_support(
        predictions["label"], predictions["predicted"], labels=["high", "low", "middle"], zero_division=0
    )
    assert list(table["label"]) == ["high", "low", "middle"]
    for name, values in zip(("precision", "recall", "f1", "support"), expected, strict=True):
        np.testing.assert_allclose(table[name], values, atol=1e-6)


def test_curves_are_the_mean_of_the_histories(trained: Trained, metrics: Path) -> None:
    _, models = trained
    rows = [row for fold in (1, 2) for row in read_history(models / f"fold-{fold}")]
    curves = pd.read_csv(metrics / "curves.csv").set_index("epoch")
    assert list(curves.index) == [1, 2, 3, 4]
    for epoch in curves.index:
        losses = [row["train_loss"] for row in rows if row["epoch"] == epoch]
        assert curves.loc[epoch, "train_loss"] == pytest.approx(np.mean(losses), rel=1e-6)


@pytest.mark.parametrize("n_parallel", [1, 2])
def test_evaluate_again_gives_the_same_bytes_however_many_folds_are_scored_at_a_time(
    trained: Trained, written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_parallel: int
) -> None:
    toy, models = trained
    monkeypatch.setattr(evaluation_module, "MANY", 1)
    config = changed(toy.config, **{"engine.parallel_folds": n_parallel})
    evaluate(toy.clips, toy.folds, config, toy.features, models).write(tmp_path)
    assert differing(written, tmp_path) == []


def test_evaluate_replaces_the_details_of_an_earlier_evaluation(evaluation: Evaluation, tmp_path: Path) -> None:
    (tmp_path / "details" / "folds").mkdir(parents=True)
    for name in ("folds/fold-9.json", "attacks.csv"):
        (tmp_path / "details" / name).write_text("{}")
    evaluation.write(tmp_path)
    assert set(fold_files(tmp_path / "details")) == {1, 2}
    assert not (tmp_path / "details" / "attacks.csv").exists()


def test_details_that_cannot_be_written_leave_those_of_before(
    evaluation: Evaluation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluation.write(tmp_path)
    before = (tmp_path / "details" / "predictions.csv").read_bytes()
    monkeypatch.setattr(evaluation.report, "write", lambda folder: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        evaluation.write(tmp_path)
    assert (tmp_path / "details" / "predictions.csv").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def window_probabilities(trained: Trained, clip_id: str, overlap: float = 0.0) -> np.ndarray:
    """Of every window of a clip by the model of fold 1, one at a time."""
    toy, models = trained
    model, store = load(models / "fold-1"), FeatureStore(toy.features, feature_contract(toy.config))
    n_window, clip = store.representation.length(model.n_samples), store.tensor(clip_id)
    found = []
    for start in even_starts(len(clip), n_window, overlap):
        window = cut(clip, start, n_window, "repeat", store.representation)[None]
        found.append(model(window.float() / 32768).softmax(dim=1)[0].numpy())
    return np.array(found)


def test_score_clips_votes_by_mean_or_majority(trained: Trained) -> None:
    toy, models = trained
    clip_ids = list(toy.clips["clip_id"])
    mean, majority = (scores_of(toy, load(models / "fold-1"), clip_ids, vote) for vote in ("mean", "majority"))
    np.testing.assert_allclose(majority.sum(axis=1), 1, atol=1e-5)
    for position, clip_id in enumerate(clip_ids):
        windows = window_probabilities(trained, clip_id)
        assert len(windows) >= 6
        np.testing.assert_allclose(mean[position], windows.mean(axis=0), atol=1e-5)
        won = np.bincount(windows.argmax(axis=1), minlength=3)
        assert won[majority[position].argmax()] == won.max()
        np.testing.assert_allclose(majority[position], won / len(windows), atol=0.01)
    assert np.abs(mean - majority).max() > 0.1


@pytest.mark.parametrize("overlap", [0.5, 0.8])
def test_score_clips_votes_over_overlapping_windows(trained: Trained, overlap: float) -> None:
    toy, models = trained
    clip_ids = list(toy.clips["clip_id"])[::5]
    scores = scores_of(toy, load(models / "fold-1"), clip_ids, overlap=overlap)
    for score, clip_id in zip(scores, clip_ids, strict=True):
        windows = window_probabilities(trained, clip_id, overlap)
        assert len(windows) > 1.5 * len(window_probabilities(trained, clip_id))
        np.testing.assert_allclose(score, windows.mean(axis=0), atol=1e-5)
    assert not np.allclose(scores, scores_of(toy, load(models / "fold-1"), clip_ids), atol=1e-4)


def test_evaluate_hands_the_vote_on(trained: Trained, evaluation: Evaluation) -> None:
    toy, models = trained
    config = changed(toy.config, **{"evaluate.vote": "majority"})
    predictions = evaluate(toy.clips, toy.folds, config, toy.features, models).predictions
    assert not np.allclose(predictions.filter(like="score_"), evaluation.predictions.filter(like="score_"), atol=0.05)


def test_evaluate_reads_of_the_configuration_what_the_models_do_not_know(
    trained: Trained, evaluation: Evaluation
) -> None:
    toy, models = trained
    others = {
        "features.window.length_s": 0.1,
        "frontend.hop_length": 32,
        "backbone.name": "cnn",
        "train.batch_size": 3,
        "audio.sample_rate": 16000,
    }
    found = evaluate(toy.clips, toy.folds, changed(toy.config, **others), toy.features, models)
    pd.testing.assert_frame_equal(found.predictions, evaluation.predictions)
    assert found.report.summary == evaluation.report.summary


def test_evaluate_asks_no_task_by_name() -> None:
    source = inspect.getsource(evaluation_module).lower()
    assert not any(word in source for word in ("spoof", "bonafide", "attack"))


def test_evaluation_lists_folds_and_summary_for_a_terminal(evaluation: Evaluation) -> None:
    summary = evaluation.report.summary
    cells = {line[:10].strip(): line[10:].split() for line in evaluation.lines()}
    assert list(cells) == ["", "fold 1", "fold 2", "mean", "std", "95 % from", "95 % to"]
    assert cells["fold 1"][0] == f"{evaluation.report.folds[1]['accuracy']:.3f}"
    assert cells["mean"] == [f"{summary[name]['mean']:.3f}" for name in ("accuracy", "f1_macro")]
    assert cells["95 % to"][0] == f"{summary['accuracy']['ci_high']:.3f}"
