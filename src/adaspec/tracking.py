"""MLflow: a parent run per pipeline run or study, a nested run per fold or trial. The only module that imports mlflow.

The store is `mlflow.db` beside the repository's dvc.yaml, so that `mlflow ui` typed there finds it, and so that runs of
queued and temporary experiments, which work in a copy, land in it too. MLFLOW_TRACKING_URI overrides it.
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self, TypeVar

import filelock
import pandas as pd

from adaspec.config import Config, flatten
from adaspec.files import write_json

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["RunLog", "StudyLog", "bad_request", "repository_root"]

Arguments = ParamSpec("Arguments")
Log = TypeVar("Log", bound="_Log")
BATCH = 100  # MLflow's limit of parameters, well below that of metrics, per request


def repository_root() -> Path:
    """The repository that the user works in: DVC names it even where a stage runs in a temporary copy."""
    return Path(os.environ.get("DVC_ROOT", ".")).resolve()


def bad_request(reason: str) -> Exception:
    """The error that a served model raises: MLflow answers with status 400 and the reason."""
    from mlflow.exceptions import MlflowException

    return MlflowException.invalid_parameter_value(reason)


def _never_in_the_way(
    method: Callable[Concatenate[Log, Arguments], None],
) -> Callable[Concatenate[Log, Arguments], None]:
    """A store that fails costs a warning, once, and never the work that was to be recorded."""

    @functools.wraps(method)
    def guarded(self: Log, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        if self.broken:
            return
        try:
            method(self, *args, **kwargs)
        except Exception as error:  # noqa: BLE001
            self.broken = True
            reason = " ".join(str(error).split())[:300]
            print(f"warning: MLflow records no more of this run ({type(error).__name__}: {reason})", file=sys.stderr)

    return guarded


class _Log:
    """What records in MLflow share: the store, the experiment in it, and whether it has failed."""

    def __init__(self, root: Path, config: Config) -> None:
        self.root, self.config, self.broken = root, config, False

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

    def _experiment(self) -> str:
        """Id of the experiment, created with artifacts beside the store.

        The lock: two processes that both find the database missing and create its tables break it for good.
        """
        name = self.config.tracking.experiment
        folder = self.root / ".adaspec"
        folder.mkdir(exist_ok=True)
        with filelock.FileLock(folder / "mlflow.lock"):
            experiment = self.client.get_experiment_by_name(name)
            if experiment is not None:
                return str(experiment.experiment_id)
            if os.environ.get("MLFLOW_TRACKING_URI"):
                return str(self.client.create_experiment(name))
            location = (self.root / "mlartifacts" / name).as_uri()
            return str(self.client.create_experiment(name, artifact_location=location))


class RunLog(_Log):
    """The record of one pipeline run, begun by training and completed by evaluation.

    The runs are created with the first epoch. Their ids are kept under `.adaspec/runs` until `complete`, so that
    training that goes on after a break, and evaluation, continue the same runs. Evaluation of models that were restored
    from a cache finds no ids and records everything anew.

    Parameters
    ----------
    root : Path
        Repository.
    digest : str
        Fingerprint of the training.
    config : Config
        Resolved; logged as parameters.
    clips : DataFrame
        clips.csv; its digest is logged as an input.
    """

    def __init__(self, root: Path, digest: str, config: Config, clips: pd.DataFrame) -> None:
        super().__init__(root, config)
        self.digest, self.clips = digest, clips
        self.ids_file = root / ".adaspec" / "runs" / f"{digest}.json"
        self.ids: dict[str, str] = {}  # "parent", "fold-1", ... -> run id
        self.n_logged: dict[int, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        interrupted = kind is not None and not issubclass(kind, Exception)
        self._finish("FINISHED" if kind is None else "KILLED" if interrupted else "FAILED")

    @_never_in_the_way
    def log_epochs(self, fold: int, history: Sequence[dict[str, float]]) -> None:
        """Log the epochs of a fold that the store does not have yet.

        Parameters
        ----------
        fold : int
        history : list of dict
            Rows of `read_history`, from the first epoch on.
        """
        from mlflow.entities import Metric

        run_id = self._fold_run(fold)
        if fold not in self.n_logged:
            self.n_logged[fold] = len(self.client.get_metric_history(run_id, "train_loss"))
        now = int(time.time() * 1000)
        metrics = [
            Metric(name, value, now, int(row["epoch"]))
            for row in history[self.n_logged[fold] :]
            for name, value in row.items()
            if name != "epoch"
        ]
        for start in range(0, len(metrics), BATCH):
            self.client.log_batch(run_id, metrics=metrics[start : start + BATCH])
        self.n_logged[fold] = max(self.n_logged[fold], len(history))

    @_never_in_the_way
    def log_fold(
        self, fold: int, scores: dict[str, float], model: Path, learned: dict[str, float] | None = None
    ) -> None:
        """Log the test scores and the model of a fold, and in numbers what its front end learned."""
        from mlflow.entities import Metric

        run_id = self._fold_run(fold)
        model_id = self._logged_model(run_id, model)
        values = {f"frontend/{name}": value for name, value in (learned or {}).items()}
        values |= {f"test_{name}": value for name, value in scores.items()}
        now = int(time.time() * 1000)
        metrics = [Metric(name, value, now, 0, model_id=model_id) for name, value in values.items()]
        self.client.log_batch(run_id, metrics=metrics)

    @_never_in_the_way
    def complete(
        self,
        summary: dict[str, dict[str, float]],
        artifacts: Sequence[Path],
        learned: dict[str, float] | None = None,
    ) -> None:
        """Log the summary over folds and what their front ends learned, figures and tables, and close the runs."""
        from mlflow.entities import Param

        parent = self._parent_run()
        self.client.log_batch(parent, params=[Param(key, value) for key, value in self._evaluation_knobs().items()])
        for name, values in summary.items():
            for statistic, value in values.items():
                self.client.log_metric(parent, f"cv/{name}_{statistic}", value)
        for name, value in (learned or {}).items():
            self.client.log_metric(parent, f"frontend/{name}", value)
        for path in artifacts:
            if path.is_dir():
                self.client.log_artifacts(parent, str(path), path.name)
            else:
                self.client.log_artifact(parent, str(path))
        self._finish("FINISHED")
        self.ids_file.unlink(missing_ok=True)

    @_never_in_the_way
    def _finish(self, status: str) -> None:
        for run_id in self.ids.values():
            self.client.set_terminated(run_id, status)

    def _logged_model(self, run_id: str, model: Path) -> str:
        """Id of a run's model, which is logged where an evaluation that was cut short has not done so.

        Its folder holds MLflow's description, this package's source, and below `data` a copy of `model`.
        """
        from mlflow.entities import LoggedModelOutput, LoggedModelStatus
        from mlflow.models import Model, ModelSignature
        from mlflow.pyfunc import save_model

        from adaspec import serving

        outputs = self.client.get_run(run_id).outputs
        if outputs is not None and outputs.model_outputs:
            return str(outputs.model_outputs[0].model_id)
        logged = self.client.create_logged_model(self._experiment(), name="model", source_run_id=run_id)
        # What pandas finds outdated in MLflow is not for our users.
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(action="ignore"):
            save_model(
                folder,
                loader_module=serving.__name__,
                data_path=str(model),
                code_paths=[str(Path(serving.__file__).parent)],
                mlflow_model=Model(
                    logged.artifact_location, run_id, model_uuid=logged.model_id, model_id=logged.model_id
                ),
                signature=ModelSignature.from_dict(serving.signature(model)),
                input_example=pd.DataFrame([serving.EXAMPLE]),
                pip_requirements=serving.requirements(),  # MLflow would take ten seconds to find them out
                model_config={"vote": self.config.evaluate.vote, "overlap": self.config.evaluate.overlap},
            )
            self.client.log_model_artifacts(logged.model_id, folder)
        self.client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)
        self.client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
        return str(logged.model_id)

    def _fold_run(self, fold: int) -> str:
        parent = self._parent_run()
        name = f"fold-{fold}"
        if name not in self.ids:
            tags = {"mlflow.parentRunId": parent, "mlflow.runName": name, "adaspec.fold": str(fold)}
            experiment = self._experiment()
            self.ids[name] = self.client.create_run(experiment, tags=tags).info.run_id
            write_json(self.ids_file, self.ids)
        return self.ids[name]

    def _parent_run(self) -> str:
        if not self.ids:
            self.ids = self._begun_ids()
        if "parent" not in self.ids:
            self._create_parent()
        return self.ids["parent"]

    def _begun_ids(self) -> dict[str, str]:
        """Ids of an interrupted or not yet evaluated training, if the store still has them."""
        from mlflow.exceptions import MlflowException

        try:
            ids: dict[str, str] = json.loads(self.ids_file.read_text(encoding="utf-8"))
            parent = self.client.get_run(ids["parent"])
        except (FileNotFoundError, MlflowException):
            return {}
        # The same training may belong to two experiments that differ in their evaluation only; and an evaluation that
        # was cut short has logged its knobs, which MLflow never lets change.
        another = parent.data.tags.get("dvc.experiment", "") != os.environ.get("DVC_EXP_NAME", "")
        if another and parent.info.status == "FINISHED":
            return {}
        if any(parent.data.params.get(key, value) != value for key, value in self._evaluation_knobs().items()):
            return {}
        for run_id in ids.values():
            self.client.update_run(run_id, status="RUNNING")
        return ids

    def _evaluation_knobs(self) -> dict[str, str]:
        return {key: str(value) for key, value in flatten(self.config).items() if key.startswith("evaluate.")}

    def _create_parent(self) -> None:
        from mlflow.entities import Dataset, DatasetInput, Param

        git = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True)
        experiment_name = os.environ.get("DVC_EXP_NAME", "")
        tags = {"mlflow.runName": experiment_name or f"workspace-{self.digest[:7]}", "adaspec.training": self.digest}
        if git.returncode == 0:
            tags["mlflow.source.git.commit"] = git.stdout.strip()
        if experiment_name:
            tags["dvc.experiment"] = experiment_name
        experiment = self._experiment()
        run_id = self.client.create_run(experiment, tags=tags).info.run_id
        params = [
            Param(key, str(value))
            for key, value in flatten(self.config).items()
            if key not in self._evaluation_knobs() and not key.startswith("tune.")
        ]
        for start in range(0, len(params), BATCH):
            self.client.log_batch(run_id, params=params[start : start + BATCH])
        digest = hashlib.sha256(self.clips.to_csv(index=False).encode()).hexdigest()[:16]
        profile = json.dumps({"clips": len(self.clips), "labels": int(self.clips["label"].nunique())})
        source = json.dumps({"root": self.config.dataset.root})
        dataset = Dataset(self.config.dataset.name, digest, "local", source, profile=profile)
        self.client.log_inputs(run_id, [DatasetInput(dataset)])
        self.ids["parent"] = run_id
        write_json(self.ids_file, self.ids)


class StudyLog(_Log):
    """The record of a search: a parent run for the study, found again by all who work on it, and a run per trial.

    Parameters
    ----------
    root : Path
        Repository.
    config : Config
        Logged as parameters of the study, but for the knobs that are searched.
    name, key : str
        Of the study: what it is called, and what tells it from others of that name.
    """

    def __init__(self, root: Path, config: Config, name: str, key: str) -> None:
        super().__init__(root, config)
        self.name, self.key = name, key
        self.ids: dict[int, str] = {}  # number of a trial -> run id

    @_never_in_the_way
    def begin_trial(self, number: int, knobs: dict[str, Any]) -> None:
        """Open the run of a trial, with the values that it tries."""
        from mlflow.entities import Param

        tags = {"mlflow.parentRunId": self.study_run, "mlflow.runName": f"trial-{number}"}
        tags |= {"adaspec.trial": str(number), "adaspec.study": self.key}
        self.ids[number] = self.client.create_run(self._experiment(), tags=tags).info.run_id
        self.client.log_batch(self.ids[number], params=[Param(key, str(value)) for key, value in knobs.items()])

    @_never_in_the_way
    def log_epoch(self, number: int, step: int, value: float) -> None:
        """Log how a trial stands."""
        self.client.log_metric(self.ids[number], self.config.tune.objective, value, step=step)

    @_never_in_the_way
    def end_trial(self, number: int, state: str, value: float | None = None, told: str = "") -> None:
        """Close the run of a trial, also of one that another worker began in this store.

        Parameters
        ----------
        number : int
        state : str
            "complete", "pruned", "failed" or "lost".
        value : float or None
            Final, of a complete trial.
        told : str
            Why a trial failed.
        """
        run_id = self.ids.get(number) or self._find(f"tags.`adaspec.trial` = '{number}'")
        if run_id is None:
            return
        if value is not None:
            self.client.log_metric(run_id, "value", value)
        self.client.set_tag(run_id, "adaspec.state", state)
        if told:
            self.client.set_tag(run_id, "adaspec.error", told)
        statuses = {"complete": "FINISHED", "pruned": "FINISHED", "failed": "FAILED", "lost": "KILLED"}
        self.client.set_terminated(run_id, statuses[state])

    @_never_in_the_way
    def conclude(self, finished: bool, best: tuple[int, float, dict[str, Any]] | None = None) -> None:
        """Close the study's run, with number, value and knobs of the best trial.

        As tags: MLflow never lets parameters change, and a study that goes on may find a better one.
        """
        study = self.study_run
        if best is not None:
            number, value, knobs = best
            self.client.log_metric(study, "best_value", value, step=number)
            self.client.set_tag(study, "adaspec.best_trial", str(number))
            for key, knob in knobs.items():
                self.client.set_tag(study, f"best.{key}", str(knob))
        self.client.set_terminated(study, "FINISHED" if finished else "KILLED")

    def _find(self, condition: str) -> str | None:
        """Id of the study's latest run for which the condition holds."""
        query = f"tags.`adaspec.study` = '{self.key}' and {condition}"
        runs = self.client.search_runs([self._experiment()], query, order_by=["start_time DESC"], max_results=1)
        return str(runs[0].info.run_id) if runs else None

    @functools.cached_property
    def study_run(self) -> str:
        """Id of the study's run, created by the first worker that gets here and opened again by later ones."""
        from mlflow.entities import Param

        # Not mlflow.lock, which `_experiment` takes.
        with filelock.FileLock(self.root / ".adaspec" / "study.lock"):
            run_id = self._find("tags.`adaspec.role` = 'study'")
            if run_id is not None:
                self.client.update_run(run_id, status="RUNNING")
                return run_id
            tags = {"mlflow.runName": self.name, "adaspec.study": self.key, "adaspec.role": "study"}
            run_id = str(self.client.create_run(self._experiment(), tags=tags).info.run_id)
        left_out = {searched.knob for searched in self.config.tune.space} | {"tune.space"}
        knobs = {key: value for key, value in flatten(self.config).items() if key not in left_out}
        params = [Param(key, str(value)) for key, value in knobs.items() if not key.startswith("evaluate.")]
        for start in range(0, len(params), BATCH):
            self.client.log_batch(run_id, params=params[start : start + BATCH])
        return run_id
