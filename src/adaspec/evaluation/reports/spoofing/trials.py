"""Scores of a detector's trials: of each fold, over folds, and their intervals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from adaspec.evaluation.bootstrap import Draw, resampled_means
from adaspec.evaluation.scores.calibration import calibrated, probability
from adaspec.evaluation.scores.contract import Array
from adaspec.evaluation.scores.decisions import decided
from adaspec.evaluation.scores.detection import detected, stepped
from adaspec.evaluation.scores.error_curve import ErrorCurve, error_curve
from adaspec.evaluation.scores.tandem import AsvErrors
from adaspec.evaluation.summary import DECIMALS, rounded, summarise
from adaspec.runtime.seeding import generator
from adaspec.tables import BONAFIDE
from adaspec.tables.score_files import write_scores

__all__ = ["TrialScores", "curve_of", "log_odds"]

FEW_SPEAKERS = 10  # fewer are too few to resample
SMALLEST = float(np.finfo(np.float32).tiny)


def log_odds(p_bonafide: Array, p_spoof: Array) -> Array:
    """Score of a trial: the logarithm of the odds that it is bona fide."""
    return np.log(np.maximum(p_bonafide, SMALLEST, dtype=np.float64)) - np.log(
        np.maximum(p_spoof, SMALLEST, dtype=np.float64)
    )


def curve_of(trials: pd.DataFrame) -> ErrorCurve:
    """Errors of trials at each threshold."""
    return error_curve(*_arrays(trials))


def _arrays(trials: pd.DataFrame) -> tuple[Array, Array]:
    """Scores, and which trials are bona fide."""
    return trials["score"].to_numpy(), (trials["label"] == BONAFIDE).to_numpy()


class TrialScores:
    """Scores of all folds' trials.

    Parameters
    ----------
    trials : DataFrame
        `fold`, `role` (validation or test), `path`, `label`, `attack` ('-' for bona fide), `speaker`, `score`.
    asv : AsvErrors or None
        For the t-DCF.
    n_bootstrap, seed : int
        Resamples for the intervals, and what they are drawn from.

    Attributes
    ----------
    test : dict of int to DataFrame
        Fold -> its test trials.
    validation : DataFrame
        Of all folds.
    by_speaker : bool
        Whether speakers are drawn anew, as there are ten or more in each fold; else trials are, within bona fide and
        within spoofed ones.
    thresholds : dict of int to float
        Fold -> that of the EER on its validation trials, or 0 without any.
    folds : dict of int to dict
        Fold -> score -> value.
    summary : Summary
        Score -> mean, std, and the interval of those of the error curve.
    """

    def __init__(self, trials: pd.DataFrame, asv: AsvErrors | None, *, n_bootstrap: int, seed: int) -> None:
        trials = trials.assign(file=_file_names(trials))
        self.asv, self.seed, self.n_bootstrap = asv, seed, n_bootstrap
        self.test = {int(str(fold)): rows for fold, rows in trials[trials["role"] == "test"].groupby("fold")}
        self.validation = trials[trials["role"] == "validation"]
        self.by_speaker = all(rows["speaker"].nunique() >= FEW_SPEAKERS for rows in self.test.values())
        curves = {
            int(str(fold)): curve_of(rows)
            for fold, rows in self.validation.groupby("fold")
            if rows["label"].nunique() == 2
        }
        self.thresholds = {fold: curves[fold].eer_threshold() if fold in curves else 0.0 for fold in self.test}
        self.folds = {fold: self._scores(fold, curves.get(fold)) for fold in self.test}
        self.summary = summarise(self.folds.values(), self.resampled(list(self.test.values())))

    def _scores(self, fold: int, validation: ErrorCurve | None) -> dict[str, float]:
        scores, is_bonafide = _arrays(self.test[fold])
        threshold = self.thresholds[fold]
        found = rounded(
            [
                detected(scores, is_bonafide, self.asv),
                stepped(scores, is_bonafide),
                calibrated(probability(scores), is_bonafide),
                decided(scores, is_bonafide, threshold),
            ]
        )
        found["threshold"] = round(threshold, DECIMALS)
        if validation is not None:
            found["validation_eer"] = round(float(validation.eer()), DECIMALS)
        return found

    def resampled(self, folds: list[pd.DataFrame], *names: str) -> dict[str, Array]:
        """Mean over folds of scores of the error curve, in every resample of these trials; of all, if none is named."""
        rng = generator(self.seed, "bootstrap trials")
        drawn = []
        for rows in folds:
            scored = detected(*_arrays(rows), self.asv)
            drawn.append((scored.only(*names) if names else scored, self._draw(rows, rng)))
        return resampled_means(drawn, self.n_bootstrap)

    def _draw(self, rows: pd.DataFrame, rng: np.random.Generator) -> Draw:
        if self.by_speaker:
            return Draw(rows["speaker"], rng)
        return Draw(np.arange(len(rows)), rng, strata=rows["label"] != BONAFIDE)

    def write(self, folder: Path) -> None:
        """Write the score files: of test trials and, where there are any, of validation trials."""
        write_scores(folder / "scores.txt", pd.concat(self.test.values()))
        if len(self.validation):
            write_scores(folder / "scores_validation.txt", self.validation)


def _file_names(trials: pd.DataFrame) -> pd.Series:
    """Names for score files: those of the files, longer ones where they would not tell trials apart."""
    names = trials["path"].map(lambda path: Path(path).stem)
    if pd.concat([trials[["fold", "role"]], names], axis=1).duplicated().any():
        names = trials["path"]
    names = names.str.replace(r"\s", "_", regex=True)
    return names if trials["fold"].nunique() == 1 else "fold-" + trials["fold"].astype(str) + "/" + names
