"""Runs as they are compared: what an experiment, a commit, the workspace, a folder or an MLflow run predicted."""

from __future__ import annotations

import functools
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from adaspec.errors import InputError
from adaspec.experiments.knobs_of_runs import MLFLOW, Knobs, as_text, flat_params
from adaspec.experiments.repository import read_at
from adaspec.runtime.text import one_line
from adaspec.runtime.workspace import repository_root
from adaspec.tables.columns import DETAILS, labels_of, score_column
from adaspec.tables.labels import of_spoofing
from adaspec.tracking.mlflow_read import RecordedRun, find_run

__all__ = ["KEYS", "Setting", "check_same_clips", "read_metrics", "read_predictions", "read_setting"]

FOLDER = f"metrics/{DETAILS}"  # in the repository
PREDICTIONS, PARAMS = "predictions.csv", "params.yaml"
WORKSPACE = "workspace"  # the working tree, as DVC calls it
KEYS = {  # what all runs must agree on, clip by clip -> what to do where they do not
    "fold": "compare runs of one split: clips without folds of their own are split anew with every seed",
    "label": "compare runs of one data set",
    "group": "compare runs of one data set",
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
    knobs : dict of str to Knobs
        Run -> its knobs, of those runs whose knobs are known.
    """

    name: str
    runs: dict[str, pd.DataFrame]
    knobs: dict[str, Knobs] = field(default_factory=dict)

    @functools.cached_property
    def tables(self) -> list[pd.DataFrame]:
        """The predictions of each run, sorted by clip."""
        return [table.sort_values("clip_id", ignore_index=True) for table in self.runs.values()]

    @property
    def hits(self) -> npt.NDArray[np.float64]:
        """Whether each run was right about each clip: (n_runs, n_clips) of 0 and 1."""
        return np.stack([(table["label"] == table["predicted"]).to_numpy(float) for table in self.tables])

    @property
    def joint_hits(self) -> npt.NDArray[np.bool_]:
        """Whether the runs together are right about each clip: (n_clips,).

        That is by the mean of their scores; a detector's runs decide each at its threshold, so that more than half of
        them must be right.
        """
        labels = labels_of(self.tables[0])
        if len(self.runs) == 1 or of_spoofing(labels):
            return self.hits.mean(axis=0) > 0.5
        first, *_ = tables = self.tables
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
        return _setting(argument, [argument])
    name, separator, joined = argument.partition("=")
    if not separator or not name or set(name) & {"/", ","}:
        name, joined = argument, argument
    runs = joined.split(",")
    if "" in runs:
        raise InputError(f"{argument!r} has a run without a name; write RUN, or RUN,RUN without blanks")
    twice = sorted({run for run in runs if runs.count(run) > 1})
    if twice:
        raise InputError(f"{argument!r} names {twice[0]} twice; name runs that differ in their seed, each once")
    return _setting(name, runs)


def _setting(name: str, runs: Sequence[str]) -> Setting:
    predictions = {run: read_predictions(run) for run in runs}
    return Setting(name, predictions, {run: found for run in runs if (found := _read_knobs(run)) is not None})


def read_predictions(run: str, name: str = PREDICTIONS) -> pd.DataFrame:
    """Read the predictions of one run.

    Parameters
    ----------
    run : str
        `workspace`: the metrics of the working tree; mlflow: and the id of an MLflow run, its beginning, or the run's
        name; a folder that holds predictions.csv; or a DVC experiment, branch, tag or commit of the repository.
    name : str
        Of the file, where it is another of the same form.

    Returns
    -------
    DataFrame
        Text in clip_id, fold, group, label, predicted and what else there is; floats in score_LABEL.

    Raises
    ------
    InputError
        There are none, or they are not those of a run of the pipeline.
    """
    content = read_metrics(run, name)
    try:
        table = pd.read_csv(io.StringIO(content), dtype=str, keep_default_na=False)
    except (pd.errors.EmptyDataError, pd.errors.ParserError) as error:
        raise InputError(f"{run}: {name} is not a table: {one_line(error)}") from None
    where = f"{run}: {name}"
    missing = [column for column in COLUMNS if column not in table]
    labels = labels_of(table)
    scores = [score_column(label) for label in labels]
    if missing or not scores:
        raise InputError(
            f"{where} lacks the columns {', '.join(missing or ['score_LABEL'])}; 'dvc repro' writes them, so evaluate "
            "the run anew"
        )
    if table.empty:
        raise InputError(f"{where} holds no clip; 'dvc repro' writes one row per clip")
    repeated = table["clip_id"][table["clip_id"].duplicated()]
    if not repeated.empty:
        raise InputError(f"{where} has clip {repeated.iloc[0]} more than once; a clip is tested in one fold")
    table[scores] = table[scores].apply(pd.to_numeric, errors="coerce").astype(float)
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
    if run.startswith(MLFLOW):
        return _recorded(run).text(name)
    if run != WORKSPACE and not Path(run).is_dir():
        return read_at(f"{FOLDER}/{name}", run)
    path = _folder(run) / name
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        remedy = "'dvc repro' writes it" if run == WORKSPACE else f"give a folder such as {FOLDER}"
        raise InputError(f"{path} cannot be read ({error}); {remedy}") from None


def _folder(run: str) -> Path:
    return repository_root() / FOLDER if run == WORKSPACE else Path(run)


@functools.lru_cache(maxsize=64)
def _recorded(run: str) -> RecordedRun:
    return find_run(repository_root(), run.removeprefix(MLFLOW))


def _read_knobs(run: str) -> Knobs | None:
    """Knobs of a run; None where nothing tells them: a folder has them where params.yaml lies in it, or two above it
    as in a repository."""
    if run.startswith(MLFLOW):
        return {name: as_text(value) for name, value in _recorded(run).params.items()}
    if run != WORKSPACE and not Path(run).is_dir():
        try:
            content = read_at(PARAMS, run)
        except InputError:  # its predictions could be read
            return None
        return flat_params(content, f"{PARAMS} of {run}")
    folder = _folder(run)
    above = [folder.absolute().parents[1]] if folder.absolute().parts[-2:] == tuple(FOLDER.split("/")) else []
    for path in (each / PARAMS for each in (folder, *above)):
        if path.is_file():
            return flat_params(path.read_text(encoding="utf-8", errors="replace"), str(path))
    return None


def check_same_clips(settings: Sequence[Setting]) -> None:
    """Refuse runs that did not test the same clips in the same folds.

    Raises
    ------
    InputError
        Names two runs, the first clip that they differ in, and what to do.
    """
    runs = [(name, table.set_index("clip_id")) for setting in settings for name, table in setting.runs.items()]
    name, reference = runs[0]
    for other, table in runs[1:]:
        for kind, here, there in (
            ("clip", reference.index, table.index),
            ("class", pd.Index(labels_of(reference)), pd.Index(labels_of(table))),
        ):
            unshared = here.symmetric_difference(there)
            if not unshared.empty:
                owner = name if unshared[0] in here else other
                raise InputError(
                    f"{name} and {other} cannot be compared: {kind} {unshared[0]} is in {owner} "
                    f"only (one of {len(unshared)} such); compare runs of one data set"
                )
        for key, remedy in KEYS.items():
            values, others = reference[key], table[key].reindex(reference.index)
            differing = reference.index[values != others]
            if not differing.empty:
                clip = differing[0]
                raise InputError(
                    f"{name} and {other} cannot be compared: clip {clip} has {key} {values[clip]} in one, "
                    f"{others[clip]} in the other (one of {len(differing)} such); {remedy}"
                )
