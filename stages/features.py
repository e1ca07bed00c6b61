"""Decode, resample and store every clip: waveforms for a front end that may learn, log-mel features for a fixed one.

In: data/clips.csv and the recordings. Out: data/features, Arrow shards.
"""

import sys
from pathlib import Path

from adaspec.config import load_config
from adaspec.engine import n_cores
from adaspec.errors import exit_on_input_error
from adaspec.features.extract import extract
from adaspec.resolve import resolve
from adaspec.tables import read_clips


def features(clips_csv: Path, folder: Path) -> None:
    clips = read_clips(clips_csv)
    config = resolve(load_config(Path("params.yaml")), clips)
    extract(clips, config, folder, config.engine.workers or n_cores())


if __name__ == "__main__":
    with exit_on_input_error():
        features(*map(Path, sys.argv[1:]))
