import ast
import contextlib
import json
import multiprocessing
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from toydata import changed, make_outcome, small_config

import adaspec
from adaspec.config import Config, flatten
from adaspec.errors import InputError
from adaspec.experiments.runs import read_setting
from adaspec.models.saved import FORMAT
from adaspec.runtime.workspace import lock_file, only_one, repository_root
from adaspec.tracking import Origin
from adaspec.tracking.mlflow_read import find_run
from adaspec.tracking.mlflow_run import MlflowRun
from adaspec.tracking.outcome import FoldOutcome, Outcome

CLIPS = pd.DataFrame({"clip_id": ["a", "b", "c"], "label": ["x", "y", "x"], "digest": ["01", "02", "03"]})
CONFIG = small_config(Path("raw"))
DIGEST = "0123456789abcdef"
DESCRIPTION = {"format": FORMAT, "labels": ["x", "y"]}
SUMMARY = {"accuracy": {"mean": 0.75, "std": 0.1, "ci_low": 0.6, "ci_high": 0.9}, "f1_macro": {"mean": 0.7}}


def rows(n_epochs: int) -> list[dict[str, float]]:
    names = ("train_loss", "validation_loss", "validation_accuracy", "learning_rate")
    return [{"epoch": epoch} | {name: len(name) / epoch for name in names} for epoch in range(1, n_epochs + 1)]


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A database with MLflow's tables and no run: creating them takes seconds."""
    root = tmp_path_factory.mktemp("tables")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.chdir(root)
        assert (
            MlflowRun(root, DIGEST, CONFIG, CLIPS, Origin()).client.get_experiment_by_name(CONFIG.tracking.experiment)
            is None
        )
    return (root / "mlflow.db").read_bytes()


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("MLFLOW_TRACKING_URI", "DVC_EXP_NAME", "DVC_ROOT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def root(tables: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Path]:
    """A repository; at the end, nothing must have been said about a broken store."""
    root = tmp_path / "repository"
    root.mkdir()
    (root / "mlflow.db").write_bytes(tables)
    yield root
    assert "warning" not in capsys.readouterr().err


def record(root: Path, config: Config = CONFIG, digest: str = DIGEST, origin: Origin | None = None) -> MlflowRun:
    return MlflowRun(root, digest, config, CLIPS, origin or Origin())


def write_model(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "model.json").write_text(json.dumps(DESCRIPTION))


class Store:
    """What a user of MLflow sees."""

    def __init__(self, root: Path, experiment: str = CONFIG.tracking.experiment) -> None:
        from mlflow import MlflowClient

        self.client = MlflowClient(f"sqlite:///{root / 'mlflow.db'}")
        self.experiment = self.client.get_experiment_by_name(experiment)
        self.runs = self.client.search_runs([self.experiment.experiment_id], order_by=["start_time ASC"])
        self.parents = [run for run in self.runs if "mlflow.parentRunId" not in run.data.tags]

    @property
    def parent(self) -> Any:
        (parent,) = self.parents
        return parent

    def children(self, parent: Any) -> dict[str, Any]:
        own = [run for run in self.runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
        by_name = {run.info.run_name: run for run in own}
        assert len(by_name) == len(own), "two runs for a fold"
        return by_name

    def steps(self, run: Any, metric: str) -> list[tuple[int, float]]:
        return [(point.step, point.value) for point in self.client.get_metric_history(run.info.run_id, metric)]

    def artifacts(self, run: Any, folder: str | None = None) -> list[str]:
        return sorted(item.path for item in self.client.list_artifacts(run.info.run_id, folder))


def train(root: Path, n_epochs: int = 3, folds: tuple[int, ...] = (1, 2), **changes: Any) -> None:
    with record(root, **changes) as run:
        for n_done in range(1, n_epochs + 1):
            for fold in folds:
                run.log_epochs(fold, rows(n_done))


def outcome_of(root: Path, folds: tuple[int, ...] = (1, 2), n_epochs: int = 3) -> Outcome:
    """What the stage `evaluate` leaves."""
    model, metrics = root / "models", root / "metrics"
    (metrics / "figures").mkdir(parents=True, exist_ok=True)
    write_model(model)
    (metrics / "summary.json").write_text("{}")
    (metrics / "figures" / "confusion.png").write_bytes(b"png")
    of_folds = {fold: FoldOutcome({"accuracy": 0.5 + fold / 10}, {}, rows(n_epochs), model) for fold in folds}
    return make_outcome(of_folds, SUMMARY, artifacts=[metrics / "summary.json", metrics / "figures"])


def conclude(root: Path, folds: tuple[int, ...] = (1, 2), n_epochs: int = 3, **changes: Any) -> None:
    """What the stage `evaluate` does."""
    record(root, **changes).complete(outcome_of(root, folds, n_epochs))


def test_tracking_nests_a_run_per_fold_in_one_parent(root: Path) -> None:
    train(root, folds=(1, 2, 3))
    store = Store(root)
    assert set(store.children(store.parent)) == {"fold-1", "fold-2", "fold-3"}
    assert len(store.runs) == 4
    tags = store.children(store.parent)["fold-2"].data.tags
    assert tags["adaspec.fold"] == "2"


def test_tracking_creates_no_run_before_the_first_epoch(root: Path) -> None:
    with record(root):
        pass
    client = record(root).client  # the experiment is not there either
    assert client.get_experiment_by_name(CONFIG.tracking.experiment) is None


def test_tracking_logs_every_knob_that_decides_on_the_parent(root: Path) -> None:
    train(root)
    conclude(root)
    store = Store(root)
    # What a search varies, how work is spread, where it is recorded and what is asked later decide nothing of a run.
    knobs = {
        key: str(value)
        for key, value in flatten(CONFIG).items()
        if not key.startswith(("tune.", "engine.", "tracking.", "robustness."))
    }
    assert store.parent.data.params == knobs
    assert all(child.data.params == {} for child in store.children(store.parent).values())


def test_tracking_logs_the_knobs_of_evaluation_as_they_are_then(root: Path) -> None:
    train(root)
    conclude(root, config=changed(CONFIG, **{"evaluate.vote": "majority"}))
    assert Store(root).parent.data.params["evaluate.vote"] == "majority"


def test_tracking_logs_a_curve_per_fold_with_steps_from_one(root: Path) -> None:
    train(root, n_epochs=4)
    store = Store(root)
    for child in store.children(store.parent).values():
        for name in ("train_loss", "validation_loss", "validation_accuracy", "learning_rate"):
            assert store.steps(child, name) == [(row["epoch"], row[name]) for row in rows(4)]
        assert "epoch" not in child.data.metrics
    assert store.parent.data.metrics == {}


def test_tracking_logs_overlapping_histories_once(root: Path) -> None:
    with record(root) as run:
        for n_epochs in (2, 2, 5, 3, 5, 6):
            run.log_epochs(1, rows(n_epochs))
    with record(root) as run:
        run.log_epochs(1, rows(4))
        run.log_epochs(1, rows(8))
    store = Store(root)
    assert [step for step, _ in store.steps(store.children(store.parent)["fold-1"], "train_loss")] == [*range(1, 9)]


def test_tracking_takes_more_epochs_than_a_request_holds(root: Path) -> None:
    with record(root) as run:
        run.log_epochs(1, rows(333))
    store = Store(root)
    assert store.steps(store.children(store.parent)["fold-1"], "learning_rate")[-1] == (333, 13 / 333)


def test_tracking_logs_scores_of_folds_and_of_the_whole(root: Path) -> None:
    train(root)
    conclude(root)
    store = Store(root)
    expected = {"cv/accuracy_mean": 0.75, "cv/accuracy_std": 0.1, "cv/accuracy_ci_low": 0.6, "cv/accuracy_ci_high": 0.9}
    assert store.parent.data.metrics == expected | {"cv/f1_macro_mean": 0.7}
    found = {name: run.data.metrics["test_accuracy"] for name, run in store.children(store.parent).items()}
    assert found == {"fold-1": 0.6, "fold-2": 0.7}


def test_tracking_logs_artifacts_beside_the_store(root: Path) -> None:
    train(root)
    conclude(root)
    store = Store(root)
    assert store.artifacts(store.parent) == ["figures", "summary.json"]
    assert store.artifacts(store.parent, "figures") == ["figures/confusion.png"]
    child = store.children(store.parent)["fold-1"]
    [output] = child.outputs.model_outputs
    folder = root / "mlartifacts" / CONFIG.tracking.experiment / "models" / output.model_id / "artifacts"
    assert json.loads((folder / "data" / "models" / "model.json").read_text()) == DESCRIPTION


def test_tracking_logs_the_data_set_as_input(root: Path) -> None:
    train(root)
    other = CLIPS.assign(digest=["01", "02", "04"])
    with MlflowRun(root, "other", CONFIG, other, Origin()) as run:
        run.log_epochs(1, rows(1))
    store = Store(root)
    inputs = [parent.inputs.dataset_inputs for parent in store.parents]
    assert [len(datasets) for datasets in inputs] == [1, 1]
    first, second = (datasets[0].dataset for datasets in inputs)
    assert first.name == second.name == "folder"
    assert json.loads(first.profile) == {"clips": 3, "labels": 2}
    assert json.loads(first.source) == {"root": CONFIG.dataset.root}
    assert first.digest != second.digest


def test_tracking_tags_commit_training_and_experiment(root: Path) -> None:
    train(root, origin=Origin("c0ffee", "bold-try"))
    tags = Store(root).parent.data.tags
    assert tags["mlflow.source.git.commit"] == "c0ffee"
    assert tags["adaspec.training"] == DIGEST
    assert tags["dvc.experiment"] == tags["mlflow.runName"] == "bold-try"


def test_tracking_outside_git_and_dvc_names_the_workspace(root: Path) -> None:
    train(root)
    tags = Store(root).parent.data.tags
    assert tags["mlflow.runName"] == f"workspace-{DIGEST[:7]}"
    assert not {"mlflow.source.git.commit", "dvc.experiment"} & set(tags)


def test_tracking_continues_the_same_runs_until_complete(root: Path) -> None:
    train(root, n_epochs=2)
    before = {run.info.run_id for run in Store(root).runs}
    train(root, n_epochs=3)
    conclude(root)
    store = Store(root)
    assert {run.info.run_id for run in store.runs} == before
    assert [step for step, _ in store.steps(store.children(store.parent)["fold-2"], "train_loss")] == [1, 2, 3]
    assert not list((root / ".adaspec" / "runs").iterdir())

    train(root, n_epochs=1)
    store = Store(root)
    assert len(store.parents) == 2
    old, new = sorted(store.parents, key=lambda run: run.info.run_id not in before)
    assert {run.info.run_id for run in (old, *store.children(old).values())} == before
    assert set(store.children(new)) == {"fold-1", "fold-2"}


def test_tracking_keeps_trainings_of_other_digests_apart(root: Path) -> None:
    train(root)
    train(root, digest="another")
    tags = [parent.data.tags["adaspec.training"] for parent in Store(root).parents]
    assert sorted(tags) == sorted([DIGEST, "another"])


def test_tracking_of_restored_models_records_everything_anew(root: Path) -> None:
    conclude(root, n_epochs=4)  # no training came before
    store = Store(root)
    children = store.children(store.parent)
    assert set(children) == {"fold-1", "fold-2"}
    assert len(store.steps(children["fold-1"], "train_loss")) == 4
    assert store.parent.info.status == "FINISHED"


def test_tracking_starts_anew_where_the_store_was_deleted(root: Path, tables: bytes, tmp_path: Path) -> None:
    train(root)
    moved = tmp_path / "moved"
    (moved / ".adaspec").mkdir(parents=True)
    (root / ".adaspec" / "runs").rename(moved / ".adaspec" / "runs")
    (moved / "mlflow.db").write_bytes(tables)
    train(moved, n_epochs=5)
    store = Store(moved)
    child = store.children(store.parent)["fold-1"]
    assert [step for step, _ in store.steps(child, "train_loss")] == [1, 2, 3, 4, 5]


def statuses(root: Path) -> set[str]:
    return {run.info.status for run in Store(root).runs}


def test_tracking_marks_runs_as_they_ended(root: Path) -> None:
    with record(root) as run:
        run.log_epochs(1, rows(1))
        assert statuses(root) == {"RUNNING"}
    assert statuses(root) == {"FINISHED"}

    def end(error: BaseException) -> None:
        with record(root) as run:
            run.log_epochs(1, rows(2))
            assert statuses(root) == {"RUNNING"}
            raise error

    with pytest.raises(ValueError, match="bad"):
        end(ValueError("bad"))
    assert statuses(root) == {"FAILED"}
    with pytest.raises(KeyboardInterrupt):
        end(KeyboardInterrupt())
    assert statuses(root) == {"KILLED"}
    conclude(root, folds=(1,))
    assert statuses(root) == {"FINISHED"}


def test_tracking_evaluation_that_was_cut_short_can_be_repeated_with_other_knobs(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(root)
    record(root).complete(replace(outcome_of(root), artifacts=[root / "gone"]))  # fails half way, as an interrupt would
    assert capsys.readouterr().err.startswith("warning: MLflow records no more of this run (")
    conclude(root, config=changed(CONFIG, **{"evaluate.vote": "majority"}))
    completed = [run for run in Store(root).parents if run.data.params.get("evaluate.vote") == "majority"]
    assert [run.info.status for run in completed] == ["FINISHED"]
    assert completed[0].data.metrics["cv/accuracy_mean"] == 0.75
    assert not list((root / ".adaspec" / "runs").iterdir())


def test_tracking_finds_the_experiment_by_name(root: Path) -> None:
    train(root)
    train(root, config=changed(CONFIG, **{"tracking.experiment": "my own"}), digest="second")
    train(root, digest="third")
    assert len(Store(root).parents) == 2
    assert len(Store(root, "my own").parents) == 1


def test_tracking_uri_of_the_user_is_used(root: Path, tables: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    other = root.parent / "other"
    other.mkdir()
    (other / "mlflow.db").write_bytes(tables)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{other / 'mlflow.db'}")
    train(root)
    assert len(Store(other).parents) == 1
    assert (root / "mlflow.db").read_bytes() == tables


def _train_when_all_are_ready(root: Path, digest: str, barrier: Barrier) -> None:
    import mlflow  # noqa: F401  (seconds; the race is for the database)

    barrier.wait(120)
    with MlflowRun(root, digest, CONFIG, CLIPS, Origin()) as run:
        run.log_epochs(1, rows(2))
    if run.broken:
        raise SystemExit(3)


def test_tracking_two_processes_may_create_the_database_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2)
    processes = [
        context.Process(target=_train_when_all_are_ready, args=(tmp_path, digest, barrier)) for digest in ("a", "b")
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert len(Store(tmp_path).parents) == 2


@pytest.mark.parametrize("store", ["corrupt", "unwritable"])
def test_tracking_broken_store_costs_one_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], store: str
) -> None:
    if store == "corrupt":
        (tmp_path / "mlflow.db").write_bytes(b"this is no database\n" * 200)
    else:
        (tmp_path / ".adaspec").write_text("in the way")
    for stage in (train, conclude):
        stage(tmp_path)
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("warning: MLflow records no more of this run (")


def test_repository_root_is_where_dvc_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert repository_root() == tmp_path.resolve()
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "there"))
    assert repository_root() == (tmp_path / "there").resolve()


