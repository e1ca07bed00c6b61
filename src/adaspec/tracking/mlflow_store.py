"""The MLflow store: its database and experiment, and what a failure of it costs.

The store is `mlflow.db` beside the repository's dvc.yaml, so that `mlflow ui` typed there finds it, and so that runs of
queued and temporary experiments, which work in a copy, land in it too. MLFLOW_TRACKING_URI overrides it.
"""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import filelock

from adaspec.errors import InputError
from adaspec.runtime.text import one_line
from adaspec.runtime.workspace import lock_file
from adaspec.tracking.mlflow_database import ARTIFACTS, create_database, drop_interrupted, follow_move

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

__all__ = ["BATCH", "MlflowStore", "never_in_the_way"]

log = logging.getLogger(__name__)

Arguments = ParamSpec("Arguments")
Store = TypeVar("Store", bound="MlflowStore")
BATCH = 100  # MLflow's limit of parameters, well below that of metrics, per request
PAGE = 1000  # runs
DATABASES = ("sqlite:", "postgresql:", "postgresql+", "mysql:", "mysql+", "mssql:", "mssql+")
KIND = ("mlflow.experimentKind", "custom_model_development")  # else some versions ask for it, or show traces of chats


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
            kind = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
            log.warning("MLflow records no more of this run (%s%s)", kind, one_line(error))

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
        own = self.root / "mlflow.db"
        # The lock: two processes that both find the database missing and create its tables break it for good.
        with filelock.FileLock(lock_file(self.root, "mlflow")):
            if not os.environ.get("MLFLOW_TRACKING_URI"):
                drop_interrupted(own)
                create_database(own)
                follow_move(own)
            elif self.uri.startswith("sqlite:///"):
                create_database(Path(self.uri.removeprefix("sqlite:///")))
        return MlflowClient(self.uri)

    @property
    def uri(self) -> str:
        """Of the store."""
        return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{self.root / 'mlflow.db'}"

    def experiment_id(self) -> str:
        """Id of the experiment, created with artifacts beside the store.

        Raises
        ------
        InputError
            It was deleted.
        """
        name, client = self.experiment, self.client
        with filelock.FileLock(lock_file(self.root, "mlflow")):
            experiment = client.get_experiment_by_name(name)
            if experiment is None:
                # A server has a place of its own; a database's would be the working directory, which may be a copy's.
                is_database = self.uri.startswith(DATABASES)
                location = (self.root / ARTIFACTS / name).as_uri() if is_database else None
                return str(client.create_experiment(name, artifact_location=location, tags=dict([KIND])))
        if experiment.lifecycle_stage == "deleted":
            raise InputError(
                f"its experiment {name!r} was deleted; bring it back with 'mlflow experiments restore --experiment-id "
                f"{experiment.experiment_id}', or set tracking.experiment to another name"
            )
        if KIND[0] not in experiment.tags:
            client.set_experiment_tag(experiment.experiment_id, *KIND)
        return str(experiment.experiment_id)

    def search(self, condition: str) -> list[Run]:
        """The experiment's runs for which MLflow's condition holds, also those that were deleted; the latest first."""
        from mlflow.entities import ViewType

        found: list[Run] = []
        token: str | None = ""
        while token is not None:
            page = self.client.search_runs([self.experiment_id()], condition, ViewType.ALL, PAGE, page_token=token)
            token = page.token or None
            found += page
        return found

    def log_params(self, run_id: str, values: Mapping[str, Any]) -> None:
        """Log parameters as text, as many at a time as MLflow takes."""
        from mlflow.entities import Param

        params = [Param(key, str(value)) for key, value in values.items()]
        for start in range(0, len(params), BATCH):
            self.client.log_batch(run_id, params=params[start : start + BATCH])
