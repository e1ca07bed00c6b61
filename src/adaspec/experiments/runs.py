"""Runs as they are compared: what a folder, an experiment or a commit predicted."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from adaspec.errors import InputError
from adaspec.experiments.repository import read_at
from adaspec.runtime.text import one_line
from adaspec.tables.columns import DETAILS, labels_of, score_column

__all__ = ["KEYS", "Setting", "read_metrics", "read_predictions", "read_setting"]

FOLDER = f"metrics/{DETAILS}"  # in the repository
PREDICTIONS = "predictions.csv"
KEYS = {  # what all runs must agree on, clip by clip -> what to do where they do not
    "fold": "compare runs of one split: clips without folds of their own are split anew with every seed",
    "label": "compare runs of one data set",
}
COLUMNS = ["clip_id", *KEYS, "predicted"]


@dataclass(frozen=True)
class Setting:
    """What one setting predicted.

    Attributes
    ----------
    name : str
    runs : dict of str to DataFrame
        Run -> its predictions.csv; the rows in any order.
    """

    name: str
    runs: dict[str, pd.DataFrame]

    @property
    def tables(self) -> list[pd.DataFrame]:
        """The predictions of each run, sorted by clip."""
        return [table.sort_values("clip_id", ignore_index=True) for table in self.runs.values()]

    @property
    def hits(self) -> npt.NDArray[np.float64]:
        """Whether each run was right about each clip: (n_runs, n_clips) of 0 and 1."""
        return np.stack([(table["label"] == table["predicted"]).to_numpy(float) for table in self.tables])

    @property
    def mean_score_hits(self) -> npt.NDArray[np.bool_]:
        """Whether the mean of the runs' scores is right about each clip: (n_clips,)."""
        if len(self.runs) == 1:
            return self.hits[0].astype(bool)
        first, *_ = tables = self.tables
        labels = labels_of(first)
        columns = [score_column(label) for label in labels]
        chosen = np.mean([table[columns].to_numpy(float) for table in tables], axis=0).argmax(axis=1)
        return np.asarray(np.array(labels, dtype=object)[chosen] == first["label"].to_numpy(dtype=object), dtype=bool)


def read_setting(argument: str) -> Setting:
    """Read the runs of a setting.

    Parameters
    ----------
    argument : str
        Runs as `read_predictions` takes them, joined by commas; a name for the table may stand before, as NAME=RUN,RUN.

    Raises
    ------
    InputError
        A run without predictions, or named twice.
    """
    if argument and Path(argument).is_dir():  # whatever signs it has in its name
        return Setting(argument, {argument: read_predictions(argument)})
    name, separator, joined = argument.partition("=")
    if not separator or not name or set(name) & {"/", ","}:
        name, joined = argument, argument
    runs = joined.split(",")
    if "" in runs:
        raise InputError(f"{argument!r} has a run without a name; write RUN, or RUN,RUN without blanks")
    twice = sorted({run for run in runs if runs.count(run) > 1})
    if twice:
        raise InputError(f"{argument!r} names {twice[0]} twice; name runs that differ in their seed, each once")
    return Setting(name, {run: read_predictions(run) for run in runs})


def read_predictions(run: str) -> pd.DataFrame:
    """Read the predictions of one run.

    Parameters
    ----------
    run : str
        A folder that holds predictions.csv, or a DVC experiment, branch, tag or commit of the repository.

    Returns
    -------
    DataFrame
        Text in clip_id, fold, label and predicted; floats in score_LABEL.

    Raises
    ------
    InputError
        There are none, or they are not those of a run of the pipeline.
    """
    content = read_metrics(run, PREDICTIONS)
    try:
        table = pd.read_csv(io.StringIO(content), dtype=dict.fromkeys(COLUMNS, str), keep_default_na=False)
    except (pd.errors.EmptyDataError, pd.errors.ParserError) as error:
        raise InputError(f"{run}: {PREDICTIONS} is not a table: {one_line(error)}") from None
    where = f"{run}: {PREDICTIONS}"
    missing = [column for column in COLUMNS if column not in table]
    labels = labels_of(table)
    scores = [score_column(label) for label in labels]
    if missing or not scores:
        raise InputError(f"{where} lacks the columns {', '.join(missing or ['score_LABEL'])}; 'dvc repro' writes them")
    if table.empty:
        raise InputError(f"{where} holds no clip; 'dvc repro' writes one row per clip")
    repeated = table["clip_id"][table["clip_id"].duplicated()]
    if not repeated.empty:
        raise InputError(f"{where} has clip {repeated.iloc[0]} more than once; a clip is tested in one fold")
    table[scores] = table[scores].apply(pd.to_numeric, errors="coerce")
    unusable = table["clip_id"][~np.isfinite(table[scores].to_numpy(float)).all(axis=1)]
    if not unusable.empty:
        raise InputError(f"{where} has a score of clip {unusable.iloc[0]} that is not a number")
    unknown = sorted((set(table["label"]) | set(table["predicted"])) - set(labels))
    if unknown:
        raise InputError(f"{where} has no column {score_column(unknown[0])}, but clips of that class")
    return table


def read_metrics(run: str, name: str) -> str:
    """Read a file of the folder metrics/details as one run left it.

    Parameters
    ----------
    run : str
        As `read_predictions` takes it.
    name : str
        Such as curves.csv.

    Raises
    ------
    InputError
        There is no such run, or it has no such file.
    """
    if not Path(run).is_dir():
        return read_at(f"{FOLDER}/{name}", run)
    path = Path(run) / name
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read ({error}); give a folder such as {FOLDER}") from None