def importers(package: str) -> set[str]:
    """Modules below src/adaspec that import a package, or one of its modules."""
    source, found = Path(adaspec.__file__).parent, set()
    for path in source.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(f"{name}.".startswith(f"{package}.") for name in names):
                found.add(path.relative_to(source).as_posix())
    return found


@pytest.mark.parametrize(
    ("package", "room"), [("mlflow", "tracking"), ("optuna", "experiments"), ("joblib", "runtime")]
)
def test_library_is_imported_in_one_room_alone(package: str, room: str) -> None:
    assert {name.partition("/")[0] for name in importers(package)} == {room}


@pytest.mark.parametrize("room", ["training", "evaluation", "experiments", "tasks"])
def test_tracking_knows_nothing_of_who_is_recorded(room: str) -> None:
    assert not [name for name in importers(f"adaspec.{room}") if name.startswith("tracking/")]


def test_tracking_logs_what_was_learned_by_folds_and_on_average(root: Path) -> None:
    train(root)
    model = root / "models"
    write_model(model)
    learned = {1: {}, 2: {"window_change": 0.2, "transform-2/center_drift_median_hz": -1.5}}
    folds = {fold: FoldOutcome({"accuracy": 0.5}, found, [], model) for fold, found in learned.items()}
    record(root).complete(make_outcome(folds, SUMMARY, {"window_change": 0.15, "dead_bins": 0.0}))
    store = Store(root)
    named = {name: value for name, value in store.parent.data.metrics.items() if not name.startswith("cv/")}
    assert named == {"frontend/window_change": 0.15, "frontend/dead_bins": 0.0}
    children = store.children(store.parent)
    assert not [name for name in children["fold-1"].data.metrics if name.startswith("frontend/")]
    assert children["fold-2"].data.metrics["frontend/window_change"] == 0.2
    assert children["fold-2"].data.metrics["frontend/transform-2/center_drift_median_hz"] == -1.5


