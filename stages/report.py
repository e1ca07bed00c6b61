"""Make one page of the run: scores, what was learned, where it fails, to look at and to listen to.

In: data/clips.csv, data/folds.csv, data/skipped.csv, metrics/summary.json, metrics/details, metrics/robustness, the
recordings. Out: reports/index.html, which the tracker gets too.
"""

import sys
from pathlib import Path

from adaspec.config import load_config
from adaspec.config.resolve import resolve
from adaspec.experiments.knobs_of_runs import differing_knobs, flat_params
from adaspec.experiments.repository import commit, committed, origin
from adaspec.report import Provenance, write_report
from adaspec.runtime.console import stage_command
from adaspec.runtime.files import read_csv
from adaspec.runtime.workspace import repository_root
from adaspec.tables import read_clips, read_folds
from adaspec.tables.stored import data_digest
from adaspec.tracking.record import attach


def report(
    clips_csv: Path, folds_csv: Path, skipped_csv: Path, headline: Path, details: Path, robustness: Path, page: Path
) -> None:
    clips, folds, params = read_clips(clips_csv), read_folds(folds_csv), Path("params.yaml")
    config = resolve(load_config(params), clips)
    now = flat_params(params.read_text(encoding="utf-8"), str(params))
    before = flat_params(committed(params) or "", str(params)) or now
    differing = differing_knobs([{"before": before}, {"now": now}])
    assert config.audio.sample_rate is not None  # resolved
    provenance = Provenance(
        commit=commit(),
        knobs={name: (values[0], values[1]) for name, values in differing.items()},
        sample_rate=config.audio.sample_rate,
        data_digest=data_digest(clips, folds).hex()[:16],
    )
    skipped, root = read_csv(skipped_csv), Path(config.dataset.root)
    write_report(clips, folds, skipped, headline, details, robustness, root, provenance, page)
    attach(repository_root(), config, clips, details.parent, origin(), page)


if __name__ == "__main__":
    with stage_command():
        report(*map(Path, sys.argv[1:]))
