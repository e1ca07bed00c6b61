"""The MLflow store: its database and experiment, and what a failure of it costs.

The store is `mlflow.db` beside the repository's dvc.yaml, so that `mlflow ui` typed there finds it, and so that runs of
queued and temporary experiments, which work in a copy, land in it too. MLFLOW_TRACKING_URI overrides it.
"""

from __future__ import annotations

import functools
import logging
import os
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import filelock

from adaspec.runtime.text import one_line
from adaspec.runtime.workspace import lock_file

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["BATCH", "MlflowStore", "never_in_the_way"]

log = logging.getLogger(__name__)

Arguments = ParamSpec("Arguments")
Store = TypeVar("Store", bound="MlflowStore")
BATCH = 100  # MLflow's limit of parameters, well below that of metrics, per request


def never_in_the_way(
    method: Callable[Concatenate[Store, Arguments], None],
) -> Callable[Concatenate[Store, Arguments], None]:
    """A store that fails costs a warning, once, and never the work that was to be recorded."""

    @functools.wraps(method)
    def guarded(self: Store, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        if self.broken:
            return
        try:
            method(self, *args, **kwargs)
        except Exception as error:  # noqa: BLE001
            self.broken = True
            log.warning("MLflow records no more of this run (%s: %s)", type(error).__name__, one_line(error))

    return guarded


class MlflowStore:
    """What records in MLflow share.

    Parameters
    ----------
    root : Path
        Repository.
    experiment : str
        Name of the MLflow experiment.
    """

    def __init__(self, root: Path, experiment: str) -> None:
        self.root, self.experiment, self.broken = root, experiment, False

    @functools.cached_property
    def client(self) -> MlflowClient:
        """MLflow's client; imported and connected where it is first needed."""
        # A server that is down should not hold up a run for minutes; both can be set by the user.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # a run of the pipeline needs no network
        from mlflow import MlflowClient

        for name in ("alembic", "mlflow"):  # after the import, which sets them
            logging.getLogger(name).setLevel(logging.ERROR)
        uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{self.root / 'mlflow.db'}"
        if uri.startswith("sqlite:///"):
            # MLflow tries for 100 s to open what cannot be opened.
            path = Path(uri.removeprefix("sqlite:///"))
            path.parent.mkdir(parents=True, exist_ok=True)
            sqlite3.connect(path).close()
        return MlflowClient(uri)

    def experiment_id(self) -> str:
        """Id of the experiment, created with artifacts beside the store.

        The lock: two processes that both find the database missing and create its tables break it for good.
        """
        name = self.experiment
        with filelock.FileLock(lock_file(self.root, "mlflow")):
            experiment = self.client.get_experiment_by_name(name)
            if experiment is not None:
                return str(experiment.experiment_id)
            if os.environ.get("MLFLOW_TRACKING_URI"):
                return str(self.client.create_experiment(name))
            location = (self.root / "mlartifacts" / name).as_uri()
            return str(self.client.create_experiment(name, artifact_location=location))

    def log_params(self, run_id: str, values: Mapping[str, Any]) -> None:
        """Log parameters as text, as many at a time as MLflow takes."""
        from mlflow.entities import Param

        params = [Param(key, str(value)) for key, value in values.items()]
        for start in range(0, len(params), BATCH):
            self.client.log_batch(run_id, params=params[start : start + BATCH])
