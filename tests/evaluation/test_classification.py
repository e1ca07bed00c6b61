import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st

from adaspec.evaluation.scores.classification import classified, confusion_matrix, per_class_scores


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
    scores = classified(target, predicted, n_classes).values()
    expected = {
        "accuracy": sklearn.metrics.accuracy_score(target, predicted),
        "balanced_accuracy": sklearn.metrics.balanced_accuracy_score(target, predicted),
    }
    for average in ("macro", "weighted"):
        values = sklearn.metrics.precision_recall_fscore_support(target, predicted, average=average, zero_division=0)
        expected |= {f"{name}_{average}": v for name, v in zip(("precision", "recall", "f1"), values, strict=False)}
    assert {name: float(scores[name]) for name in expected} == pytest.approx(expected, abs=1e-12)


@given(clips())
def test_per_class_scores_agree_with_sklearn(case: tuple[int, np.ndarray, np.ndarray]) -> None:
    n_classes, target, predicted = case
    scores = per_class_scores(confusion_matrix(target, predicted, n_classes))
    expected = sklearn.metrics.precision_recall_fscore_support(
        target, predicted, labels=range(n_classes), zero_division=0
    )
    for name, values in zip(("precision", "recall", "f1", "support"), expected, strict=True):
        np.testing.assert_allclose(scores[name], values, atol=1e-12)


@given(clips())
def test_cells_are_those_of_the_confusion_matrix(case: tuple[int, np.ndarray, np.ndarray]) -> None:
    n_classes, target, predicted = case
    cells = classified(target, predicted, n_classes).summed()["cells"]
    assert cells.reshape(n_classes, n_classes).tolist() == confusion_matrix(target, predicted, n_classes).tolist()


def scores_of(target: list[int], predicted: list[int], n_classes: int) -> dict[str, float]:
    scores = classified(np.array(target), np.array(predicted), n_classes).values()
    return {name: float(value) for name, value in scores.items()}


def test_scores_of_wrong_predictions_are_zero() -> None:
    scores = scores_of([0, 1, 2, 2], [1, 2, 0, 1], 3)
    for name in ("precision", "recall", "f1"):
        assert scores[f"{name}_macro"] == scores[f"{name}_weighted"] == 0
    assert scores["accuracy"] == scores["balanced_accuracy"] == 0


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
