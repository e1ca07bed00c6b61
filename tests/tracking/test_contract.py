"""What every tracker does, whatever keeps its records."""

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pandas as pd
import pytest
from toydata import make_outcome, small_config

from adaspec.config import TrackingConfig
from adaspec.models.saved import FORMAT
from adaspec.tracking import TRACKERS, Origin, RunTracker, StudyTracker
from adaspec.tracking.outcome import FoldOutcome

CLIPS = pd.DataFrame({"clip_id": ["a", "b"], "label": ["x", "y"], "digest": ["01", "02"]})
CONFIG = small_config(Path("raw"))
ROWS = [{"epoch": epoch, "train_loss": 1 / epoch, "learning_rate": 0.1} for epoch in (1, 2, 3)]
SUMMARY = {"accuracy": {"mean": 0.75, "ci_low": 0.6}}


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("MLFLOW_TRACKING_URI", "DVC_EXP_NAME", "DVC_ROOT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(params=sorted(TRACKERS))
def tracker(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with a trained model and figures."""
    root = tmp_path / "repository"
    (root / "models" / "fold-1").mkdir(parents=True)
    (root / "models" / "fold-1" / "model.json").write_text(json.dumps({"format": FORMAT, "labels": ["x", "y"]}))
    (root / "metrics" / "figures").mkdir(parents=True)
    (root / "metrics" / "summary.json").write_text("{}")
    (root / "metrics" / "figures" / "curves.png").write_bytes(b"png")
    return root


def record_run(tracker: str, root: Path) -> None:
    """Everything that training and evaluation record."""
    run = TRACKERS[tracker].run(root, "0123456789", CONFIG, CLIPS, Origin("c0ffee"))
    with run as entered:
        assert entered is run
        for n_done in (1, 3, 2):  # a row that is there already is no news
            run.log_epochs(1, ROWS[:n_done])
    run = TRACKERS[tracker].run(root, "0123456789", CONFIG, CLIPS, Origin())
    fold = FoldOutcome({"accuracy": 0.75}, {"window_change": 0.1}, ROWS, root / "models" / "fold-1")
    artifacts = [root / "metrics" / "summary.json", root / "metrics" / "figures"]
    outcome = make_outcome({1: fold}, SUMMARY, {"window_change": 0.1}, artifacts)
    run.complete(outcome)
    run.attach(outcome, artifacts[0], {"robustness/pgd": 0.5})


def record_study(tracker: str, root: Path) -> None:
    """Everything that a search records, by two workers."""
    first, second = (TRACKERS[tracker].study(root, CONFIG, "search", "key") for _ in range(2))
    for number, state in enumerate(("complete", "pruned", "failed", "lost")):
        first.begin_trial(number, {"train.optimizer.learning_rate": 0.1, "frontend.window": ["kaiser", 14.0]})
        first.log_epoch(number, 1, 0.5)
        second.end_trial(number, state, 0.5 if state == "complete" else None, "why" if state == "failed" else "")
    second.end_trial(99, "lost")  # nobody began it here
    first.conclude(False)
    second.conclude(True, (0, 0.5, {"train.optimizer.learning_rate": 0.1}))


RECORDS: dict[str, Callable[[str, Path], None]] = {"run": record_run, "study": record_study}


def test_tracker_takes_everything_without_a_word_and_keeps_it_in_the_repository(
    tracker: str, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for kind in ("study", "run"):  # in one store, which takes seconds to make
        RECORDS[kind](tracker, root)
        assert capsys.readouterr().err == ""
    assert list(tmp_path.iterdir()) == [root]


@pytest.fixture(params=["corrupt", "unwritable", "folder"])
def broken(request: pytest.FixtureRequest, root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository in which nothing can be recorded."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    if request.param == "corrupt":
        (root / "mlflow.db").write_bytes(b"this is no database\n" * 200)
    elif request.param == "unwritable":
        (root / ".adaspec").write_text("in the way")
    else:
        (root / "mlflow.db").mkdir()
    return root


# MLflow tries to open a database for 100 s; the limit only keeps the test from hanging.
@pytest.mark.timeout(90)
@pytest.mark.parametrize("kind", RECORDS)
def test_tracker_whose_store_fails_costs_a_warning_at_most(
    tracker: str, broken: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    RECORDS[kind](tracker, broken)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) <= 2  # one for each record that was opened
    assert all(line.startswith("warning: ") for line in lines)


def test_tracker_lets_errors_of_the_work_through(tracker: str, root: Path) -> None:
    def fail(error: BaseException) -> None:
        with TRACKERS[tracker].run(root, "0123456789", CONFIG, CLIPS, Origin()):
            raise error

    with pytest.raises(ValueError, match="bad"):
        fail(ValueError("bad"))
    with pytest.raises(KeyboardInterrupt):
        fail(KeyboardInterrupt())


@pytest.mark.parametrize("contract", [RunTracker, StudyTracker])
def test_tracker_takes_the_arguments_of_the_contract(tracker: str, contract: type) -> None:
    kind: Any = TRACKERS[tracker].run if contract is RunTracker else TRACKERS[tracker].study
    for name, method in inspect.getmembers(contract, inspect.isfunction):
        if name.startswith("_"):
            continue
        wanted, found = (list(inspect.signature(each).parameters.values()) for each in (method, getattr(kind, name)))
        assert [(each.name, each.default) for each in found] == [(each.name, each.default) for each in wanted]


def test_every_tracker_can_be_chosen() -> None:
    assert set(get_args(TrackingConfig.model_fields["tracker"].annotation)) == set(TRACKERS)
