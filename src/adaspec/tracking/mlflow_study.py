"""A search of knobs in MLflow: a parent run for the study, and a run per tuning trial."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import filelock

from adaspec.config import Config
from adaspec.config.knobs import deciding
from adaspec.runtime.workspace import lock_file
from adaspec.tracking.mlflow_store import MlflowStore, never_in_the_way

__all__ = ["MlflowStudy"]


class MlflowStudy(MlflowStore):
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
        super().__init__(root, config.tracking.experiment)
        self.config, self.name, self.key = config, name, key
        self.ids: dict[int, str] = {}  # number of a trial -> run id

    @never_in_the_way
    def begin_trial(self, number: int, knobs: dict[str, Any]) -> None:
        """Open the run of a trial, with the values that it tries."""
        tags = {"mlflow.parentRunId": self.study_run, "mlflow.runName": f"trial-{number}"}
        tags |= {"adaspec.trial": str(number), "adaspec.study": self.key}
        self.ids[number] = self.client.create_run(self.experiment_id(), tags=tags).info.run_id
        self.log_params(self.ids[number], knobs)

    @never_in_the_way
    def log_epoch(self, number: int, step: int, value: float) -> None:
        """Log how a trial stands."""
        self.client.log_metric(self.ids[number], self.config.tune.objective, value, step=step)

    @never_in_the_way
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

    @never_in_the_way
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
        runs = self.client.search_runs([self.experiment_id()], query, order_by=["start_time DESC"], max_results=1)
        return str(runs[0].info.run_id) if runs else None

    @functools.cached_property
    def study_run(self) -> str:
        """Id of the study's run, created by the first worker that gets here and opened again by later ones."""
        # Not the lock of the store, which `experiment_id` takes.
        with filelock.FileLock(lock_file(self.root, "study")):
            run_id = self._find("tags.`adaspec.role` = 'study'")
            if run_id is not None:
                self.client.update_run(run_id, status="RUNNING")
                return run_id
            tags = {"mlflow.runName": self.name, "adaspec.study": self.key, "adaspec.role": "study"}
            run_id = str(self.client.create_run(self.experiment_id(), tags=tags).info.run_id)
        searched = {each.knob for each in self.config.tune.space}
        knobs = {f"tune.{key}": value for key, value in self.config.tune if key != "space"}
        for stage in ("prepare", "features", "split", "embed", "train"):
            knobs |= {key: value for key, value in deciding(self.config, stage).items() if key not in searched}
        self.log_params(run_id, knobs)
        return run_id
