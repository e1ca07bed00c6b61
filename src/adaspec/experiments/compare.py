"""Compare settings clip by clip: which is better, and could chance have done it?

A setting is one run, or several that differ in their seed. All runs have scored the same clips in the same folds, so
what is compared are differences on the same clips, whose spread is far smaller than that of the scores.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.stats

from adaspec.errors import InputError
from adaspec.runtime.seeding import generator

__all__ = ["Comparison", "Setting", "compare", "format_table", "read_metrics", "read_predictions", "read_setting"]

PREDICTIONS = "predictions.csv"
KEYS = {  # what all runs must agree on, clip by clip -> what to do where they do not
    "fold": "compare runs of one split: clips without folds of their own are split anew with every seed",
    "label": "compare runs of one data set",
}
COLUMNS = ["clip_id", *KEYS, "predicted"]
CHUNK = 2**22  # clips times resamples at a time
DECIMALS = 12  # beyond are rounding errors of float64, which are no difference

Floats = npt.NDArray[np.float64]


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
    def hits(self) -> Floats:
        """Whether each run was right about each clip: (n_runs, n_clips) of 0 and 1."""
        return np.stack([(table["label"] == table["predicted"]).to_numpy(float) for table in self.tables])

    @property
    def mean_score_hits(self) -> npt.NDArray[np.bool_]:
        """Whether the mean of the runs' scores is right about each clip: (n_clips,)."""
        if len(self.runs) == 1:
            return self.hits[0].astype(bool)
        first, *_ = tables = self.tables
        columns = _score_columns(first)
        chosen = np.mean([table[columns].to_numpy(float) for table in tables], axis=0).argmax(axis=1)
        labels = np.array([column.removeprefix("score_") for column in columns], dtype=object)
        return np.asarray(labels[chosen] == first["label"].to_numpy(dtype=object), dtype=bool)


@dataclass(frozen=True)
class Comparison:
    """One setting beside the baseline.

    Attributes
    ----------
    name : str
    accuracy, std : float
        Mean over the clips of each fold, folds and runs; standard deviation over folds and runs (n - 1), not a number
        for a single one.
    low, high : float
        95 % interval of the accuracy.
    difference, difference_low, difference_high : float
        Accuracy less that of the baseline, with its paired 95 % interval.
    n_only_baseline, n_only_this : int
        Clips that one of the two was right about and the other was not.
    p_value : float
        Of the exact, two-sided McNemar test on these counts.
    """

    name: str
    accuracy: float
    std: float
    low: float
    high: float
    difference: float
    difference_low: float
    difference_high: float
    n_only_baseline: int
    n_only_this: int
    p_value: float

    @property
    def verdict(self) -> str:
        """What the paired interval says: better, worse or no difference shown."""
        if self.difference_low > 0:
            return "better"
        return "worse" if self.difference_high < 0 else "no difference shown"


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
        raise InputError(f"{run}: {PREDICTIONS} is not a table: {' '.join(str(error).split())}") from None
    where = f"{run}: {PREDICTIONS}"
    missing = [column for column in COLUMNS if column not in table]
    scores = _score_columns(table)
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
    unknown = sorted((set(table["label"]) | set(table["predicted"])) - {s.removeprefix("score_") for s in scores})
    if unknown:
        raise InputError(f"{where} has no column score_{unknown[0]}, but clips of that class")
    return table


def read_metrics(run: str, name: str) -> str:
    """Read a file of the folder metrics as one run left it.

    Parameters
    ----------
    run : str
        As `read_predictions` takes it.
    name : str
        Such as summary.json.

    Raises
    ------
    InputError
        There is no such run, or it has no such file.
    """
    path = Path(run) / name
    if Path(run).is_dir():
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path} cannot be read ({error}); give a folder such as metrics") from None
    import dvc.api
    from dvc.exceptions import DvcException
    from scmrepo.exceptions import SCMError

    try:
        return str(dvc.api.read(f"metrics/{name}", rev=run, encoding="utf-8"))
    except (DvcException, SCMError, OSError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{run} is neither a folder nor an experiment or commit with metrics/{name} ({reason}); "
            "'dvc exp show' lists experiments"
        ) from None


