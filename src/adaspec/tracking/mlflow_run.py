"""A pipeline run in MLflow: a parent run, and a nested run per fold."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import pandas as pd

from adaspec.config import Config
from adaspec.config.knobs import deciding, reads
from adaspec.runtime.files import write_json
from adaspec.runtime.workspace import run_ids_file
from adaspec.tracking.mlflow_model import logged_model
from adaspec.tracking.mlflow_store import BATCH, MlflowStore, never_in_the_way

__all__ = ["MlflowRun"]


class MlflowRun(MlflowStore):
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
    commit : str or None
        Of the code.
    """

    def __init__(self, root: Path, digest: str, config: Config, clips: pd.DataFrame, commit: str | None) -> None:
        super().__init__(root, config.tracking.experiment)
        self.config, self.digest, self.clips, self.commit = config, digest, clips, commit
        self.ids: dict[str, str] = {}  # "parent", "fold-1", ... -> run id
        self.n_logged: dict[int, int] = {}

    @functools.cached_property
    def ids_file(self) -> Path:
        """Where the ids are kept; its folder may be one that cannot be written."""
        return run_ids_file(self.root, self.digest)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
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

    @never_in_the_way
    def log_fold(
        self, fold: int, scores: dict[str, float], model: Path, learned: dict[str, float] | None = None
    ) -> None:
        """Log the test scores and the model of a fold, and in numbers what its front end learned."""
        from mlflow.entities import Metric

        run_id = self._fold_run(fold)
        voting = {"vote": self.config.evaluate.vote, "overlap": self.config.evaluate.overlap}
        model_id = logged_model(self.client, self.experiment_id(), run_id, model, voting)
        values = {f"frontend/{name}": value for name, value in (learned or {}).items()}
        values |= {f"test_{name}": value for name, value in scores.items()}
        now = int(time.time() * 1000)
        metrics = [Metric(name, value, now, 0, model_id=model_id) for name, value in values.items()]
        self.client.log_batch(run_id, metrics=metrics)

    @never_in_the_way
    def complete(
        self,
        summary: dict[str, dict[str, float]],
        artifacts: Sequence[Path],
        learned: dict[str, float] | None = None,
    ) -> None:
        """Log the summary over folds and what their front ends learned, figures and tables, and close the runs."""
        parent = self._parent_run()
        self.log_params(parent, self._evaluation_knobs())
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

    @never_in_the_way
    def _finish(self, status: str) -> None:
        for run_id in self.ids.values():
            self.client.set_terminated(run_id, status)

    def _fold_run(self, fold: int) -> str:
        parent = self._parent_run()
        name = f"fold-{fold}"
        if name not in self.ids:
            tags = {"mlflow.parentRunId": parent, "mlflow.runName": name, "adaspec.fold": str(fold)}
            experiment = self.experiment_id()
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
        return {key: str(value) for key, value in deciding(self.config).items() if reads(key, ["evaluate"])}

    def _create_parent(self) -> None:
        from mlflow.entities import Dataset, DatasetInput

        experiment_name = os.environ.get("DVC_EXP_NAME", "")
        tags = {"mlflow.runName": experiment_name or f"workspace-{self.digest[:7]}", "adaspec.training": self.digest}
        if self.commit is not None:
            tags["mlflow.source.git.commit"] = self.commit
        if experiment_name:
            tags["dvc.experiment"] = experiment_name
        experiment = self.experiment_id()
        run_id = self.client.create_run(experiment, tags=tags).info.run_id
        evaluation = self._evaluation_knobs()
        self.log_params(run_id, {key: value for key, value in deciding(self.config).items() if key not in evaluation})
        digest = hashlib.sha256(self.clips.to_csv(index=False).encode()).hexdigest()[:16]
        profile = json.dumps({"clips": len(self.clips), "labels": int(self.clips["label"].nunique())})
        source = json.dumps({"root": self.config.dataset.root})
        dataset = Dataset(self.config.dataset.name, digest, "local", source, profile=profile)
        self.client.log_inputs(run_id, [DatasetInput(dataset)])
        self.ids["parent"] = run_id
        write_json(self.ids_file, self.ids)
