import importlib
import math
from pathlib import Path

import numpy as np
import pytest
import scipy.stats

from adaspec.evaluation.bootstrap import Draw, resampled_values
from adaspec.evaluation.scores.classification import right
from adaspec.experiments.compare import ROPE, Verdict, judge
from adaspec.experiments.statistics import Bayes, Paired, bayesian_correlated_t, corrected_resampled_t, holm, mcnemar

ROOT = Path(__file__).parents[2]

FIVE = np.array([0.80, 0.82, 0.78, 0.85, 0.81]), np.array([0.84, 0.83, 0.80, 0.90, 0.80])
TEN = np.array([1, -2, 3, 0, 1, -1, 2, 0, 1, 2]) * 1e-3
# baycomp 1.0.3 (numpy 2.4.6, scipy 1.17.1): CorrelatedTTest(first, second, rope, runs=1).probs(), one fold per value;
# of the ten, the second of the two is the first less TEN.
BAYCOMP = [
    (FIVE[1] - FIVE[0], 0.01, (0.058187705241238306, 0.1894894492042779, 0.7523228455544838)),
    (FIVE[1] - FIVE[0], 0.05, (0.005429495863234691, 0.9169077496991304, 0.07766275443763493)),
    (-TEN, 0.01, (1.3644625756196227e-07, 0.9999998230678296, 4.048591284444569e-08)),
]


@pytest.mark.parametrize(("differences", "rope", "expected"), BAYCOMP)
def test_bayesian_correlated_t_agrees_with_baycomp(differences, rope, expected) -> None:
    found = bayesian_correlated_t(differences, 1 / (len(differences) - 1), rope)
    assert (found.below, found.within, found.above) == pytest.approx(expected, rel=1e-6)


def test_corrected_resampled_t_by_hand() -> None:
    # Mean 2, variance 1, of three folds: the variance of the mean is (1/3 + 1/2) 1, where the naive one is 1/3.
    t, p_value = corrected_resampled_t(np.array([1.0, 2.0, 3.0]), 1 / 2)
    assert t == pytest.approx(2 / math.sqrt(5 / 6))
    assert p_value == pytest.approx(2 * scipy.stats.t.sf(t, 2))


def test_tests_of_folds_that_do_not_differ_are_certain() -> None:
    assert corrected_resampled_t(np.zeros(5), 0.25) == (0, 1)
    assert corrected_resampled_t(np.full(5, -0.125), 0.25) == (-math.inf, 0)
    assert bayesian_correlated_t(np.zeros(5), 0.25, 0.01) == Bayes(0, 1, 0)
    assert bayesian_correlated_t(np.full(5, 0.125), 0.25, 0.01) == Bayes(0, 0, 1)


@pytest.mark.parametrize("counts", [(10, 2), (2, 10), (0, 0), (5, 5), (0, 1), (0, 6), (3, 9), (400, 350)])
def test_mcnemar_test_is_the_exact_binomial_test(counts: tuple[int, int]) -> None:
    n = sum(counts)
    expected = scipy.stats.binomtest(counts[0], n).pvalue if n else 1.0
    assert mcnemar(*counts) == pytest.approx(expected, rel=1e-9)


def test_holm_corrects_for_those_that_are_left() -> None:
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])  # the order of p-values is kept
    assert holm([0.9, 0.6]) == [1.0, 1.0]
    assert holm([]) == []


def paired(first, second, groups, n_resamples: int = 4000, folds: int = 1) -> Paired:
    """Of hits (n_runs, n_clips); folds are equal parts of the clips, one after the other."""
    values, drawn, n_units = [], [], []
    for own in np.array_split(np.arange(len(groups)), folds):
        scored = [right(one[own]) for one in (*first, *second)]
        values.append([float(each.values()["accuracy"]) for each in scored])
        resampled = resampled_values(scored, Draw(groups[own], np.random.default_rng(len(drawn))), n_resamples)
        drawn.append(np.stack([each["accuracy"] for each in resampled], axis=1))
        n_units.append(len(set(groups[own])))
    ends = [len(first)]
    both, all_drawn = np.array(values), np.stack(drawn, axis=1)
    return Paired.of(*np.split(both, ends, axis=1), *np.split(all_drawn, ends, axis=2), n_units)