def _score_columns(table: pd.DataFrame) -> list[str]:
    return [column for column in table.columns if column.startswith("score_")]


def compare(settings: list[Setting], seed: int = 0, n_resamples: int = 10_000) -> list[Comparison]:
    """Compare every setting with the first, the baseline.

    Intervals are percentile bootstraps. Clips are drawn anew within each fold, the same for all settings, and runs
    among the runs, the same for two settings that have equally many: name runs of equal seeds in equal order. The
    interval of one run carries the chance of which clips were drawn; only that of several carries the chance of the
    seed as well, and understates it where they are few. The test is on the clips that the mean of a setting's scores
    over its runs gets right. Clips count one by one, also where several come from one source.

    Parameters
    ----------
    settings : list of Setting
    seed, n_resamples : int
        Of the bootstrap.

    Returns
    -------
    list of Comparison
        As many as settings; each depends on the baseline and its own setting alone.

    Raises
    ------
    InputError
        The runs did not score the same clips in the same folds.

    References
    ----------
    Q. McNemar, "Note on the sampling error of the difference between correlated proportions or percentages",
    Psychometrika 12, 1947, https://doi.org/10.1007/BF02295996

    T. G. Dietterich, "Approximate Statistical Tests for Comparing Supervised Classification Learning Algorithms",
    Neural Computation 10, 1998, https://doi.org/10.1162/089976698300017197

    B. Efron and R. J. Tibshirani, "An Introduction to the Bootstrap", 1993, chapters 8 and 13.
    """
    _check_same_clips(settings)
    baseline = settings[0]
    folds = baseline.tables[0]["fold"].to_numpy(dtype=object)
    members = {fold: np.flatnonzero(folds == fold) for fold in sorted(set(folds))}
    resampled = _resample([setting.hits for setting in settings], members, seed, n_resamples)
    per_fold = [np.stack([setting.hits[:, clips].mean(axis=1) for clips in members.values()]) for setting in settings]
    right = baseline.mean_score_hits
    compared: list[Comparison] = []
    for setting, accuracies, scores in zip(settings, resampled, per_fold, strict=True):
        low, high = np.percentile(accuracies, [2.5, 97.5])
        differences = np.round(accuracies - resampled[0], DECIMALS)
        difference_low, difference_high = np.percentile(differences, [2.5, 97.5])
        this_right = setting.mean_score_hits
        n_only_baseline, n_only_this = int((right & ~this_right).sum()), int((this_right & ~right).sum())
        compared.append(
            Comparison(
                name=setting.name,
                accuracy=float(scores.mean()),
                std=float(scores.std(ddof=1)) if scores.size > 1 else float("nan"),
                low=float(low),
                high=float(high),
                difference=float(np.round(scores.mean() - per_fold[0].mean(), DECIMALS)),
                difference_low=float(difference_low),
                difference_high=float(difference_high),
                n_only_baseline=n_only_baseline,
                n_only_this=n_only_this,
                p_value=_mcnemar(n_only_baseline, n_only_this),
            )
        )
    return compared


