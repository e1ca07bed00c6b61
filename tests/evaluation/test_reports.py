from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from adaspec.config import EvaluateConfig
from adaspec.evaluation.reports import REPORTS, Evidence
from adaspec.evaluation.reports.classification import ClassificationReport
from adaspec.tables import ROLES
from adaspec.tasks import TASKS

LABELS = {"classification": ["a", "b", "c"], "spoofing": ["bonafide", "spoof"]}
Pairs = dict[int, list[tuple[str, str]]]  # fold -> (label, predicted) of each test clip


def settings(n_bootstrap: int = 100) -> EvaluateConfig:
    return EvaluateConfig(
        vote="mean", overlap=0.0, cohort=0, costs="default", n_bootstrap=n_bootstrap, asv_error_rates=None
    )


def evidence(pairs: Pairs, labels: list[str], n_per_group: int = 1, seed: int = 42, **knobs: Any) -> Evidence:
    """Clips that were scored as told, those of `n_per_group` in a row from one group."""
    rows = [
        {"fold": fold, "role": role, "clip_id": f"{role}-{index}", "path": f"{role}-{index}.wav"}
        | {"label": label, "predicted": predicted}
        | {"group": f"{label}-{index // n_per_group}"}
        | {f"score_{each}": 0.9 if each == predicted else 0.1 / (len(labels) - 1) for each in labels}
        for fold, group in pairs.items()
        for role in ("validation", "test")
        for index, (label, predicted) in enumerate(group)
    ]
    table = pd.DataFrame(rows)
    return Evidence(table, table.assign(role="train"), labels, settings(**knobs), seed)


def classification(pairs: Pairs, **changes: Any) -> ClassificationReport:
    return ClassificationReport(evidence(pairs, ["a", "b"], **changes))


def test_every_task_has_a_report() -> None:
    assert set(REPORTS) == set(TASKS) == set(LABELS)


@pytest.mark.parametrize("task", list(REPORTS))
def test_report_keeps_its_contract(task: str, tmp_path: Path) -> None:
    labels = LABELS[task]
    rng = np.random.default_rng(0)
    pairs = {
        fold: [(label, label if rng.random() < 0.7 else labels[0]) for label in labels * 8 for _ in range(2)]
        for fold in (1, 2)
    }
    given = evidence(pairs, labels)
    report = REPORTS[task](given)
    assert set(report.roles) <= set(ROLES)
    assert "test" in report.roles
    assert set(report.folds) == {1, 2}
    for name, statistics in report.summary.items():
        values = [scores[name] for scores in report.folds.values()]
        assert statistics["mean"] == pytest.approx(np.mean(values), abs=1e-6)
        assert set(statistics) in ({"mean", "std"}, {"mean", "std", "ci_low", "ci_high"})
    for name, statistics in report.headline.items():
        assert statistics.items() <= report.summary[name].items()
    assert sum(len(statistics) for statistics in report.headline.values()) <= 5  # columns of `dvc metrics show`
    assert set(next(iter(report.headline.values()))) == {"mean", "std", "ci_low", "ci_high"}
    assert report.lines()
    written = []
    for name in ("first", "second"):
        (tmp_path / name / "figures").mkdir(parents=True)
        REPORTS[task](given).write(tmp_path / name)
        files = [path for path in sorted((tmp_path / name).rglob("*")) if path.is_file()]
        written.append({path.relative_to(tmp_path / name): path.read_bytes() for path in files})
    assert written[0] == written[1]
    assert all(written[0].values())


def test_folds_weigh_the_same() -> None:
    large, small = [("a", "a"), ("b", "b")] * 10, [("a", "b"), ("b", "a")]
    summary = classification({1: large, 2: small}).summary["accuracy"]
    assert summary == {"mean": 0.5, "std": round(float(np.sqrt(0.5)), 6), "ci_low": 0.5, "ci_high": 0.5}


def test_one_fold_has_no_spread() -> None:
    report = classification({1: [("a", "a"), ("b", "b"), ("b", "a")]})
    assert set(report.summary["f1_macro"]) == {"mean", "ci_low", "ci_high"}
    assert next(line for line in report.lines() if line.startswith("std")).split() == ["std", "-", "-"]


def test_worst_errors_come_first() -> None:
    given = evidence({1: [("a", "b"), ("b", "a"), ("a", "a")]}, ["a", "b"])
    given.scored.loc[:, "score_a"] = [0.4, 0.9, 0.8] * 2
    given.scored.loc[:, "score_b"] = [0.6, 0.1, 0.2] * 2
    told = ClassificationReport(given).worst_errors()
    assert told.to_numpy().tolist() == [[1, "test-1.wav", "b", "a", 0.1], [1, "test-0.wav", "a", "b", 0.4]]


def guesses(n_clips: int = 80) -> Pairs:
    rng = np.random.default_rng(0)
    return {1: [(label, label if rng.random() < 0.7 else "a") for label in "ab" * (n_clips // 2)]}


def test_interval_follows_the_seed_and_the_number_of_resamples() -> None:
    def interval(**changes: Any) -> dict[str, float]:
        return classification(guesses(), **changes).summary["precision_weighted"]

    assert interval() == interval()
    assert interval() != interval(seed=43)
    assert interval() != interval(n_bootstrap=333)


def test_interval_draws_groups() -> None:
    alike = {1: [pair for pair in guesses(40)[1] for _ in range(4)]}

    def width(n_per_group: int) -> float:
        found = classification(alike, n_per_group=n_per_group, n_bootstrap=2000).summary["accuracy"]
        return found["ci_high"] - found["ci_low"]

    assert width(4) == pytest.approx(2 * width(1), rel=0.2)
