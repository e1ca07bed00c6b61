"""What came out of a run, as evaluation left it in its folders."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from adaspec.errors import InputError
from adaspec.models.history import read_history
from adaspec.runtime.text import one_line
from adaspec.tables.columns import DETAILS

__all__ = ["FoldOutcome", "Outcome", "read_outcome"]

WORST_ERRORS = "worst_errors.csv"


@dataclass(frozen=True)
class FoldOutcome:
    """What came out of a fold.

    Attributes
    ----------
    scores : dict of str to float
        Of its test clips.
    learned : dict of str to float
        What its front end learned, in numbers.
    history : list of dict
        Rows of `read_history`.
    model : Path
        Such as models/fold-1.
    """

    scores: dict[str, float]
    learned: dict[str, float]
    history: list[dict[str, float]]
    model: Path


@dataclass(frozen=True)
class Outcome:
    """What came out of a run.

    Attributes
    ----------
    summary : dict of str to dict
        Score -> statistic -> value.
    learned : dict of str to float
        Mean over folds of what the front ends learned.
    folds : dict of int to FoldOutcome
    artifacts : list of Path
        Files and folders that are kept with the run.
    worst : DataFrame
        Rows of worst_errors.csv: `path`, `label` and `predicted` of clips, the worst first.
    recordings : Path
        Folder that their paths are relative to.
    """

    summary: dict[str, dict[str, float]]
    learned: dict[str, float]
    folds: dict[int, FoldOutcome]
    artifacts: list[Path]
    worst: pd.DataFrame
    recordings: Path


def read_outcome(models: Path, metrics: Path, recordings: Path) -> Outcome:
    """Read what evaluation has written.

    Parameters
    ----------
    models, metrics : Path
        Its folders.
    recordings : Path
        Folder of the data set.

    Raises
    ------
    InputError
        Something is missing or cannot be read.
    """
    details = metrics / DETAILS
    try:
        folds = {}
        for path in sorted((details / "folds").glob("fold-*.json"), key=lambda path: int(path.stem[5:])):
            scores = json.loads(path.read_bytes())
            learned, model = scores.pop("frontend", {}), models / path.stem
            folds[int(path.stem[5:])] = FoldOutcome(scores, learned, read_history(model), model)
        learned = json.loads((details / "frontend.json").read_bytes()) if (details / "frontend.json").exists() else {}
        worst = pd.read_csv(details / WORST_ERRORS, dtype=str, keep_default_na=False)
        summary = json.loads((details / "summary.json").read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"{details} cannot be read ({one_line(error)}); 'dvc repro' writes it") from None
    return Outcome(summary, learned, folds, sorted(details.iterdir()), worst, recordings)
