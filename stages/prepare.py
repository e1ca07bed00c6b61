"""List, read and measure the recordings.

In: the folder dataset.root. Out: data/clips.csv, one row per usable clip; data/skipped.csv, the others with the reason;
data/asv_scores.csv, scores of a speaker verification system, and data/verification_trials.csv, trials of one, where the
data set has them.
"""

import logging
import sys
from pathlib import Path

from adaspec.config import load_config
from adaspec.datasets import read_asv_scores, read_dataset, read_verification_trials
from adaspec.datasets.clips import examine_clips
from adaspec.runtime.console import stage_command
from adaspec.runtime.files import write_csv
from adaspec.tables import ENROLMENT, trial_rows


def prepare(clips_csv: Path, skipped_csv: Path, asv_scores_csv: Path, verification_trials_csv: Path) -> None:
    config = load_config(Path("params.yaml"))
    dataset = config.dataset
    table = read_dataset(dataset)
    asv_scores = read_asv_scores(dataset)
    choices = (dataset.on_bad_clip, dataset.on_missing)
    clips, skipped = examine_clips(table, Path(dataset.root), *choices, config.engine.workers, config.engine)
    verification_trials = read_verification_trials(dataset, table, clips)
    write_csv(clips_csv, clips)
    write_csv(skipped_csv, skipped)
    write_csv(asv_scores_csv, asv_scores)
    write_csv(verification_trials_csv, verification_trials)
    trials = trial_rows(clips)
    hours = (trials["n_samples"] / trials["sample_rate"]).sum() / 3600
    told = f"{len(trials)} clips, {trials['label'].nunique()} labels, {trials['group'].nunique()} groups, {hours:.2f} h"
    if "use" in clips:
        speaker = clips.loc[clips["use"] == ENROLMENT, "speaker"]
        told += f"; {len(speaker)} enrolment recordings of {speaker.nunique()} speakers"
        told += f", {len(verification_trials)} verification trials"
    logging.getLogger("adaspec").info("%s", told)


if __name__ == "__main__":
    with stage_command():
        prepare(*map(Path, sys.argv[1:]))
