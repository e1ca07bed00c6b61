"""Compare settings clip by clip: which is better, and could chance have done it?

A setting is one run or several that differ in their seed. All runs have scored the same clips in the same folds, so
what is compared are differences on the same clips, whose spread is far smaller than that of the scores.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.stats

from adaspec.errors import InputError
from adaspec.seeding import generator

__all__ = ["Comparison", "Setting", "compare", "format_table", "read_predictions"]

PREDICTIONS = "predictions.csv"
COLUMNS = ("clip_id", "fold", "label", "predicted")


@dataclass(frozen=True)
class Setting:
    """What one setting predicted.

    Attributes
    ----------
    name : str
    runs : list of DataFrame
        predictions.csv of each run.
    """

    name: str
    runs: list[pd.DataFrame]

    @property
    def hits(self) -> npt.NDArray[np.float64]:
        """Whether each run was right about each clip: (n_runs, n_clips), clips sorted by their id."""
        return np.stack([(run["label"] == run["predicted"]).to_numpy(float) for run in self.runs])

    @property
    def ensemble_hits(self) -> npt.NDArray[np.bool_]:
        """Whether the mean of the runs' scores is right about each clip: (n_clips,)."""
        columns = [column for column in self.runs[0].columns if column.startswith("score_")]
        scores = np.mean([run[columns].to_numpy() for run in self.runs], axis=0)
        labels = np.array([column.removeprefix("score_") for column in columns])
        hits: npt.NDArray[np.bool_] = labels[scores.argmax(axis=1)] == self.runs[0]["label"].to_numpy()
        return hits


@dataclass(frozen=True)
class Comparison:
    """One setting beside the first.

    Attributes
    ----------
    name : str
    accuracy, std : float
        Mean over clips of each fold, folds and runs; standard deviation over folds and runs (n - 1).
    low, high : float
        95 % interval of the accuracy.
    difference, difference_low, difference_high : float
        To the first setting, with the paired 95 % interval.
    n_only_first, n_only_this : int
        Clips that one of the two was right about, and the other was not.
    p_value : float
        Exact, two-sided, of McNemar's test on these counts.
    """

    name: str
    accuracy: float
    std: float
    low: float
    high: float
    difference: float
    difference_low: float
    difference_high: float
    n_only_first: int
    n_only_this: int
    p_value: float

    @property
    def verdict(self) -> str:
        """What the paired interval says."""
        if self.difference_low > 0:
            return "better"
        return "worse" if self.difference_high < 0 else "no difference shown"


def read_predictions(name: str) -> pd.DataFrame:
    """Read the predictions of one run.

    Parameters
    ----------
    name : str
        A folder that holds predictions.csv, or a DVC experiment, branch, tag or commit of the repository.

    Raises
    ------
    InputError
        There are none.
    """
    folder = Path(name)
    if folder.is_dir():
        path = folder / PREDICTIONS
        if not path.is_file():
            raise InputError(f"{path} not found; give a folder such as metrics")
        content = path.read_text(encoding="utf-8")
    else:
        import dvc.api
        from dvc.exceptions import DvcException
        from scmrepo.exceptions import SCMError

        try:
            content = dvc.api.read(f"metrics/{PREDICTIONS}", rev=name)
        except (DvcException, SCMError, FileNotFoundError) as error:
            reason = " ".join(str(error).split())
            raise InputError(
                f"{name} is neither a folder nor an experiment or commit with metrics/{PREDICTIONS} ({reason})"
            ) from None
    table = pd.read_csv(io.StringIO(content), dtype={column: str for column in COLUMNS}, keep_default_na=False)
    missing = [column for column in COLUMNS if column not in table]
    if missing:
        raise InputError(f"{name}: {PREDICTIONS} lacks {', '.join(missing)}; it is no output of 'dvc repro'")
    return table.sort_values("clip_id", ignore_index=True)


