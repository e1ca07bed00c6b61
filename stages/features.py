"""Decode, resample and store every clip: waveforms for a front end that may learn, log-mel features for a fixed one.

In: data/clips.csv and the recordings. Out: data/features, Arrow shards.
"""

import sys
from pathlib import Path

from adaspec.config import load_config
from adaspec.config.resolve import resolve_audio
from adaspec.features.extract import extract
from adaspec.runtime.console import stage_command
from adaspec.tables import read_clips


def features(clips_csv: Path, folder: Path) -> None:
    clips = read_clips(clips_csv)
    config = load_config(Path("params.yaml"))
    config = config.model_copy(update={"audio": resolve_audio(config.audio, clips)})
    extract(clips, config, folder)


if __name__ == "__main__":
    with stage_command():
        features(*map(Path, sys.argv[1:]))