def lay_artifact(root: Path) -> None:
    """An artifact of the first run, as an evaluation leaves it."""
    (root / "it.txt").write_text("it")
    store = Store(root)
    store.client.log_artifact(store.parent.info.run_id, str(root / "it.txt"))


@pytest.mark.parametrize("kept", ["moved", "copied", "left behind"])
def test_tracking_follows_a_repository_to_its_new_place(
    root: Path, capsys: pytest.CaptureFixture[str], kept: str
) -> None:
    train(root)
    lay_artifact(root)
    [first] = Store(root).parents
    new = root.parent / "new place"
    shutil.copytree(root, new, ignore=shutil.ignore_patterns("mlartifacts") if kept == "left behind" else None)
    if kept == "moved":
        shutil.rmtree(root)
    else:
        before = sorted(root.rglob("*"))
    train(new, digest="second")
    told = capsys.readouterr().err
    assert f"MLflow's artifacts are in {new / 'mlartifacts'} now, no longer in {root}" in told
    train(new, digest="third")
    assert capsys.readouterr().err == ""  # once
    store = Store(new)
    places = {run.info.run_id: run.info.artifact_uri for run in store.parents}
    old = places.pop(first.info.run_id)
    assert len(places) == 2
    assert all(place.startswith((new / "mlartifacts").as_uri() + "/") for place in places.values())
    assert store.artifacts(first) == ["it.txt"]  # wherever it lies
    if kept == "left behind":
        assert old.startswith(root.as_uri())
        assert f"lie still in {root / 'mlartifacts'}; copy them to {new / 'mlartifacts'}" in told
    if kept == "moved":
        assert not root.exists()
        root.mkdir()  # for the fixture
    else:
        assert sorted(root.rglob("*")) == before


