"""Make a vector of each recording that tells speakers apart, by a network of the fold's training speakers or by a file.

In: data/clips.csv, data/folds.csv, data/features. Out: data/speakers/fold-K with the vectors of all recordings, those
of enrolled speakers, and the network. Without speaker.source there are none.
"""

import sys
from pathlib import Path

from adaspec.config import load_config
from adaspec.config.resolve import resolve_audio
from adaspec.runtime.console import stage_command
from adaspec.tables import read_clips, read_folds
from adaspec.training.embedding import embed_folds


def embed(clips_csv: Path, folds_csv: Path, features: Path, speakers: Path) -> None:
    clips = read_clips(clips_csv)
    config = load_config(Path("params.yaml"))
    config = config.model_copy(update={"audio": resolve_audio(config.audio, clips)})
    embed_folds(clips, read_folds(folds_csv), config, features, speakers)


if __name__ == "__main__":
    with stage_command():
        embed(*map(Path, sys.argv[1:]))
