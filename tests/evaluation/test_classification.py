import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from adaspec.evaluation.scores.classification import (
    SCORES,
    bootstrap_interval,
    classification_scores,
    confusion_matrix,
    per_class_scores,
)

Pair = tuple[np.ndarray, np.ndarray]


@st.composite
def clips(draw: st.DrawFn) -> tuple[int, np.ndarray, np.ndarray]:
    """Class count, targets with every class, predictions of any."""
    n_classes = draw(st.integers(2, 6))
    classes = st.integers(0, n_classes - 1)
    target = draw(st.permutations(list(range(n_classes)) + draw(st.lists(classes, max_size=30))))
    predicted = draw(st.lists(classes, min_size=len(target), max_size=len(target)))
    return n_classes, np.array(target), np.array(predicted)


@given(clips())
def test_confusion_matrix_agrees_with_sklearn(case: tuple[int, np.ndarray, np.ndarray]) -> None:
    n_classes, target, predicted = case
    expected = sklearn.metrics.confusion_matrix(target, predicted, labels=range(n_classes))
    assert confusion_matrix(target, predicted, n_classes).tolist() == expected.tolist()


@given(clips())
def test_scores_agree_with_sklearn(case: tuple[int, np.ndarray, np.ndarray]) -> None:
    n_classes, target, predicted = case
    scores = classification_scores(confusion_matrix(target, predicted, n_classes))
    expected = {
        "accuracy": sklearn.metrics.accuracy_score(target, predicted),
        "balanced_accuracy": sklearn.metrics.balanced_accuracy_score(target, predicted),
    }
    for average in ("macro", "weighted"):
        values = sklearn.metrics.precision_recall_fscore_support(target, predicted, average=average, zero_division=0)
        expected |= {f"{name}_{average}": v for name, v in zip(("precision", "recall", "f1"), values, strict=False)}
    assert set(scores) == set(SCORES) == set(expected)
    assert {name: float(value) for name, value in scores.items()} == pytest.approx(expected, abs=1e-12)


@given(clips())
def test_per_class_scores_agree_with_sklearn(case: tuple[int, np.ndarray, np.ndarray]) -> None:
    n_classes, target, predicted = case
    scores = per_class_scores(confusion_matrix(target, predicted, n_classes))
    expected = sklearn.metrics.precision_recall_fscore_support(
        target, predicted, labels=range(n_classes), zero_division=0
    )
    for name, values in zip(("precision", "recall", "f1", "support"), expected, strict=True):
        np.testing.assert_allclose(scores[name], values, atol=1e-12)


@settings(max_examples=30)
@given(st.lists(clips(), min_size=1, max_size=1), st.integers(1, 5), st.integers(0, 2**31))
def test_scores_of_many_resamples_are_those_of_each(
    case: list[tuple[int, np.ndarray, np.ndarray]], n_resamples: int, seed: int
) -> None:
    ((n_classes, target, predicted),) = case
    drawn = np.random.default_rng(seed).integers(0, len(target), (n_resamples, len(target)))
    together = classification_scores(confusion_matrix(target[drawn], predicted[drawn], n_classes))
    for index, one in enumerate(drawn):
        alone = classification_scores(confusion_matrix(target[one], predicted[one], n_classes))
        assert {name: together[name][index] for name in SCORES} == pytest.approx(alone, abs=1e-12)


def scores_of(target: list[int], predicted: list[int], n_classes: int) -> dict[str, float]:
    scores = classification_scores(confusion_matrix(np.array(target), np.array(predicted), n_classes))
    return {name: float(value) for name, value in scores.items()}


def test_scores_of_perfect_predictions_are_one() -> None:
    assert scores_of([0, 1, 2, 2], [0, 1, 2, 2], 3) == dict.fromkeys(SCORES, 1.0)


def test_scores_of_wrong_predictions_are_zero() -> None:
    assert scores_of([0, 1, 2, 2], [1, 2, 0, 1], 3) == dict.fromkeys(SCORES, 0.0)


def test_scores_of_constant_predictions_are_chance() -> None:
    scores = scores_of([0, 0, 0, 1, 2, 3], [0] * 6, 4)
    assert scores["accuracy"] == pytest.approx(0.5)
    assert scores["balanced_accuracy"] == scores["recall_macro"] == pytest.approx(1 / 4)
    assert scores["precision_macro"] == pytest.approx(0.5 / 4)
    assert scores["precision_weighted"] == pytest.approx(0.25)
    assert scores["f1_macro"] == pytest.approx(2 / 3 / 4)


def test_scores_macro_leaves_out_classes_that_do_not_occur() -> None:
    present = scores_of([0, 0, 1, 1], [0, 1, 1, 1], 2)
    assert scores_of([0, 0, 1, 1], [0, 1, 1, 1], 5) == present
    assert present["balanced_accuracy"] == pytest.approx(0.75)


