"""Train one model per fold.

In: data/clips.csv, data/folds.csv, data/features. Out: models/fold-K. Epochs go to MLflow as they come.
"""

import sys
from pathlib import Path

from adaspec.config import load_config
from adaspec.errors import exit_on_input_error
from adaspec.resolve import resolve
from adaspec.tables import read_clips, read_folds
from adaspec.tracking import repository_root
from adaspec.training.crossvalidate import cross_validate


def train(clips_csv: Path, folds_csv: Path, features: Path, models: Path) -> None:
    clips = read_clips(clips_csv)
    config = resolve(load_config(Path("params.yaml")), clips)
    cross_validate(clips, read_folds(folds_csv), config, features, models, repository_root())


if __name__ == "__main__":
    with exit_on_input_error():
        train(*map(Path, sys.argv[1:]))