def compare(settings: list[Setting], seed: int = 0, n_resamples: int = 10_000) -> list[Comparison]:
    """Compare every setting with the first.

    Intervals are percentile bootstraps: clips are drawn anew within each fold, the same for all settings, and runs
    among the runs, the same for both of a pair that has equally many. The test is on the clips that the mean of a
    setting's scores over its runs gets right.

    Parameters
    ----------
    settings : list of Setting
    seed, n_resamples : int
        Of the bootstrap.

    Raises
    ------
    InputError
        The runs did not score the same clips in the same folds.

    References
    ----------
    Q. McNemar, "Note on the sampling error of the difference between correlated proportions", Psychometrika 12, 1947;
    T. G. Dietterich, "Approximate Statistical Tests for Comparing Supervised Classification Learning Algorithms",
    Neural Computation 10, 1998; B. Efron and R. J. Tibshirani, "An Introduction to the Bootstrap", 1993, chapters 8
    and 13.
    """
    first = settings[0]
    _check_same_clips(settings)
    folds = first.runs[0]["fold"].to_numpy()
    members = [np.flatnonzero(folds == fold) for fold in np.unique(folds)]
    rng = generator(seed, "compare")
    # How often each clip is drawn, as a weight by which a fold's mean accuracy and the mean over folds are one product.
    weights = np.zeros((n_resamples, len(folds)))
    for clips in members:
        counts = rng.multinomial(len(clips), np.full(len(clips), 1 / len(clips)), size=n_resamples)
        weights[:, clips] = counts / (len(clips) * len(members))
    draws = rng.random((n_resamples, max(len(setting.runs) for setting in settings)))

    def resampled(setting: Setting) -> npt.NDArray[np.float64]:
        n_runs = len(setting.runs)
        means = weights @ setting.hits.T  # (n_resamples, n_runs)
        drawn = (draws[:, :n_runs] * n_runs).astype(int)
        return np.take_along_axis(means, drawn, axis=1).mean(axis=1)

    base = resampled(first)
    compared: list[Comparison] = []
    for setting in settings:
        per_fold = np.stack([setting.hits[:, clips].mean(axis=1) for clips in members])  # (n_folds, n_runs)
        accuracies = resampled(setting)
        only_first = int((first.ensemble_hits & ~setting.ensemble_hits).sum())
        only_this = int((setting.ensemble_hits & ~first.ensemble_hits).sum())
        n_differing = only_first + only_this
        p_value = scipy.stats.binomtest(only_this, n_differing).pvalue if n_differing else 1.0
        accuracy = per_fold.mean()
        low, high = np.percentile(accuracies, [2.5, 97.5])
        difference_low, difference_high = np.percentile(accuracies - base, [2.5, 97.5])
        first_accuracy = compared[0].accuracy if compared else accuracy
        compared.append(
            Comparison(
                name=setting.name,
                accuracy=float(accuracy),
                std=float(per_fold.std(ddof=1)) if per_fold.size > 1 else float("nan"),
                low=float(low),
                high=float(high),
                difference=float(accuracy - first_accuracy),
                difference_low=float(difference_low),
                difference_high=float(difference_high),
                n_only_first=only_first,
                n_only_this=only_this,
                p_value=float(p_value),
            )
        )
    return compared


def _check_same_clips(settings: list[Setting]) -> None:
    reference = settings[0].runs[0]
    keys = ["clip_id", "fold", "label"]
    for setting in settings:
        for run in setting.runs:
            same = len(run) == len(reference) and run[keys].equals(reference[keys])
            if not same or list(run.columns) != list(reference.columns):
                raise InputError(
                    f"{setting.name} and {settings[0].name} did not score the same clips in the same folds; compare "
                    "runs of one data set, with the same split.*"
                )


def format_table(comparisons: list[Comparison], *, markdown: bool) -> str:
    """Render for a terminal or as Markdown, with a verdict for each setting but the first."""
    header = [
        "setting",
        "accuracy",
        "std",
        "95 % interval",
        "difference",
        "95 % interval",
        "only first / only this",
        "p",
    ]
    rows = [header]
    for index, each in enumerate(comparisons):
        row = [each.name, f"{each.accuracy:.4f}", f"{each.std:.4f}", f"{each.low:.4f} to {each.high:.4f}"]
        if index:
            row += [
                f"{each.difference:+.4f}",
                f"{each.difference_low:+.4f} to {each.difference_high:+.4f}",
                f"{each.n_only_first} / {each.n_only_this}",
                f"{each.p_value:.3g}",
            ]
        rows.append(row + [""] * (len(header) - len(row)))
    if markdown:
        rows.insert(1, ["---"] * len(header))
        lines = [f"| {' | '.join(row)} |" for row in rows]
    else:
        widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    first = comparisons[0].name
    verdicts = [f"{each.name} against {first}: {each.verdict}" for each in comparisons[1:]]
    return "\n".join([*lines, "", *verdicts])
