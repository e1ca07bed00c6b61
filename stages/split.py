"""Decide who trains, validates and tests in each fold.

In: data/clips.csv. Out: data/folds.csv; data/balance.png, how many clips each label has in each role.
"""

import sys
from pathlib import Path

from adaspec.config import load_config
from adaspec.errors import exit_on_input_error
from adaspec.evaluation.figures import draw_balance
from adaspec.files import write_csv
from adaspec.resolve import resolve
from adaspec.splits import describe_folds, make_folds
from adaspec.tables import read_clips


def split(clips_csv: Path, folds_csv: Path, balance_png: Path) -> None:
    clips = read_clips(clips_csv)
    config = resolve(load_config(Path("params.yaml")), clips)
    folds = make_folds(clips, config.split, config.seed)
    describe_folds(folds, clips)
    write_csv(folds_csv, folds)
    draw_balance(folds, clips, balance_png)


if __name__ == "__main__":
    with exit_on_input_error():
        split(*map(Path, sys.argv[1:]))
