"""Change test clips and ask each fold's model about them, where params.yaml asks for it.

In: data/clips.csv, data/folds.csv, models, the recordings. Out: metrics/robustness.json, metrics/robustness, which the
tracker gets too.
"""

import sys
from pathlib import Path

from adaspec.config import load_config
from adaspec.config.resolve import resolve
from adaspec.experiments.repository import origin
from adaspec.robustness import survey
from adaspec.runtime.console import show, stage_command
from adaspec.runtime.workspace import repository_root
from adaspec.tables import read_clips, read_folds
from adaspec.tracking.record import attach


def robustness(clips_csv: Path, folds_csv: Path, models: Path, summary: Path, details: Path) -> None:
    clips, folds = read_clips(clips_csv), read_folds(folds_csv)
    config = resolve(load_config(Path("params.yaml")), clips)
    found = survey(clips, folds, config, models)
    found.write(summary, details)
    show("\n".join(found.lines()))
    if config.robustness.asks:
        scores = {f"robustness/{name}": each["mean"] for name, each in found.headline().items()}
        attach(repository_root(), config, clips, details.parent, origin(), details, scores)


if __name__ == "__main__":
    with stage_command():
        robustness(*map(Path, sys.argv[1:]))
