"""The one way in which what came out of a run is told to its tracker."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from adaspec.config import Config
from adaspec.runtime.workspace import lock_file, only_one
from adaspec.tracking import TRACKERS
from adaspec.tracking.contract import Origin
from adaspec.tracking.digest import training_digest
from adaspec.tracking.outcome import Outcome, read_outcome

__all__ = ["attach", "record"]


def record(
    root: Path, config: Config, clips: pd.DataFrame, folds: pd.DataFrame, outcome: Outcome, origin: Origin
) -> None:
    """Complete the record that training began, or make one where there is none.

    Parameters
    ----------
    root : Path
        Repository.
    config : Config
        Resolved.
    clips, folds : DataFrame
        clips.csv and folds.csv.
    outcome : Outcome
    origin : Origin
    """
    digest = training_digest(config, clips, folds, origin.package)
    with only_one(lock_file(root, digest)):
        TRACKERS[config.tracking.tracker].run(root, digest, config, clips, origin).complete(outcome)


def attach(
    root: Path,
    config: Config,
    clips: pd.DataFrame,
    metrics: Path,
    origin: Origin,
    artifact: Path,
    scores: Mapping[str, float] | None = None,
) -> None:
    """Keep what was made of a run since with its record: a file or folder, and scores.

    Parameters
    ----------
    root, config, clips, origin
        As `record` takes them.
    metrics : Path
        What evaluation wrote.
    artifact : Path
    scores : mapping of str to float, optional
    """
    outcome = read_outcome(metrics.parent / "models", metrics, Path(config.dataset.root))
    TRACKERS[config.tracking.tracker].run(root, "", config, clips, origin).attach(outcome, artifact, scores or {})
