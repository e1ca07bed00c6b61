"""Records of runs and studies, by whatever keeps them; served models. Only this room imports MLflow."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from adaspec.config import Config
from adaspec.tracking.contract import Origin, RunTracker, StudyTracker
from adaspec.tracking.mlflow_run import MlflowRun
from adaspec.tracking.mlflow_study import MlflowStudy
from adaspec.tracking.none import NoRun, NoStudy

__all__ = ["TRACKERS", "Origin", "RunTracker", "StudyTracker", "Tracker"]


class Tracker(NamedTuple):
    """How a tracker opens the record of a run, and that of a study; neither touches its store yet.

    Attributes
    ----------
    run : callable (root, digest, config, clips, origin) -> RunTracker
        The repository, the training's digest, the resolved configuration, clips.csv and where the run comes from.
    study : callable (root, config, name, key) -> StudyTracker
        The repository, the configuration, the study's name and what tells it from others of that name.
    """

    run: Callable[[Path, str, Config, pd.DataFrame, Origin], RunTracker]
    study: Callable[[Path, Config, str, str], StudyTracker]


TRACKERS: dict[str, Tracker] = {"mlflow": Tracker(MlflowRun, MlflowStudy), "none": Tracker(NoRun, NoStudy)}
