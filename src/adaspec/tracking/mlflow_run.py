"""A pipeline run in MLflow: a parent run, and a nested run per fold."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import filelock
import pandas as pd

from adaspec.config import Config
from adaspec.config.knobs import deciding, reads
from adaspec.errors import InputError
from adaspec.runtime.files import write_json
from adaspec.runtime.text import one_line
from adaspec.runtime.workspace import lock_file, record_key_file
from adaspec.tracking.contract import Origin
from adaspec.tracking.mlflow_model import logged_model
from adaspec.tracking.mlflow_store import BATCH, MlflowStore, never_in_the_way
from adaspec.tracking.mlflow_system import watch_system
from adaspec.tracking.outcome import FoldOutcome, Outcome
from adaspec.tracking.worst_errors import WORST, copy_worst

if TYPE_CHECKING:
    from mlflow.entities import Run

__all__ = ["MlflowRun"]

RECORD, FOLD, EXPERIMENT = "adaspec.record", "adaspec.fold", "dvc.experiment"  # tags


class MlflowRun(MlflowStore):
    """The record of one pipeline run, begun by training and completed by evaluation.

    The runs are created with the first epoch. All carry a key, which is kept under `.adaspec/runs` until `complete`, so
    that training that goes on after a break, and evaluation, continue the same runs. Evaluation of models that were
    restored from a cache finds no key and records everything anew.

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
    origin : Origin
    """

    def __init__(self, root: Path, digest: str, config: Config, clips: pd.DataFrame, origin: Origin) -> None:
        super().__init__(root, config.tracking.experiment)
        self.config, self.digest, self.clips, self.origin = config, digest, clips, origin
        self.key = ""  # tells its runs from all others
        self.ids: dict[str, str] = {}  # "parent", "fold-1", ... -> run id
        self.n_logged: dict[int, int] = {}
        self.trains = False
        self.stop_watching: Callable[[], None] | None = None

    @functools.cached_property
    def key_file(self) -> Path:
        """Where the key is kept; its folder may be one that cannot be written."""
        return record_key_file(self.root, self.digest)

    def __enter__(self) -> Self:
        self.trains = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.trains = False
        if self.stop_watching is not None:
            self.stop_watching()
        interrupted = kind is not None and not issubclass(kind, Exception)
        self._finish("FINISHED" if kind is None else "KILLED" if interrupted else "FAILED")

    @never_in_the_way
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
        if self.trains and self.stop_watching is None:
            self.stop_watching = watch_system(self.ids["parent"], self.uri)
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

    def complete(self, outcome: Outcome) -> None:
        """Log what came out, the models of the folds, figures, tables and the worst errors, and close the runs."""
        for fold, found in outcome.folds.items():
            self.log_epochs(fold, found.history)
        self._conclude(outcome)

    @never_in_the_way
    def _conclude(self, outcome: Outcome) -> None:
        for fold, found in outcome.folds.items():
            self._log_fold(fold, found)
        parent = self._parent_run()
        self.log_params(parent, self._evaluation_knobs())
        for name, value in _summary_metrics(outcome).items():
            self.client.log_metric(parent, name, value)
        for path in outcome.artifacts:
            self._keep(parent, path)
        with tempfile.TemporaryDirectory() as folder:
            copy_worst(outcome.worst, outcome.recordings, Path(folder))
            if any(Path(folder).iterdir()):
                self.client.log_artifacts(parent, folder, WORST)
        self._finish("FINISHED")
        self.key_file.unlink(missing_ok=True)

    def _log_fold(self, fold: int, found: FoldOutcome) -> None:
        """Log the test scores and the model of a fold, and in numbers what its front end learned."""
        from mlflow.entities import Metric

        run_id = self._fold_run(fold)
        voting = {"vote": self.config.evaluate.vote, "overlap": self.config.evaluate.overlap}
        model_id = logged_model(self.client, self.experiment_id(), run_id, found.model, voting, self.origin.package)
        values = {f"frontend/{name}": value for name, value in found.learned.items()}
        values |= {f"test_{name}": value for name, value in found.scores.items()}
        now = int(time.time() * 1000)
        metrics = [Metric(name, value, now, 0, model_id=model_id) for name, value in values.items()]
        self.client.log_batch(run_id, metrics=metrics)

    def _keep(self, parent: str, path: Path) -> None:
        if path.is_dir():
            self.client.log_artifacts(parent, str(path), path.name)
        else:
            self.client.log_artifact(parent, str(path))

    @never_in_the_way
    def attach(self, outcome: Outcome, artifact: Path, scores: Mapping[str, float]) -> None:
        """Keep a file or folder that was made since, and scores, with the complete record of this outcome, if any."""
        # An experiment that trained nothing has no record of its own: what it made is of the models of another.
        parents = list(self._complete_parents(outcome))
        parent = next((run for run in parents if self._is_own(run)), next(iter(parents), None))
        if parent is not None and parent.info.lifecycle_stage == "active":
            self._keep(parent.info.run_id, artifact)
            for name, value in scores.items():
                self.client.log_metric(parent.info.run_id, name, value)

    def holds(self, outcome: Outcome) -> bool:
        """Whether there is a complete record of this outcome, also one that the user has deleted.

        Raises
        ------
        InputError
            The store cannot be read.
        """
        try:
            return any(self._is_own(run) for run in self._complete_parents(outcome))
        except Exception as error:  # noqa: BLE001 - of many kinds
            raise InputError(f"MLflow's store cannot be read ({type(error).__name__}: {one_line(error)})") from None

    def _complete_parents(self, outcome: Outcome) -> Iterator[Run]:
        """Finished parents with these knobs and scores, and all folds' runs, the latest first."""
        params = {key: str(value) for key, value in deciding(self.config).items()}
        metrics = _summary_metrics(outcome)
        for run in self.search(f"attributes.status = 'FINISHED' and params.seed = '{params['seed']}'"):
            if params.items() <= run.data.params.items() and metrics.items() <= run.data.metrics.items():
                n_folds = len(self.search(f"tags.mlflow.parentRunId = '{run.info.run_id}'"))
                if n_folds == len(outcome.folds) or run.info.lifecycle_stage != "active":
                    yield run

    def _is_own(self, run: Run) -> bool:
        """Whether a run is of this experiment, or anyone's where there is none."""
        return self.origin.experiment in ("", run.data.tags.get(EXPERIMENT))

    @never_in_the_way
    def _finish(self, status: str) -> None:
        for run_id in self.ids.values():
            self.client.set_terminated(run_id, status)

    def _fold_run(self, fold: int) -> str:
        parent = self._parent_run()
        name = f"fold-{fold}"
        if name not in self.ids:
            tags = {"mlflow.parentRunId": parent, "mlflow.runName": name, FOLD: str(fold), RECORD: self.key}
            self.ids[name] = self.client.create_run(self.experiment_id(), tags=tags).info.run_id
        return self.ids[name]

    def _parent_run(self) -> str:
        if "parent" not in self.ids:
            self.ids = self._begun_ids()
        if "parent" not in self.ids:
            self._create_parent()
        return self.ids["parent"]

    def _begun_ids(self) -> dict[str, str]:
        """Ids of an interrupted or not yet evaluated training, if the store still has them."""
        key = _read_key(self.key_file)
        runs = self._runs_of(key) if key is not None else []
        parent = next((run for run in runs if FOLD not in run.data.tags), None)
        if key is None or parent is None:
            return {}
        # The same training may belong to two experiments that differ in their evaluation only; and an evaluation that
        # was cut short has logged its knobs, which MLflow never lets change.
        another = parent.data.tags.get(EXPERIMENT, "") != self.origin.experiment
        if another and parent.info.status == "FINISHED":
            return {}
        if any(parent.data.params.get(key, value) != value for key, value in self._evaluation_knobs().items()):
            return {}
        for run in runs:
            self.client.update_run(run.info.run_id, status="RUNNING")
        self.key = key
        self._describe(parent)
        names = ("parent" if run is parent else f"fold-{run.data.tags[FOLD]}" for run in runs)
        return {name: run.info.run_id for name, run in zip(names, runs, strict=True)}

    def _runs_of(self, key: str) -> list[Run]:
        return [run for run in self.search(f"tags.`{RECORD}` = '{key}'") if run.info.lifecycle_stage == "active"]

    def _evaluation_knobs(self) -> dict[str, str]:
        return {key: str(value) for key, value in deciding(self.config).items() if reads(key, ["evaluate"])}

    def _create_parent(self) -> None:
        self._close_abandoned()
        self.key = secrets.token_hex(8)
        write_json(self.key_file, {"record": self.key})  # first: a run that is killed after this is found again
        name = self.origin.experiment
        tags = {"mlflow.runName": name or f"workspace-{self.digest[:7]}", "adaspec.training": self.digest}
        tags[RECORD] = self.key
        if self.origin.commit is not None:
            tags["mlflow.source.git.commit"] = self.origin.commit
        if name:
            tags[EXPERIMENT] = name
        run = self.client.create_run(self.experiment_id(), tags=tags)
        self.ids["parent"] = run.info.run_id
        self._describe(run)

    def _describe(self, parent: Run) -> None:
        """Log knobs and data of the training, as far as the parent lacks them."""
        from mlflow.entities import Dataset, DatasetInput

        known = {**self._evaluation_knobs(), **parent.data.params}
        self.log_params(
            parent.info.run_id, {key: value for key, value in deciding(self.config).items() if key not in known}
        )
        if parent.inputs is not None and parent.inputs.dataset_inputs:
            return
        digest = hashlib.sha256(self.clips.to_csv(index=False).encode()).hexdigest()[:16]
        profile = json.dumps({"clips": len(self.clips), "labels": int(self.clips["label"].nunique())})
        source = json.dumps({"root": self.config.dataset.root})
        dataset = Dataset(self.config.dataset.name, digest, "local", source, profile=profile)
        self.client.log_inputs(parent.info.run_id, [DatasetInput(dataset)])

    def _close_abandoned(self) -> None:
        """Close the runs of trainings that were killed and that nobody goes on with now."""
        for file in self.key_file.parent.glob("*.json"):
            key = _read_key(file)
            if key is None or file == self.key_file:
                continue
            with (
                contextlib.suppress(filelock.Timeout),
                filelock.FileLock(lock_file(self.root, file.stem), blocking=False),
            ):
                for run in self._runs_of(key):
                    if run.info.status == "RUNNING":
                        self.client.set_terminated(run.info.run_id, "KILLED")


def _summary_metrics(outcome: Outcome) -> dict[str, float]:
    """Metrics of a parent run."""
    summary = {
        f"cv/{name}_{statistic}": value for name, each in outcome.summary.items() for statistic, value in each.items()
    }
    return summary | {f"frontend/{name}": value for name, value in outcome.learned.items()}


def _read_key(file: Path) -> str | None:
    try:
        return str(json.loads(file.read_text(encoding="utf-8"))["record"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
