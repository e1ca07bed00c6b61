"""The one bootstrap, by means of the scores of a classifier."""

from typing import Any

import numpy as np
import pytest
import sklearn.metrics

from adaspec.evaluation.bootstrap import Draw, resampled_counts, resampled_means
from adaspec.evaluation.scores.classification import SCORES, classified
from adaspec.evaluation.summary import interval

Pair = tuple[np.ndarray, np.ndarray]


def predictions(n_clips: int, n_classes: int, accuracy: float, seed: int) -> Pair:
    """Balanced targets; about `accuracy` of them hit."""
    rng = np.random.default_rng(seed)
    target = np.arange(n_clips) % n_classes
    wrong = (target + rng.integers(1, n_classes, n_clips)) % n_classes
    return target, np.where(rng.random(n_clips) < accuracy, target, wrong)


def intervals(folds: list[Pair], n_classes: int, n_resamples: int = 1000, seed: int = 1) -> dict[str, tuple]:
    """Of all scores of a classifier, by clips."""
    rng = np.random.default_rng(seed)
    drawn = [(classified(*pair, n_classes), Draw(np.arange(len(pair[0])), rng)) for pair in folds]
    return {name: interval(values) for name, values in resampled_means(drawn, n_resamples).items()}


@pytest.mark.parametrize("n_classes", [2, 10, 50])
@pytest.mark.parametrize("n_folds", [1, 5])
def test_interval_contains_the_estimate(n_classes: int, n_folds: int) -> None:
    folds = [predictions(200, n_classes, 0.7, seed) for seed in range(n_folds)]
    found = intervals(folds, n_classes)
    assert set(found) == set(SCORES)
    for name in ("accuracy", "balanced_accuracy", "recall_macro", "recall_weighted"):
        mean = np.mean([classified(*fold, n_classes).values()[name] for fold in folds])
        low, high = found[name]
        assert 0 <= low < mean < high <= 1


def test_interval_collapses_for_perfect_predictions() -> None:
    target = np.arange(60) % 3
    assert intervals([(target, target), (target, target)], 3) == dict.fromkeys(SCORES, (1.0, 1.0))


def test_interval_is_decided_by_the_generator() -> None:
    folds = [predictions(50, 3, 0.6, seed) for seed in range(2)]
    assert intervals(folds, 3) == intervals(folds, 3)
    assert intervals(folds, 3) != intervals(folds, 3, seed=2)


def test_interval_narrows_with_the_root_of_the_number_of_clips() -> None:
    widths = []
    for n_clips in (200, 800, 3200):
        target = np.arange(n_clips) % 2
        predicted = np.where(np.arange(n_clips) % 10 < 7, target, 1 - target)  # accuracy 0.7 exactly
        low, high = intervals([(target, predicted)], 2, n_resamples=4000)["accuracy"]
        widths.append(high - low)
    assert widths[0] == pytest.approx(2 * 1.96 * np.sqrt(0.7 * 0.3 / 200), rel=0.1)
    assert widths[0] / widths[1] == pytest.approx(2, rel=0.15)
    assert widths[1] / widths[2] == pytest.approx(2, rel=0.15)


def test_interval_narrows_with_the_number_of_folds() -> None:
    def width(n_folds: int) -> float:
        low, high = intervals([predictions(200, 2, 0.7, 0)] * n_folds, 2, n_resamples=4000)["accuracy"]
        return high - low

    assert width(1) / width(4) == pytest.approx(2, rel=0.15)


@pytest.mark.parametrize("n_classes", [3, 50])
def test_interval_agrees_with_a_direct_bootstrap(n_classes: int) -> None:
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
    found = intervals(folds, n_classes, n_resamples=5000)
    for name, values in means.items():
        assert found[name] == pytest.approx(np.percentile(values, [2.5, 97.5]), abs=0.012)


def test_interval_of_f1_agrees_with_sklearn_on_the_same_draws() -> None:
    target, predicted = predictions(60, 3, 0.6, 4)
    drawn = [np.repeat(np.arange(60), row.astype(int)) for row in counts_of(np.arange(60), 200, seed=7)]
    f1 = [sklearn.metrics.f1_score(target[one], predicted[one], average="macro", zero_division=0) for one in drawn]
    found = intervals([(target, predicted)], 3, n_resamples=200, seed=7)
    assert found["f1_macro"] == pytest.approx(np.percentile(f1, [2.5, 97.5]), abs=1e-12)


def counts_of(units: Any, n_resamples: int = 50, strata: Any = None, seed: int = 1) -> np.ndarray:
    return np.concatenate(list(resampled_counts(Draw(units, np.random.default_rng(seed), strata), n_resamples)))


def test_units_are_drawn_with_all_their_clips() -> None:
    units = np.array(["b", "a", "b", "c", "a", "b"])
    counts = counts_of(units)
    assert counts.shape == (50, 6)
    for unit in "abc":
        assert (counts[:, units == unit] == counts[:, units == unit][:, :1]).all()
    n_units = sum(counts[:, units == unit][:, 0] for unit in "abc")
    assert (n_units == 3).all()
    assert len(np.unique(counts, axis=0)) > 5


def test_each_stratum_keeps_its_number_of_units() -> None:
    strata = np.array([True, False, True, True, False])
    counts = counts_of(np.arange(5), strata=strata)
    assert (counts[:, strata].sum(axis=1) == 3).all()
    assert (counts[:, ~strata].sum(axis=1) == 2).all()


def test_resamples_of_large_data_come_in_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adaspec.evaluation.bootstrap.CHUNK", 40)
    portions = list(resampled_counts(Draw(np.arange(10), np.random.default_rng(1)), 9))
    assert [len(portion) for portion in portions] == [4, 4, 1]
    np.testing.assert_array_equal(np.concatenate(portions), counts_of(np.arange(10), 9))


def test_portions_change_no_score(monkeypatch: pytest.MonkeyPatch) -> None:
    folds = [predictions(50, 3, 0.6, seed) for seed in range(2)]
    expected = intervals(folds[:1], 3)
    monkeypatch.setattr("adaspec.evaluation.bootstrap.CHUNK", 100)
    assert intervals(folds[:1], 3) == expected


def test_interval_widens_where_clips_of_a_group_are_alike() -> None:
    target, predicted = predictions(40, 2, 0.7, 0)
    target, predicted = np.repeat(target, 8), np.repeat(predicted, 8)
    scored, group = classified(target, predicted, 2), np.repeat(np.arange(40), 8)
    widths = []
    for units in (np.arange(320), group):
        draw = Draw(units, np.random.default_rng(1))
        low, high = interval(resampled_means([(scored, draw)], 2000)["accuracy"])
        widths.append(high - low)
    assert widths[1] / widths[0] == pytest.approx(np.sqrt(8), rel=0.15)