def test_standard_error_agrees_with_a_direct_bootstrap_of_groups() -> None:
    rng = np.random.default_rng(1)
    groups = np.sort(rng.integers(0, 60, 150))
    names = np.unique(groups)
    shared = rng.random(names.max() + 1)[groups]
    first, second = (np.array([shared + 0.5 * rng.random(150) < level for _ in range(2)]) for level in (0.7, 0.9))
    found = paired(first, second, groups)
    change = second.mean(axis=0) - first.mean(axis=0)
    members = {name: np.flatnonzero(groups == name) for name in names}
    direct = [
        change[np.concatenate([members[name] for name in rng.choice(names, len(names))])].mean() for _ in range(4000)
    ]
    expected = np.var(direct) * len(names) / (len(names) - 1)
    assert found.groups_variance == pytest.approx(expected, rel=0.08)  # 4,000 resamples: 2.2 % each
    # What it would be, were clips drawn one by one, is less.
    assert found.groups_variance > 1.2 * np.var(change) / 150


def test_training_counts_by_runs_of_the_same_fold_and_seed() -> None:
    # Both settings are right about the first n clips: seeds move both alike, so that their difference is known.
    first = np.array([np.arange(200) < n for n in (80, 120, 160)])
    second = np.array([np.arange(200) < n for n in (90, 130, 170)])
    assert paired(first, second, np.arange(200)).training_variance == pytest.approx(0, abs=1e-20)
    unpaired = paired(first, np.array([*second, second[1]]), np.arange(200))
    assert unpaired.training_variance > 0.01
    # Two folds of three runs each: the mean of the variances of the folds' differences, over folds times runs.
    second[2, :50] = False
    folds = [
        second[:, :100].mean(axis=1) - first[:, :100].mean(axis=1),
        second[:, 100:].mean(axis=1) - first[:, 100:].mean(axis=1),
    ]
    expected = np.mean([one.var(ddof=1) for one in folds]) / 6
    assert paired(first, second, np.arange(200), folds=2).training_variance == pytest.approx(expected)


def test_one_run_each_goes_by_the_folds_where_they_differ_more_than_clips() -> None:
    hits = np.zeros((1, 500), dtype=bool)
    better = hits.copy()
    better[0, :100:2] = True  # in the first fold alone
    found = paired(hits, better, np.arange(500), folds=5)
    differences = np.array([0.5, 0, 0, 0, 0])
    half = scipy.stats.t.ppf(0.975, 4) * differences.std(ddof=1) / math.sqrt(5)
    assert (found.low, found.high) == pytest.approx((0.1 - half, 0.1 + half))
    assert found.p_value == pytest.approx(scipy.stats.ttest_1samp(differences, 0).pvalue)


def test_one_run_each_in_one_fold_tells_nothing() -> None:
    found = paired(np.zeros((1, 50), dtype=bool), np.ones((1, 50), dtype=bool), np.arange(50))
    assert (found.difference, found.low, found.high, found.p_value) == (1, -math.inf, math.inf, 1)
    assert judge(found, found.p_value, ROPE, lower_is_better=False) is Verdict.OPEN
    assert found.more_needed(1, ROPE)[0] == 1


