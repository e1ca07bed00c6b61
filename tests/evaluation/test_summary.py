import math

import numpy as np
import pytest

from adaspec.evaluation.scores.classification import classified
from adaspec.evaluation.summary import (
    difference,
    headline,
    interval,
    mean_and_std,
    paired_interval,
    rounded,
    summarise,
)


def test_mean_and_std_take_n_less_one() -> None:
    assert mean_and_std(np.array([1.0, 2.0, 4.0])) == (pytest.approx(7 / 3), pytest.approx(math.sqrt(7 / 3)))
    mean, std = mean_and_std(np.array([0.25]))
    assert mean == 0.25
    assert math.isnan(std)


def test_interval_is_that_of_percentiles_and_leaves_out_what_is_undefined() -> None:
    values = np.arange(1001) / 1000
    assert interval(values) == (0.025, 0.975)
    assert interval(np.append(values, np.nan)) == (0.025, 0.975)


def test_paired_interval_is_nothing_where_rounding_alone_differs() -> None:
    values = np.array([0.1 + 0.2, 0.5, 0.7])
    assert paired_interval(values, np.array([0.3, 0.5, 0.7])) == (0, 0)
    assert difference(0.1 + 0.2, 0.3) == 0
    assert paired_interval(values, values - 0.125) == (0.125, 0.125)


def test_rounded_gives_the_scores_of_all_families() -> None:
    scored = classified(np.array([0, 1, 1]), np.array([0, 1, 0]), 2)
    assert rounded([scored])["accuracy"] == 0.666667
    assert rounded([]) == {}


def test_summary_holds_what_there_is() -> None:
    resampled = {"eer": np.linspace(0, 1, 1001)}
    assert summarise([{"eer": 0.5, "auc": 0.5}], resampled) == {
        "eer": {"mean": 0.5, "ci_low": 0.025, "ci_high": 0.975},
        "auc": {"mean": 0.5},
    }
    both = summarise([{"eer": 0.25}, {"eer": 0.5, "auc": 0.5}], {})
    assert both == {"eer": {"mean": 0.375, "std": 0.176777}, "auc": {"mean": 0.5}}


def test_headline_is_one_score_and_the_mean_of_others() -> None:
    summary = {"eer": {"mean": 0.1, "std": 0.2}, "auc": {"mean": 0.9, "std": 0.1}, "brier": {"mean": 0.3}}
    assert headline(summary, "eer", "auc", "min_tdcf_2019") == {"eer": summary["eer"], "auc": {"mean": 0.9}}
