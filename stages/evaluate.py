"""Score each fold's test clips.

In: data/clips.csv, data/folds.csv, data/asv_scores.csv, data/verification_trials.csv, data/features, data/speakers,
data/trained. Out: metrics/, and models/fold-K with what they were evaluated with. The summary goes to the tracker.
"""

import sys
from pathlib import Path

from adaspec.config import load_config
from adaspec.config.resolve import resolve
from adaspec.evaluation.evaluate import evaluate as evaluate_folds
from adaspec.experiments.repository import origin
from adaspec.runtime.console import show, stage_command
from adaspec.runtime.workspace import repository_root
from adaspec.tables import read_asv_scores, read_clips, read_folds, read_verification_trials
from adaspec.tracking.outcome import read_outcome
from adaspec.tracking.record import record


def evaluate(
    clips_csv: Path,
    folds_csv: Path,
    asv_scores_csv: Path,
    verification_trials_csv: Path,
    features: Path,
    speakers: Path,
    trained: Path,
    models: Path,
    metrics: Path,
) -> None:
    clips, folds = read_clips(clips_csv), read_folds(folds_csv)
    asv_scores, trials = read_asv_scores(asv_scores_csv), read_verification_trials(verification_trials_csv)
    config = resolve(load_config(Path("params.yaml")), clips)
    evaluation = evaluate_folds(clips, folds, config, features, trained, speakers, asv_scores, trials)
    evaluation.write_models(trained, models, speakers)
    evaluation.write(metrics)
    show("\n".join(evaluation.lines()))
    outcome = read_outcome(models, metrics, Path(config.dataset.root))
    record(repository_root(), config, clips, folds, outcome, origin())


if __name__ == "__main__":
    with stage_command():
        evaluate(*map(Path, sys.argv[1:]))