def test_tracking_names_the_remedy_where_the_experiment_was_deleted(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(root)
    store = Store(root)
    store.client.delete_experiment(store.experiment.experiment_id)
    train(root, digest="second")
    assert capsys.readouterr().err == (
        "warning: MLflow records no more of this run (its experiment 'adaspec' was deleted; bring it back with 'mlflow "
        f"experiments restore --experiment-id {store.experiment.experiment_id}', or set tracking.experiment to another "
        "name)\n"
    )
    store.client.restore_experiment(store.experiment.experiment_id)
    train(root, digest="third")
    assert len(Store(root).parents) == 2


@pytest.mark.parametrize(
    "left", ["DROP TABLE alembic_version; DELETE FROM experiments", "DROP TABLE experiments", None]
)
def test_tracking_creates_its_database_anew_where_its_creation_was_interrupted(root: Path, left: str | None) -> None:
    if left is None:
        (root / "mlflow.db").write_bytes(b"")
    else:
        with contextlib.closing(sqlite3.connect(root / "mlflow.db")) as database, database:
            database.executescript(left)
    train(root)
    assert len(Store(root).parents) == 1
    assert not list(root.glob(".mlflow.db*"))


def test_tracking_run_that_was_killed_right_after_its_creation_is_gone_on_with(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def killed(*_: object) -> None:
        raise Killed

    for method in ("_describe", "log_params"):
        with monkeypatch.context() as patch:
            patch.setattr(MlflowRun, method, killed)
            run = record(root)
            with pytest.raises(Killed):
                run.log_epochs(1, rows(1))
    assert statuses(root) == {"RUNNING"}
    train(root)
    assert statuses(root) == {"FINISHED"}
    parent = Store(root).parent
    assert parent.data.params["train.epochs"] == "3"
    assert len(parent.inputs.dataset_inputs) == 1


def test_tracking_closes_trainings_that_were_killed_and_are_not_gone_on_with(root: Path) -> None:
    record(root).log_epochs(1, rows(1))
    record(root, digest="busy").log_epochs(1, rows(1))
    with only_one(lock_file(root, "busy")):
        train(root, digest="next")
    store = Store(root)
    found = {parent.data.tags["adaspec.training"]: parent for parent in store.parents}
    expected = {DIGEST: "KILLED", "busy": "RUNNING", "next": "FINISHED"}
    assert {name: parent.info.status for name, parent in found.items()} == expected
    assert store.children(found[DIGEST])["fold-1"].info.status == "KILLED"


class Server(BaseHTTPRequestHandler):
    """A tracking server that dies, or answers late."""

    mode, n_asked = "absent", 0

    def do_GET(self) -> None:
        type(self).n_asked += 1
        if self.mode == "slow":
            time.sleep(1.5)
        if self.mode != "dying" or self.n_asked > 1:
            self.close_connection = True
            return
        answer = json.dumps({"experiment": {"experiment_id": "1", "name": "adaspec", "lifecycle_stage": "active"}})
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer.encode())

    do_POST = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("mode", ["absent", "slow", "dying"])
def test_tracking_server_that_fails_costs_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], mode: str
) -> None:
    monkeypatch.setattr(Server, "mode", mode)
    monkeypatch.setattr(Server, "n_asked", 0)
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        if mode == "absent":
            server.shutdown()
            server.server_close()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
        for stage in (train, conclude):
            stage(tmp_path)
            (line,) = capsys.readouterr().err.splitlines()
            assert line.startswith("warning: MLflow records no more of this run (")
        server.shutdown()


