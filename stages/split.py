"""Decide who trains, validates and tests in each fold.

In: data/clips.csv. Out: data/folds.csv; data/balance.svg, how many clips each label has in each role.
"""

import sys
from pathlib import Path

from adaspec.config import load_config
from adaspec.config.resolve import resolve_split
from adaspec.runtime.console import stage_command
from adaspec.runtime.files import write_csv
from adaspec.tables import read_clips
from adaspec.tables.balance_figure import draw_balance
from adaspec.tables.splits import describe_folds, make_folds


def split(clips_csv: Path, folds_csv: Path, balance_svg: Path) -> None:
    clips = read_clips(clips_csv)
    config = load_config(Path("params.yaml"))
    folds = make_folds(clips, resolve_split(config.split, clips), config.seed)
    describe_folds(folds, clips)
    write_csv(folds_csv, folds)
    draw_balance(folds, clips, balance_svg)


if __name__ == "__main__":
    with stage_command():
        split(*map(Path, sys.argv[1:]))
