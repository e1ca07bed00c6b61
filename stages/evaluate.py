"""Score each fold's test clips.

In: data/clips.csv, data/folds.csv, data/asv_scores.csv, data/features, models. Out: metrics/.
The summary goes to MLflow.
"""

import sys
from pathlib import Path

from adaspec.config import load_config
from adaspec.config.resolve import resolve
from adaspec.evaluation.evaluate import evaluate as evaluate_folds
from adaspec.experiments.repository import commit
from adaspec.models.history import read_history
from adaspec.runtime.console import command_line
from adaspec.runtime.workspace import repository_root
from adaspec.tables import read_asv_scores, read_clips, read_folds
from adaspec.tracking import TRACKERS
from adaspec.training.digest import training_digest


def evaluate(
    clips_csv: Path, folds_csv: Path, asv_scores_csv: Path, features: Path, models: Path, metrics: Path
) -> None:
    clips, folds = read_clips(clips_csv), read_folds(folds_csv)
    config = resolve(load_config(Path("params.yaml")), clips)
    asv_scores = read_asv_scores(asv_scores_csv)
    evaluation = evaluate_folds(clips, folds, config, features, models, asv_scores)
    evaluation.write(metrics)
    print(evaluation.table())

    tracker = TRACKERS[config.tracking.tracker]
    run = tracker.run(repository_root(), training_digest(config, clips, folds), config, clips, commit())
    for fold, scores in evaluation.folds.items():
        run.log_epochs(fold, read_history(models / f"fold-{fold}"))
        run.log_fold(fold, scores, models / f"fold-{fold}", evaluation.learned.folds.get(fold))
    names = ["summary.json", "predictions.csv", "per_class.csv", "worst_errors.csv", "figures"]
    names += ["attacks.csv", "scores.txt", "scores_validation.txt"] if evaluation.spoofing else []
    names += ["frontend.json", "frontend_bins.csv", "frontend_window.csv"] if evaluation.learned.folds else []
    run.complete(evaluation.summary, [metrics / name for name in names], evaluation.learned.mean)


if __name__ == "__main__":
    with command_line():
        evaluate(*map(Path, sys.argv[1:]))