def predictions(n_clips: int, n_classes: int, accuracy: float, seed: int) -> Pair:
    """Balanced targets; about `accuracy` of them hit."""
    rng = np.random.default_rng(seed)
    target = np.arange(n_clips) % n_classes
    wrong = (target + rng.integers(1, n_classes, n_clips)) % n_classes
    return target, np.where(rng.random(n_clips) < accuracy, target, wrong)


def interval(folds: list[Pair], n_classes: int, n_resamples: int = 1000, seed: int = 1) -> dict[str, tuple]:
    return bootstrap_interval(folds, n_classes, n_resamples, np.random.default_rng(seed))


@pytest.mark.parametrize("n_classes", [2, 10, 50])
@pytest.mark.parametrize("n_folds", [1, 5])
def test_bootstrap_interval_contains_the_estimate(n_classes: int, n_folds: int) -> None:
    folds = [predictions(200, n_classes, 0.7, seed) for seed in range(n_folds)]
    found = interval(folds, n_classes)
    assert set(found) == set(SCORES)
    confusions = [confusion_matrix(*fold, n_classes) for fold in folds]
    for name in ("accuracy", "balanced_accuracy", "recall_macro", "recall_weighted"):
        mean = np.mean([classification_scores(confusion)[name] for confusion in confusions])
        low, high = found[name]
        assert 0 <= low < mean < high <= 1


def test_bootstrap_interval_collapses_for_perfect_predictions() -> None:
    target = np.arange(60) % 3
    assert interval([(target, target), (target, target)], 3) == dict.fromkeys(SCORES, (1.0, 1.0))


def test_bootstrap_interval_is_decided_by_the_generator() -> None:
    folds = [predictions(50, 3, 0.6, seed) for seed in range(2)]
    assert interval(folds, 3) == interval(folds, 3)
    assert interval(folds, 3) != interval(folds, 3, seed=2)


def test_bootstrap_interval_narrows_with_the_root_of_the_number_of_clips() -> None:
    widths = []
    for n_clips in (200, 800, 3200):
        target = np.arange(n_clips) % 2
        predicted = np.where(np.arange(n_clips) % 10 < 7, target, 1 - target)  # accuracy 0.7 exactly
        low, high = interval([(target, predicted)], 2, n_resamples=4000)["accuracy"]
        widths.append(high - low)
    assert widths[0] == pytest.approx(2 * 1.96 * np.sqrt(0.7 * 0.3 / 200), rel=0.1)
    assert widths[0] / widths[1] == pytest.approx(2, rel=0.15)
    assert widths[1] / widths[2] == pytest.approx(2, rel=0.15)


def test_bootstrap_interval_narrows_with_the_number_of_folds() -> None:
    def width(n_folds: int) -> float:
        low, high = interval([predictions(200, 2, 0.7, 0)] * n_folds, 2, n_resamples=4000)["accuracy"]
        return high - low

    assert width(1) / width(4) == pytest.approx(2, rel=0.15)


@pytest.mark.parametrize("n_classes", [3, 50])
def test_bootstrap_interval_agrees_with_a_direct_bootstrap(n_classes: int) -> None:
    # Folds of different sizes, each resampled within itself; the mean over folds is what is estimated.
    folds = [predictions(160, n_classes, 0.8, 1), predictions(40 + n_classes, n_classes, 0.4, 2)]
    rng = np.random.default_rng(99)
    means: dict[str, list[float]] = {"accuracy": [], "balanced_accuracy": []}
    for _ in range(3000):
        accuracies, recalls = [], []
        for target, predicted in folds:
            drawn = rng.choice(len(target), len(target))
            hit = target[drawn] == predicted[drawn]
            accuracies.append(hit.mean())
            support = np.bincount(target[drawn], minlength=n_classes)
            hits = np.bincount(target[drawn], weights=hit, minlength=n_classes)
            recalls.append((hits[support > 0] / support[support > 0]).mean())
        means["accuracy"].append(np.mean(accuracies))
        means["balanced_accuracy"].append(np.mean(recalls))
    found = interval(folds, n_classes, n_resamples=5000)
    for name, values in means.items():
        assert found[name] == pytest.approx(np.percentile(values, [2.5, 97.5]), abs=0.012)


def test_bootstrap_interval_of_f1_agrees_with_sklearn_on_the_same_draws() -> None:
    target, predicted = predictions(60, 3, 0.6, 4)
    drawn = np.random.default_rng(7).integers(0, 60, (200, 60))
    f1 = [sklearn.metrics.f1_score(target[one], predicted[one], average="macro", zero_division=0) for one in drawn]
    found = interval([(target, predicted)], 3, n_resamples=200, seed=7)
    assert found["f1_macro"] == pytest.approx(np.percentile(f1, [2.5, 97.5]), abs=1e-12)