def _resample(
    hits: list[Floats], members: dict[str, npt.NDArray[np.int64]], seed: int, n_resamples: int
) -> list[Floats]:
    """Accuracy of each setting in every resample: (n_runs, n_clips) each -> (n_resamples,) each."""
    all_hits = np.concatenate(hits)  # (n_runs of all settings, n_clips)
    means = np.zeros((n_resamples, len(all_hits)))
    for fold, clips in members.items():
        rng = generator(seed, "clips", fold)
        n_clips, size = len(clips), max(1, CHUNK // len(clips))
        for start in range(0, n_resamples, size):
            part = slice(start, min(start + size, n_resamples))
            counts = rng.multinomial(n_clips, np.full(n_clips, 1 / n_clips), size=part.stop - part.start)
            means[part] += counts @ all_hits[:, clips].T / (n_clips * len(members))
    accuracies = []
    for own in np.split(means, np.cumsum([len(each) for each in hits])[:-1], axis=1):
        n_runs = own.shape[1]
        drawn = generator(seed, "runs", n_runs).integers(0, n_runs, own.shape)
        accuracies.append(np.take_along_axis(own, drawn, axis=1).mean(axis=1))
    return accuracies


def _mcnemar(n_only_first: int, n_only_second: int) -> float:
    """Chance of counts at least as unequal, were either equally likely for each clip they differ in."""
    n_differing = n_only_first + n_only_second
    return float(scipy.stats.binomtest(n_only_first, n_differing, 0.5).pvalue) if n_differing else 1.0


def _check_same_clips(settings: list[Setting]) -> None:
    runs = [(name, table.set_index("clip_id")) for setting in settings for name, table in setting.runs.items()]
    name, reference = runs[0]
    for other, table in runs[1:]:
        for kind, here, there in (
            ("clip", reference.index, table.index),
            ("class", pd.Index(_score_columns(reference)), pd.Index(_score_columns(table))),
        ):
            unshared = here.symmetric_difference(there)
            if not unshared.empty:
                owner = name if unshared[0] in here else other
                raise InputError(
                    f"{name} and {other} cannot be compared: {kind} {unshared[0].removeprefix('score_')} is in {owner} "
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


def format_table(
    comparisons: list[Comparison], *, markdown: bool, further: Mapping[str, Sequence[str]] | None = None
) -> str:
    """Render for a terminal or as Markdown, with a sentence for each setting but the baseline.

    Parameters
    ----------
    comparisons : list of Comparison
    markdown : bool
    further : mapping of str to sequence of str, optional
        More columns: title -> a cell for each of `comparisons`.
    """
    rows = [["setting", "accuracy", "std", "95 % interval", "difference", "paired 95 % interval", "only right", "p"]]
    for index, each in enumerate(comparisons):
        std = "-" if np.isnan(each.std) else f"{each.std:.4f}"
        row = [each.name, f"{each.accuracy:.4f}", std, f"{each.low:.4f} to {each.high:.4f}"]
        if index:
            row += [
                f"{each.difference:+z.4f}",
                f"{each.difference_low:+z.4f} to {each.difference_high:+z.4f}",
                f"{each.n_only_this} : {each.n_only_baseline}",
                f"{each.p_value:.3g}",
            ]
        rows.append(row + [""] * (len(rows[0]) - len(row)))
    for title, cells in (further or {}).items():
        for row, cell in zip(rows, [title, *cells], strict=True):
            row.append(cell)
    if markdown:
        escaped = [[cell.replace("|", "\\|") for cell in row] for row in rows]
        escaped.insert(1, ["---"] * len(rows[0]))
        lines = [f"| {' | '.join(row)} |" for row in escaped]
    else:
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    baseline = comparisons[0].name
    told = [f"- {_sentence(each, baseline)}" if markdown else _sentence(each, baseline) for each in comparisons[1:]]
    note = (
        f"std: over folds and runs. only right: clips that only this setting : only {baseline} gets right, by the mean "
        "of the runs' scores; p: exact McNemar test on them."
    )
    return "\n".join([*lines, "", note, *([""] if markdown else []), *told])


def _sentence(each: Comparison, baseline: str) -> str:
    figures = f"{each.difference:+z.4f} (95 % interval {each.difference_low:+z.4f} to {each.difference_high:+z.4f})"
    if each.verdict == "no difference shown":
        return f"{each.name} against {baseline}: no difference shown, accuracy {figures}."
    return f"{each.name} is {each.verdict} than {baseline}: accuracy {figures}."