def test_recorded_run_is_found_by_id_beginning_and_name_to_be_compared(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictions = tmp_path / "predictions.csv"
    lines = [f"c{n},{1 + n % 2},g{n},{'xy'[n % 3 % 2]},x,0.6,0.4" for n in range(8)]
    predictions.write_text("\n".join(["clip_id,fold,group,label,predicted,score_x,score_y", *lines]) + "\n")
    ids = {}
    for name, artifacts in (("cold-tea", [predictions]), ("warm-tea", [predictions]), ("bare", [])):
        with record(root, changed(CONFIG, **{"train.epochs": len(name)}), name, Origin(experiment=name)) as run:
            run.log_epochs(1, rows(1))
            run.complete(make_outcome({}, SUMMARY, artifacts=artifacts))
            ids[name] = run.ids["parent"]
    monkeypatch.setenv("DVC_ROOT", str(root))
    for name in ("cold-tea", ids["cold-tea"], ids["cold-tea"][:12]):
        found = find_run(root, name)
        assert (found.run_id, found.params["train.epochs"]) == (ids["cold-tea"], "8")
        assert found.text("predictions.csv") == predictions.read_text()
    one, other = (read_setting(f"{name}=mlflow:{name}") for name in ("cold-tea", "warm-tea"))
    assert one.hits.shape == (1, 8)
    assert one.knobs["mlflow:cold-tea"]["train.epochs"] == other.knobs["mlflow:warm-tea"]["train.epochs"] == "8"
    for name, message in (
        ("green-tea", "MLflow has no run whose name is 'green-tea' or whose id begins so; "),
        ("", "MLflow has no run whose name is ''"),
        ("fold-1", "MLflow has no run whose name is 'fold-1'"),
        ("bare", f"MLflow's run {ids['bare']} has no readable predictions.csv ("),
    ):
        with pytest.raises(InputError) as caught:
            read_setting(f"mlflow:{name}")
        assert str(caught.value).startswith(message)
        assert "\n" not in str(caught.value)
    with record(root, CONFIG, "again", Origin(experiment="cold-tea")) as run:
        run.log_epochs(1, rows(1))
    with pytest.raises(
        InputError, match=rf"^'cold-tea' is the name .* of 2 MLflow runs \(.*{ids['cold-tea']}.*\); name one$"
    ):
        find_run(root, "cold-tea")


def test_run_of_a_store_that_is_not_there_is_refused_and_none_is_made(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"mlflow\.db not found; give MLflow's runs at the root of the repository$"):
        find_run(tmp_path, "cold-tea")
    assert not list(tmp_path.iterdir())


def test_tracking_holds_what_is_complete_and_alike(root: Path) -> None:
    outcome, other = outcome_of(root), Origin(experiment="other")
    train(root)
    assert not record(root).holds(outcome)
    record(root, origin=Origin(experiment="first")).complete(outcome)
    assert record(root).holds(outcome)  # whoever asks without a name
    assert record(root, origin=Origin(experiment="first")).holds(outcome)
    assert not record(root, origin=other).holds(outcome)
    assert not record(root, config=changed(CONFIG, **{"train.epochs": 9})).holds(outcome)
    assert not record(root).holds(replace(outcome, summary={"accuracy": {"mean": 0.7501}}))
    assert not record(root).holds(replace(outcome, folds=outcome.folds | {3: outcome.folds[1]}))


def test_tracking_takes_a_run_that_its_user_deleted_for_known(root: Path) -> None:
    conclude(root)
    store = Store(root)
    store.client.delete_run(store.parent.info.run_id)
    assert record(root).holds(outcome_of(root))


def test_tracking_attaches_files_and_scores_to_the_complete_record_alone(root: Path) -> None:
    page = root / "index.html"
    page.write_text("<p>report</p>")
    train(root)
    record(root).attach(outcome_of(root), page, {"robustness/pgd": 0.5})
    conclude(root)
    record(root, digest="made by other code since").attach(outcome_of(root), page, {"robustness/pgd": 0.25})
    store = Store(root)
    assert store.parent.data.metrics["robustness/pgd"] == 0.25
    assert store.artifacts(store.parent) == ["figures", "index.html", "summary.json"]


def test_tracking_attaches_what_an_experiment_made_of_the_models_of_another(root: Path) -> None:
    train(root)
    conclude(root)
    (root / "flips").mkdir()
    (root / "flips" / "1.flac").write_bytes(b"fLaC")
    later = record(root, digest="", origin=Origin("c0ffee", "asked-later"))
    later.attach(outcome_of(root), root / "flips", {"robustness/x": 1})
    store = Store(root)
    assert "flips" in store.artifacts(store.parent)
    assert store.parent.data.metrics["robustness/x"] == 1


def test_tracking_opens_its_experiment_as_model_training(root: Path) -> None:
    train(root)
    store = Store(root)
    assert store.experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    store.client.set_experiment_tag(store.experiment.experiment_id, "mlflow.experimentKind", "regression")
    train(root, digest="second")
    assert Store(root).experiment.tags["mlflow.experimentKind"] == "regression"  # as the user has set it


@pytest.mark.parametrize("wanted", [None, "false"])
def test_tracking_watches_the_machine_while_it_trains(
    root: Path, monkeypatch: pytest.MonkeyPatch, wanted: str | None
) -> None:
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.05")
    if wanted:
        monkeypatch.setenv("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", wanted)
    with record(root) as run:
        run.log_epochs(1, rows(1))
        until = time.monotonic() + (10 if wanted is None else 0.3)
        while not Store(root).parent.data.metrics and time.monotonic() < until:
            time.sleep(0.05)
    found = {name for name in Store(root).parent.data.metrics if name.startswith("system/")}
    assert ({"system/cpu_utilization_percentage", "system/system_memory_usage_megabytes"} <= found) == (wanted is None)
    assert bool(found) == (wanted is None)
    conclude(root)
    assert record(root).holds(outcome_of(root))


def test_tracking_keeps_the_worst_errors_to_listen_to(root: Path, tmp_path: Path) -> None:
    recordings = tmp_path / "recordings"
    recordings.mkdir()
    for number in range(12):
        (recordings / f"{number}.wav").write_bytes(b"x" * number)
    with (recordings / "2.wav").open("r+b") as large:
        large.truncate(20 * 2**20 + 1)
    (tmp_path / "secret.wav").write_bytes(b"secret")
    errors = [(f"{number}.wav", "rain/<b>" if number == 3 else "rain", "sea waves") for number in range(12)]
    errors[4:6] = [("gone.wav", "rain", "fire"), ("../secret.wav", "rain", "fire")]
    record(root).complete(replace(outcome_of(root), worst=make_outcome({}, worst=errors).worst, recordings=recordings))
    store = Store(root)
    assert store.artifacts(store.parent, "worst_errors") == [
        f"worst_errors/{rank:02}_{'rain-b-' if rank == 4 else 'rain'}_taken_for_sea-waves.wav"
        for rank in (1, 2, 4, 7, 8, 9, 10)
    ]
