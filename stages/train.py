"""Train one model per fold.

In: data/clips.csv, data/folds.csv, data/features, data/speakers. Out: data/trained/fold-K. Epochs go to MLflow as they
come.
"""

import sys
from pathlib import Path

from adaspec.config import load_config
from adaspec.config.resolve import resolve
from adaspec.experiments.repository import origin
from adaspec.runtime.console import stage_command
from adaspec.runtime.workspace import repository_root
from adaspec.tables import read_clips, read_folds
from adaspec.tracking import TRACKERS
from adaspec.training.crossvalidate import cross_validate


def train(clips_csv: Path, folds_csv: Path, features: Path, speakers: Path, trained: Path) -> None:
    clips = read_clips(clips_csv)
    config = resolve(load_config(Path("params.yaml")), clips)
    root, folds = repository_root(), read_folds(folds_csv)
    tracker = TRACKERS[config.tracking.tracker]
    cross_validate(
        clips,
        folds,
        config,
        features,
        trained,
        root,
        lambda digest: tracker.run(root, digest, config, clips, origin()),
        speakers,
    )


if __name__ == "__main__":
    with stage_command():
        train(*map(Path, sys.argv[1:]))