def test_interval_is_banerjees_and_its_p_value_that_at_which_it_reaches_zero() -> None:
    values = np.array([[0.5, 0.7, 0.6]])  # one fold, three runs: their variance is 0.01, that of the mean a third of it
    drawn = np.array([-1.0, 1.0])[:, None, None] * np.full(3, 0.05)  # variance of the mean by groups: 0.0025
    n_groups = 26
    found = Paired.of(np.zeros((1, 3)), values, np.zeros((2, 1, 3)), drawn, [n_groups])
    groups, training = 0.0025 * n_groups / (n_groups - 1), 0.01 / 3
    assert (found.groups_variance, found.training_variance) == pytest.approx((groups, training))
    t_groups, t_training = (scipy.stats.t.ppf(0.975, df) for df in (n_groups - 1, 2))
    half = math.sqrt(t_groups**2 * groups + t_training**2 * training)
    assert (found.low, found.high) == pytest.approx((0.6 - half, 0.6 + half))
    t_groups, t_training = (scipy.stats.t.ppf(found.p_value / 2, df) for df in (n_groups - 1, 2))
    assert math.sqrt(t_groups**2 * groups + t_training**2 * training) == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("low", "high", "p_holm", "verdict"),
    [
        (0.02, 0.06, 0.001, Verdict.BETTER),
        (-0.06, -0.02, 0.001, Verdict.WORSE),
        (0.001, 0.009, 0.001, Verdict.EQUAL),
        (-0.01, 0.01, 1.0, Verdict.EQUAL),
        (-0.01, 0.06, 0.3, Verdict.OPEN),
        (0.002, 0.06, 0.06, Verdict.OPEN),  # for as many as are compared
    ],
)
def test_verdict_follows_interval_and_corrected_p(low: float, high: float, p_holm: float, verdict: Verdict) -> None:
    found = Paired((low + high) / 2, 1e-4, 0, 1e-4, low, high, p_holm)
    assert judge(found, p_holm, 0.01, lower_is_better=False) is verdict
    other = {Verdict.BETTER: Verdict.WORSE, Verdict.WORSE: Verdict.BETTER}.get(verdict, verdict)
    assert judge(found, p_holm, 0.01, lower_is_better=True) is other


def test_needed_data_would_tell_with_a_power_of_four_fifths() -> None:
    z = 1.959964 + 0.841621
    found = Paired(0.03, 1.0e-4, 0.0, 3.0e-4, 0, 0, 0.1)  # standard error 0.02; 0.03 / z = 0.0107 is wanted
    runs, clips = found.more_needed(2, 0.0)
    assert runs == math.ceil(2 * 3e-4 / ((0.03 / z) ** 2 - 1e-4)) - 2
    assert clips == pytest.approx(4e-4 / (0.03 / z) ** 2, rel=1e-4)
    assert Paired(0.02, 1e-4, 0.0, 3e-4, 0, 0, 0.1).more_needed(2, 0.0)[0] is None  # groups alone are too much
    assert Paired(0.02, 1e-4, 9e-5, 3e-4, 0, 0, 0.1).more_needed(2, 0.0)[0] is not None  # but for what runs take off
    assert Paired(0.0, 1e-4, 0.0, 0, 0, 0, 1.0).more_needed(2, 0.05)[1] == 1  # that it is less than 0.05
    assert Paired(0.0, 1e-4, 0.0, 0, 0, 0, 1.0).more_needed(2, 0.0) == (None, math.inf)  # nothing is to be told


def test_simulated_studies_err_rarely_and_find_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    power = importlib.import_module("compare_power")
    monkeypatch.setattr(power, "N_RESAMPLES", 100)
    n = 40
    found = [power.shares(n, 0.0, n_seeds, seed=n_seeds) for n_seeds in (1, 2, 3, 5)]
    most = scipy.stats.binom.ppf(0.999, 4 * n, 0.05) / (4 * n)
    for verdict in ("better", "worse"):
        assert np.mean([one["compare"][verdict] for one in found]) <= most
    assert np.mean([one["naive"]["better"] + one["naive"]["worse"] for one in found]) > 0.08
    edge = power.shares(n, power.WIDE, 3, seed=9, rope=power.WIDE)
    assert edge["compare"]["practically equal"] <= scipy.stats.binom.ppf(0.999, n, 0.05) / n
    assert power.shares(n, 0.0, 3, seed=9, rope=power.WIDE)["compare"]["practically equal"] > 0.3
    real = power.shares(n, 0.06, 3, seed=9)
    assert real["compare"]["better"] > real["corrected"]["better"] + 0.1
