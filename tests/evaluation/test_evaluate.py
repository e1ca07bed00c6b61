import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics
from toydata import Toy, changed, differing

from adaspec.evaluation.evaluate import Evaluation, evaluate, score_clips
from adaspec.evaluation.scores.classification import SCORES
from adaspec.features.store import FeatureStore, feature_contract
from adaspec.features.windows import cut, even_starts, window_length
from adaspec.models.history import read_history
from adaspec.models.saved import load

Trained = tuple[Toy, Path]


@pytest.fixture(scope="module")
def evaluation(trained: Trained) -> Evaluation:
    toy, models = trained
    return evaluate(toy.clips, toy.folds, toy.config, toy.features, models)


@pytest.fixture(scope="module")
def metrics(evaluation: Evaluation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("metrics")
    evaluation.write(folder)
    return folder


def fold_files(metrics: Path) -> dict[int, dict[str, float]]:
    files = sorted((metrics / "folds").glob("fold-*.json"))
    return {int(file.stem.removeprefix("fold-")): json.loads(file.read_text()) for file in files}


def test_evaluate_writes_what_it_says(metrics: Path) -> None:
    written = {path.relative_to(metrics).as_posix() for path in metrics.rglob("*") if path.is_file()}
    assert written == {
        "summary.json",
        "folds/fold-1.json",
        "folds/fold-2.json",
        "predictions.csv",
        "per_class.csv",
        "curves.csv",
        "frontend.json",
        "frontend_bins.csv",
        "frontend_window.csv",
        "figures/confusion.png",
        "figures/curves.png",
        "attacks.csv",
        "scores.txt",
        "scores_validation.txt",
        "worst_errors.csv",
    }


def test_predictions_hold_one_row_per_test_clip(trained: Trained, metrics: Path) -> None:
    toy, _ = trained
    table = pd.read_csv(metrics / "predictions.csv")
    scores = ["score_high", "score_low", "score_middle"]
    assert list(table) == ["clip_id", "fold", "label", "predicted", *scores]
    test = toy.folds[toy.folds["role"] == "test"]
    assert set(zip(table["fold"], table["clip_id"], strict=True)) == set(
        zip(test["fold"], test["clip_id"], strict=True)
    )
    assert len(table) == len(test) == len(toy.clips)
    assert dict(zip(table["clip_id"], table["label"], strict=True)) == dict(
        zip(toy.clips["clip_id"], toy.clips["label"], strict=True)
    )


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
        found = score_clips(load(models / f"fold-{fold}"), list(own.index), toy.features, toy.config)
        np.testing.assert_allclose(own.filter(like="score_"), found, atol=1e-6)
        other = score_clips(load(models / f"fold-{3 - fold}"), list(own.index), toy.features, toy.config)
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


def test_json_holds_scores_alone(metrics: Path) -> None:
    # No times, dates, run ids or machine names: DVC compares these files.
    def leaves(content: Any) -> list[Any]:
        return (
            [leaf for value in content.values() for leaf in leaves(value)] if isinstance(content, dict) else [content]
        )

    for file in metrics.rglob("*.json"):
        assert all(isinstance(leaf, float) and 0 <= leaf <= 1 for leaf in leaves(json.loads(file.read_text())))


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


def test_evaluate_twice_gives_the_same_bytes(trained: Trained, metrics: Path, tmp_path: Path) -> None:
    toy, models = trained
    evaluate(toy.clips, toy.folds, toy.config, toy.features, models).write(tmp_path)
    assert differing(metrics, tmp_path) == []


def test_evaluate_replaces_the_folds_of_an_earlier_evaluation(evaluation: Evaluation, tmp_path: Path) -> None:
    (tmp_path / "folds").mkdir()
    (tmp_path / "folds" / "fold-9.json").write_text("{}")
    evaluation.write(tmp_path)
    assert set(fold_files(tmp_path)) == {1, 2}


def window_probabilities(trained: Trained, clip_id: str, overlap: float = 0.0) -> np.ndarray:
    """Of every window of a clip by the model of fold 1, one at a time."""
    toy, models = trained
    model, contract = load(models / "fold-1"), feature_contract(toy.config)
    n_window, clip = window_length(contract, 0.04), FeatureStore(toy.features, contract).tensor(clip_id)
    found = []
    for start in even_starts(len(clip), n_window, overlap):
        window = cut(clip, start, n_window, "repeat")[None]
        found.append(model(window.float() / 32768).softmax(dim=1)[0].numpy())
    return np.array(found)


def test_score_clips_votes_by_mean_or_majority(trained: Trained) -> None:
    toy, models = trained
    clip_ids = list(toy.clips["clip_id"])
    mean = score_clips(load(models / "fold-1"), clip_ids, toy.features, toy.config)
    majority_config = changed(toy.config, **{"evaluate.vote": "majority"})
    majority = score_clips(load(models / "fold-1"), clip_ids, toy.features, majority_config)
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
    config = changed(toy.config, **{"evaluate.overlap": overlap})
    scores = score_clips(load(models / "fold-1"), clip_ids, toy.features, config)
    for score, clip_id in zip(scores, clip_ids, strict=True):
        windows = window_probabilities(trained, clip_id, overlap)
        assert len(windows) > 1.5 * len(window_probabilities(trained, clip_id))
        np.testing.assert_allclose(score, windows.mean(axis=0), atol=1e-5)
    assert not np.allclose(scores, score_clips(load(models / "fold-1"), clip_ids, toy.features, toy.config), atol=1e-4)


def test_evaluate_hands_the_vote_on(trained: Trained, evaluation: Evaluation) -> None:
    toy, models = trained
    config = changed(toy.config, **{"evaluate.vote": "majority"})
    predictions = evaluate(toy.clips, toy.folds, config, toy.features, models).predictions
    assert not np.allclose(predictions.filter(like="score_"), evaluation.predictions.filter(like="score_"), atol=0.05)


def hand_made(pairs: dict[int, list[tuple[str, str]]], toy: Toy) -> Evaluation:
    rows = [
        {"fold": fold, "path": f"{index}.wav", "label": label, "predicted": p, f"score_{label}": float(label == p)}
        for fold, group in pairs.items()
        for index, (label, p) in enumerate(group)
    ]
    history = pd.DataFrame({"epoch": [1, 2], "train_loss": [2.0, 1.0]})
    return Evaluation(pd.DataFrame(rows), ["a", "b"], dict.fromkeys(pairs, history), toy.config)


def test_evaluation_weighs_folds_equally(trained: Trained) -> None:
    large, small = [("a", "a"), ("b", "b")] * 10, [("a", "b"), ("b", "a")]
    summary = hand_made({1: large, 2: small}, trained[0]).summary["accuracy"]
    assert summary == {"mean": 0.5, "std": round(float(np.sqrt(0.5)), 6), "ci_low": 0.5, "ci_high": 0.5}


def test_evaluation_of_one_fold_has_no_spread(trained: Trained, tmp_path: Path) -> None:
    found = hand_made({1: [("a", "a"), ("b", "b"), ("b", "a")]}, trained[0])
    assert set(found.summary["accuracy"]) == {"mean", "ci_low", "ci_high"}
    found.write(tmp_path)
    assert set(json.loads((tmp_path / "summary.json").read_text())["f1_macro"]) == {"mean", "ci_low", "ci_high"}
    lines = found.table().splitlines()
    assert next(line for line in lines if line.startswith("std")).split() == ["std", "-", "-"]


def test_worst_errors_come_first(trained: Trained, tmp_path: Path) -> None:
    rows = [("x.wav", "a", "b", 0.4, 0.6), ("y.wav", "b", "a", 0.9, 0.1), ("z.wav", "a", "a", 0.8, 0.2)]
    table = pd.DataFrame(rows, columns=["path", "label", "predicted", "score_a", "score_b"]).assign(fold=1, clip_id="c")
    history = pd.DataFrame({"epoch": [1, 2], "train_loss": [2.0, 1.0]})
    Evaluation(table, ["a", "b"], {1: history}, trained[0].config).write(tmp_path)
    told = pd.read_csv(tmp_path / "worst_errors.csv")
    assert told.to_numpy().tolist() == [[1, "y.wav", "b", "a", 0.1], [1, "x.wav", "a", "b", 0.4]]
    assert "path" not in pd.read_csv(tmp_path / "predictions.csv")


def test_evaluation_interval_follows_the_seed_and_the_number_of_resamples(trained: Trained) -> None:
    toy, _ = trained
    rng = np.random.default_rng(0)
    pairs = {1: [(label, label if rng.random() < 0.7 else "a") for label in "ab" * 40]}

    def interval(**knobs: Any) -> dict[str, float]:
        config = changed(toy.config, **knobs)
        rows = [{"fold": 1, "label": label, "predicted": predicted} for label, predicted in pairs[1]]
        return Evaluation(pd.DataFrame(rows), ["a", "b"], {}, config).summary["precision_weighted"]

    assert interval() == interval()
    assert interval() != interval(seed=43)
    assert interval() != interval(**{"evaluate.n_bootstrap": 333})


def test_evaluation_table_lists_folds_and_summary(evaluation: Evaluation) -> None:
    cells = {line[:10].strip(): line[10:].split() for line in evaluation.table().splitlines()}
    assert list(cells) == ["", "fold 1", "fold 2", "mean", "std", "95 % from", "95 % to"]
    assert cells["fold 1"][0] == f"{evaluation.folds[1]['accuracy']:.3f}"
    assert cells["mean"] == [f"{evaluation.summary[name]['mean']:.3f}" for name in ("accuracy", "f1_macro")]
    assert cells["95 % to"][0] == f"{evaluation.summary['accuracy']['ci_high']:.3f}"
