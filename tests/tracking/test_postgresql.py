"""Runs and studies in a real PostgreSQL, as several machines share one."""

import gc
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
import sqlalchemy
import yaml
from toydata import make_toy

from adaspec.errors import InputError
from adaspec.experiments import tuning
from adaspec.runtime.files import write_csv
from adaspec.tracking import TRACKERS, Origin
from adaspec.training.crossvalidate import cross_validate

pytest.importorskip("psycopg", reason="psycopg is not installed: pip install '.[cluster]'")
# Connections of threads that have ended, such as those of heartbeats.
pytestmark = pytest.mark.filterwarnings("ignore:.*BaseConnection.__del__:pytest.PytestUnraisableExceptionWarning")
BINARIES = [path for path in [shutil.which("initdb"), *Path("/usr/lib/postgresql").glob("*/bin/initdb")] if path]
USER = "postgres"  # PostgreSQL refuses to work for root


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """URL of a database server that listens on a socket in a folder of its own; NAME is that of a database, a or b."""
    if not BINARIES:
        pytest.skip("PostgreSQL is not installed (Debian: postgresql)")
    user = {"user": USER, "group": USER} if os.geteuid() == 0 else {}
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))  # a short path, as of sockets
    try:
        if user:
            shutil.chown(folder, **user)
    except LookupError:
        pytest.skip(f"PostgreSQL refuses to work for root, and there is no user {USER}")
    run = {"cwd": folder, "check": True, "stdout": subprocess.DEVNULL, **user}
    binaries = Path(BINARIES[0]).resolve().parent
    subprocess.run(
        [binaries / "initdb", "-D", "data", "-U", USER, "-A", "trust", "-N", "--no-locale", "-E", "UTF8"], **run
    )
    options = f"-k {folder} -c listen_addresses='' -c fsync=off"
    subprocess.run([binaries / "pg_ctl", "-D", "data", "-w", "-l", "log", "-o", options, "start"], **run)
    for name in "ab":
        subprocess.run([binaries / "createdb", "-h", folder, "-U", USER, name], **run)
    yield f"postgresql+psycopg://{USER}@/NAME?host={folder}"
    for each in gc.get_objects():  # pools of MLflow and Optuna, which would end with the process
        if type(each) is sqlalchemy.Engine and each.dialect.name == "postgresql":
            each.dispose()
    subprocess.run([binaries / "pg_ctl", "-D", "data", "-m", "immediate", "stop"], **run)
    shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def _surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_URI", "DVC_EXP_NAME", "DVC_ROOT", "ADASPEC_STORAGE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


WORKER = """
import sys
from adaspec.experiments import tuning
tuning.update_data = lambda root: None
tuning.tune(4, "s", sys.argv[1])
"""


def test_a_training_and_a_study_of_two_workers_are_recorded(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from mlflow import MlflowClient

    runs_url, studies_url = server.replace("NAME", "a"), server.replace("NAME", "b")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", runs_url)
    toy = make_toy(tmp_path / "data", {"high": 6, "low": 6}, **{"train.epochs": 2, "tracking.tracker": "mlflow"})
    write_csv(tmp_path / "data/clips.csv", toy.clips)
    write_csv(tmp_path / "data/folds.csv", toy.folds)
    content = toy.config.model_dump(mode="json")
    content["tune"] |= {"space": [{"knob": "backbone.dropout", "low": 0.0, "high": 0.5}]}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))

    def open_run(digest: str):
        return TRACKERS["mlflow"].run(tmp_path, digest, toy.config, toy.clips, Origin())

    cross_validate(toy.clips, toy.folds, toy.config, toy.features, tmp_path / "models", tmp_path, open_run)
    client = MlflowClient(runs_url)
    experiment = client.get_experiment_by_name(toy.config.tracking.experiment)
    assert experiment.artifact_location == (tmp_path / "mlartifacts" / experiment.name).as_uri()
    runs = client.search_runs([experiment.experiment_id])
    (parent,) = (run for run in runs if "mlflow.parentRunId" not in run.data.tags)
    folds = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert len(folds) == 2
    for run in folds:
        assert len(client.get_metric_history(run.info.run_id, "train_loss")) == 2

    with pytest.raises(InputError, match="holds tables of another program, such as MLflow"):
        tuning.tune(4, "s", runs_url)

    with (tmp_path / "other.err").open("w") as err:
        other = subprocess.Popen([sys.executable, "-c", WORKER, studies_url], stderr=err, cwd=tmp_path)
    while not list(tmp_path.glob(".adaspec/tune/*/*")):
        assert other.poll() is None, (tmp_path / "other.err").read_text()
        time.sleep(0.1)
    monkeypatch.setattr(tuning, "update_data", lambda root: None)
    assert tuning.tune(4, "s", studies_url).startswith("study s: 4 trials, ")
    assert other.wait() == 0, (tmp_path / "other.err").read_text()
    trials = optuna.load_study(study_name="s", storage=studies_url).get_trials()
    assert len({trial.user_attrs["worker"] for trial in trials}) == 2
    assert "warning" not in capsys.readouterr().err + (tmp_path / "other.err").read_text()
