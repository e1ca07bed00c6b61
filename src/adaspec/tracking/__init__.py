"""Records of runs and studies, by whatever keeps them; served models. Only this room imports MLflow."""

from __future__ import annotations

from typing import NamedTuple

from adaspec.tracking.contract import RunTracker, StudyTracker
from adaspec.tracking.mlflow_run import MlflowRun
from adaspec.tracking.mlflow_study import MlflowStudy
from adaspec.tracking.none import NoRun, NoStudy

__all__ = ["TRACKERS", "RunTracker", "StudyTracker", "Tracker"]


class Tracker(NamedTuple):
    """How a tracker opens the record of a run, and that of a study.

    `run(root, digest, config, clips, commit)` takes the repository, the training's digest, the resolved configuration,
    clips.csv and the commit of the code; `study(root, config, name, key)` a study's name and what tells it from others.
    """

    run: type[MlflowRun] | type[NoRun]
    study: type[MlflowStudy] | type[NoStudy]


TRACKERS = {"mlflow": Tracker(MlflowRun, MlflowStudy), "none": Tracker(NoRun, NoStudy)}
