import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.interpolate import interp1d
from scipy.optimize import brentq
from scipy.stats import norm
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score, roc_curve

from adaspec.evaluation.scores.calibration import calibrated
from adaspec.evaluation.scores.detection import detected, stepped
from adaspec.evaluation.scores.error_curve import error_curve
from adaspec.evaluation.scores.tandem import AsvErrors, Costs, asv_errors, tandem_cost

ASV = AsvErrors(p_fa=0.0246047, p_miss=0.0245810, p_fa_spoof=0.7606525)  # of the challenge's eval part


def draw(seed: int, decimals: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """A random score set; with decimals there are ties."""
    rng = np.random.default_rng(seed)
    is_bonafide = np.arange(rng.integers(2, 300)) < rng.integers(1, 100)
    is_bonafide[-1] = False
    scores = rng.normal(size=len(is_bonafide)) + rng.uniform(-1, 3) * is_bonafide
    return scores if decimals is None else scores.round(decimals), is_bonafide


@st.composite
def score_sets(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    is_bonafide = draw(hnp.arrays(bool, st.integers(2, 40)))
    assume(is_bonafide.any() and not is_bonafide.all())
    scores = draw(hnp.arrays(np.float64, len(is_bonafide), elements=st.integers(-8, 8).map(lambda k: k / 4)))
    return scores, is_bonafide


def eer(scores: Any, is_bonafide: Any) -> float:
    return float(error_curve(np.asarray(scores, dtype=float), np.asarray(is_bonafide, dtype=bool)).eer())


def eer_in_steps(scores: np.ndarray, is_bonafide: np.ndarray) -> float:
    return float(stepped(scores, is_bonafide).values()["eer_in_steps"])


@pytest.mark.parametrize("decimals", [None, 1, 0])
def test_eer_and_auc_agree_with_the_interpolated_roc(decimals: int | None) -> None:
    for seed in range(100):
        scores, is_bonafide = draw(seed, decimals)
        p_fa, p_hit, _ = roc_curve(is_bonafide, scores, drop_intermediate=False)
        line = interp1d(p_fa, 1 - p_hit - p_fa)
        expected = brentq(line, 0, 1)
        assert eer(scores, is_bonafide) == pytest.approx(expected, abs=1e-9)
        assert detected(scores, is_bonafide).values()["auc"] == pytest.approx(
            roc_auc_score(is_bonafide, scores), abs=1e-9
        )


@pytest.mark.parametrize(
    ("bonafide", "spoof", "interpolated", "in_steps"),
    [
        ([3.0, 2.0], [1.0, 0.0], 0.0, 0.0),  # separated
        ([1.0, 0.0], [3.0, 2.0], 1.0, 1.0),  # the wrong way round
        ([1.0, 1.0], [1.0, 1.0], 0.5, 1.0),  # nothing told
        ([1.0, 3.0], [0.0, 2.0], 0.5, 0.5),
        ([2.0, 4.0, 5.0, 6.0], [0.0, 1.0, 3.0, 3.5], 0.25, 0.25),
        ([5.0], [1.0, 2.0, 3.0, 6.0], 0.25, 0.125),  # after four rejections: p_miss 0, p_fa 1/4
    ],
)
def test_eer_of_cases_counted_by_hand(
    bonafide: list[float], spoof: list[float], interpolated: float, in_steps: float
) -> None:
    scores, is_bonafide = np.array(bonafide + spoof), np.arange(len(bonafide) + len(spoof)) < len(bonafide)
    assert eer(scores, is_bonafide) == pytest.approx(interpolated, abs=1e-12)
    assert eer_in_steps(scores, is_bonafide) == pytest.approx(in_steps, abs=1e-12)


def test_eer_of_yes_and_no_depends_on_the_convention() -> None:
    is_bonafide = np.array([True] * 4 + [False] * 5)
    scores = np.array([1, 1, 1, 0, 1, 1, 0, 0, 0])  # p_fa 2/5, p_miss 1/4: the line from (0, 1) has them equal at 8/23
    assert eer(scores, is_bonafide) == pytest.approx(8 / 23, abs=1e-12)
    assert eer_in_steps(scores, is_bonafide) == pytest.approx(0.45)  # two of four missed before a spoof with score 1 is


@pytest.mark.parametrize("distance", [0.5, 1.0, 2.5])
def test_eer_of_gaussian_scores_is_their_closed_form(distance: float) -> None:
    quantiles = norm.ppf((np.arange(20_000) + 0.5) / 20_000)
    scores = np.concatenate([quantiles + distance, quantiles])
    expected = norm.cdf(-distance / 2)
    assert eer(scores, np.arange(40_000) < 20_000) == pytest.approx(expected, abs=1e-4)
    auc = detected(scores, np.arange(40_000) < 20_000).values()["auc"]
    assert auc == pytest.approx(norm.cdf(distance / math.sqrt(2)), abs=1e-4)


@given(score_sets())
def test_curve_does_not_change_with_a_rising_function_of_the_scores(case: tuple[np.ndarray, np.ndarray]) -> None:
    scores, is_bonafide = case
    one, other = error_curve(scores, is_bonafide), error_curve(np.exp(3 * scores) - 7, is_bonafide)
    np.testing.assert_array_equal(one.p_fa, other.p_fa)
    np.testing.assert_array_equal(one.p_miss, other.p_miss)


@given(score_sets())
def test_eer_is_the_same_with_labels_and_scores_reversed(case: tuple[np.ndarray, np.ndarray]) -> None:
    scores, is_bonafide = case
    assert eer(-scores, ~is_bonafide) == pytest.approx(eer(scores, is_bonafide), abs=1e-12)
    assert eer(-scores, is_bonafide) == pytest.approx(1 - eer(scores, is_bonafide), abs=1e-12)


@given(score_sets(), st.integers(2, 5))
def test_scores_do_not_change_when_every_trial_comes_several_times(
    case: tuple[np.ndarray, np.ndarray], times: int
) -> None:
    scores, is_bonafide = case
    one, many = error_curve(scores, is_bonafide), error_curve(np.tile(scores, times), np.tile(is_bonafide, times))
    assert many.eer() == pytest.approx(one.eer(), abs=1e-12)
    assert tandem_cost(many, ASV, "2021").min() == pytest.approx(tandem_cost(one, ASV, "2021").min(), abs=1e-12)


@given(score_sets())
def test_eer_threshold_has_errors_nearest_to_each_other(case: tuple[np.ndarray, np.ndarray]) -> None:
    scores, is_bonafide = case
    curve = error_curve(scores, is_bonafide)
    accepted = scores >= curve.eer_threshold()
    gap = abs(accepted[~is_bonafide].mean() - (~accepted[is_bonafide]).mean())
    assert gap == pytest.approx(np.abs(curve.p_fa - curve.p_miss).min(), abs=1e-12)


@pytest.mark.parametrize(
    ("scores", "is_bonafide", "message"),
    [
        ([1.0, 2.0], [True, True], "2 bona fide and 0 spoofed trials"),
        ([1.0, 2.0], [False, False], "0 bona fide and 2 spoofed trials"),
        ([], [], "0 bona fide and 0 spoofed trials"),
        ([1.0, math.nan], [True, False], "1 of 2 scores are not finite"),
        ([math.inf, 0.0], [True, False], "1 of 2 scores are not finite"),
    ],
)
def test_error_curve_refuses_what_has_no_error_rates(scores: Any, is_bonafide: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        error_curve(np.array(scores), np.array(is_bonafide, dtype=bool))
    with pytest.raises(ValueError, match=message):
        eer_in_steps(np.array(scores), np.array(is_bonafide, dtype=bool))


def test_tandem_cost_has_the_published_constants() -> None:
    """C0, C1 and C2 of the challenge's eval part, read off at the corners of the curve."""
    curve = error_curve(np.array([1.0, 0.0]), np.array([True, False]))  # nothing accepted, bona fide, everything
    c0, c1, c2 = 0.0254559, 0.9150441, 0.3803262
    legacy, newer = tandem_cost(curve, ASV, "2019"), tandem_cost(curve, ASV, "2021")
    np.testing.assert_allclose(legacy, [c1 / c2, 0, 1], atol=1e-6)
    np.testing.assert_allclose(newer, np.array([c0 + c1, c0, c0 + c2]) / (c0 + c2), atol=1e-6)


@pytest.mark.parametrize("formulation", ["2019", "2021"])
def test_min_tandem_cost_agrees_with_a_search_over_thresholds(formulation: Any) -> None:
    costs = Costs()
    p_target, p_nontarget = 0.95 * 0.99, 0.95 * 0.01
    c0 = p_target * ASV.p_miss + p_nontarget * 10 * ASV.p_fa
    c1, c2 = p_target - c0, 0.05 * 10 * ASV.p_fa_spoof
    for seed in range(200):
        scores, is_bonafide = draw(seed, decimals=1)
        best = math.inf
        for threshold in [*np.unique(scores), math.inf]:
            p_fa, p_miss = (scores[~is_bonafide] >= threshold).mean(), (scores[is_bonafide] < threshold).mean()
            if formulation == "2019":
                best = min(best, (c1 * p_miss + c2 * p_fa) / min(c1, c2))
            else:
                best = min(best, (c0 + c1 * p_miss + c2 * p_fa) / (c0 + min(c1, c2)))
        found = tandem_cost(error_curve(scores, is_bonafide), ASV, formulation, costs).min()
        assert found == pytest.approx(best, abs=1e-9)


def test_tandem_cost_of_nothing_told_is_one() -> None:
    curve = error_curve(np.ones(10), np.arange(10) < 4)
    assert tandem_cost(curve, ASV, "2019").min() == pytest.approx(1)
    assert tandem_cost(curve, ASV, "2021").min() == pytest.approx(1)


def test_tandem_cost_refuses_an_asv_system_that_rejects_all_spoofs() -> None:
    curve = error_curve(np.array([1.0, 0.0]), np.array([True, False]))
    with pytest.raises(ValueError, match="p_fa_spoof=0 leave a detector nothing to gain"):
        tandem_cost(curve, AsvErrors(0.01, 0.01, 0.0), "2019")


def test_asv_errors_are_those_at_the_equal_error_point() -> None:
    target, nontarget = np.array([5.0, 6.0, 7.0, 1.0]), np.array([0.0, 0.5, 2.0, 5.5])
    found = asv_errors(target, nontarget, np.array([4.0, 3.9, 5.2, 9.0]))
    assert (found.p_fa, found.p_miss) == (0.25, 0.25)  # between 2 and 5
    assert found.p_fa_spoof in (0.5, 0.75, 1.0)


def test_calibration_scores_agree_with_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    probability = rng.uniform(size=500)
    is_bonafide = rng.uniform(size=500) < probability**2
    found = calibrated(probability, is_bonafide).values()
    assert found["brier"] == pytest.approx(brier_score_loss(is_bonafide, probability))
    assert found["log_loss"] == pytest.approx(log_loss(is_bonafide, probability))
    parts = [(probability >= k / 15) & ((probability < (k + 1) / 15) | (k == 14)) for k in range(15)]
    expected = sum(part.mean() * abs(probability[part].mean() - is_bonafide[part].mean()) for part in parts)
    assert found["calibration_error"] == pytest.approx(expected)
    assert found["calibration_error"] > 0.1


def test_calibration_takes_certain_answers() -> None:
    found = calibrated(np.array([0.0, 1.0, 1.0]), np.array([False, True, False])).values()
    assert found["brier"] == pytest.approx(1 / 3)
    assert math.isfinite(found["log_loss"])
    assert found["log_loss"] > 5
    trials = calibrated(np.array([0.0, 1.0]), np.array([False, True]), 4)
    bins = trials.prepare(trials.summed())
    mean, _ = bins.per_bin()
    assert bins.n_trials.tolist() == [1, 0, 0, 1]
    assert np.isnan(mean[1:3]).all()
