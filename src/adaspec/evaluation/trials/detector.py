"""Scores of a detector's trials: of each fold, over folds, and their intervals."""

from __future__ import annotations

from os.path import basename, splitext
from pathlib import Path

import numpy as np
import pandas as pd

from adaspec.evaluation.bootstrap import drawn_by_speaker, resampled_means, trial_draw
from adaspec.evaluation.scores.calibration import calibrated, probability
from adaspec.evaluation.scores.contract import Array
from adaspec.evaluation.scores.decisions import decided
from adaspec.evaluation.scores.detection import detected, eer_of, stepped
from adaspec.evaluation.scores.error_curve import ErrorCurve, error_curve
from adaspec.evaluation.scores.likelihood import likelihoods
from adaspec.evaluation.scores.tandem import AsvErrors
from adaspec.evaluation.summary import DECIMALS, rounded, summarise
from adaspec.runtime.seeding import generator
from adaspec.tables import BONAFIDE, SPOOF
from adaspec.tables.score_files import write_scores

__all__ = ["TrialScores", "curve_of", "group_key", "validation_curves"]

SAME_SYSTEM = {"A16": "A04", "A19": "A06"}  # in ASVspoof 2019 LA: X. Wang et al., 2020, table 1


def curve_of(trials: pd.DataFrame) -> ErrorCurve:
    """Errors of trials at each threshold."""
    return error_curve(*_arrays(trials))


def validation_curves(trials: pd.DataFrame) -> dict[int, ErrorCurve]:
    """Fold -> errors of its validation trials, where both kinds are among them."""
    validation = trials[trials["role"] == "validation"]
    return {int(str(fold)): curve_of(rows) for fold, rows in validation.groupby("fold") if rows["label"].nunique() == 2}


def _arrays(trials: pd.DataFrame) -> tuple[Array, Array]:
    """Scores, and which trials are bona fide."""
    return trials["score"].to_numpy(), (trials["label"] == BONAFIDE).to_numpy()


def group_key(name: str) -> str:
    """What the EER of a group of attacks is called among resampled scores."""
    return f"eer against {name}"


class TrialScores:
    """Scores of all folds' trials.

    Parameters
    ----------
    trials : DataFrame
        `fold`, `role` (validation or test), `path`, `label`, `attack` ('-' for bona fide), `speaker`, `score`.
    asv : AsvErrors or None
        For the t-DCF.
    seen : set of str or None
        Attacks that were trained on; None where that is not known. Those of `SAME_SYSTEM` count with their namesakes.
    n_bootstrap, seed : int
        Resamples for the intervals, and what they are drawn from.

    Attributes
    ----------
    test : dict of int to DataFrame
        Fold -> its test trials.
    validation : DataFrame
        Of all folds.
    by_speaker : bool
        Whether speakers are drawn anew, as there are ten or more in each fold; else trials are, within bona fide ones
        and within each attack.
    groups : dict of str to list of str
        Name -> attacks that are reported together: each one, seen and unseen ones if they are known, and all.
    thresholds : dict of int to float
        Fold -> that of the EER on its validation trials, or 0 without any.
    folds : dict of int to dict
        Fold -> score -> value.
    summary : Summary
        Score -> mean, std, and the interval of those of the error curve.
    resampled : dict of int to dict
        Fold -> score, or `group_key` of a group's EER -> its value in every resample.
    """

    def __init__(
        self,
        trials: pd.DataFrame,
        asv: AsvErrors | None,
        *,
        seen: set[str] | None = None,
        n_bootstrap: int,
        seed: int,
    ) -> None:
        self.asv, self.seed, self.n_bootstrap = asv, seed, n_bootstrap
        self.test = {int(str(fold)): rows for fold, rows in trials[trials["role"] == "test"].groupby("fold")}
        self.validation = trials[trials["role"] == "validation"]
        self.by_speaker = drawn_by_speaker(self.test.values())
        curves = validation_curves(trials)
        self.thresholds = {fold: curves[fold].eer_threshold() if fold in curves else 0.0 for fold in self.test}
        self.seen = None if seen is None else seen | {name for name, same in SAME_SYSTEM.items() if same in seen}
        self.groups = self._groups(sorted(trials.loc[trials["label"] == SPOOF, "attack"].unique()))
        self.folds = {fold: self._scores(fold, curves.get(fold)) for fold in self.test}
        self.resampled = {fold: self._resampled(rows) for fold, rows in self.test.items()}
        own = set(map(group_key, self.groups))
        scores = [name for name in next(iter(self.resampled.values())) if name not in own]
        means = {name: np.mean([of_fold[name] for of_fold in self.resampled.values()], axis=0) for name in scores}
        self.summary = summarise(self.folds.values(), means)

    def _groups(self, names: list[str]) -> dict[str, list[str]]:
        groups = {name: [name] for name in names}
        if self.seen is not None:
            groups["seen"] = [name for name in names if name in self.seen]
            groups["unseen"] = [name for name in names if name not in self.seen]
        return groups | {"all": names}

    def _scores(self, fold: int, validation: ErrorCurve | None) -> dict[str, float]:
        scores, is_bonafide = _arrays(self.test[fold])
        threshold = self.thresholds[fold]
        found = rounded(
            [
                detected(scores, is_bonafide, self.asv),
                stepped(scores, is_bonafide),
                likelihoods(scores, is_bonafide),
                calibrated(probability(scores), is_bonafide),
                decided(scores, is_bonafide, threshold),
            ]
        )
        found["threshold"] = round(threshold, DECIMALS)
        if validation is not None:
            found["validation_eer"] = round(float(validation.eer()), DECIMALS)
        return found

    def _resampled(self, rows: pd.DataFrame) -> dict[str, Array]:
        """Scores of the error curve, and the EER of each group of attacks, in every resample of these trials."""
        occurring = set(rows["attack"].unique())
        groups = {name: [attack for attack in attacks if attack in occurring] for name, attacks in self.groups.items()}
        further = {group_key(name): eer_of(attacks) for name, attacks in groups.items() if attacks}
        rng = generator(self.seed, "bootstrap trials", str(rows["fold"].iloc[0]))
        scored = detected(*_arrays(rows), self.asv, rows["attack"].to_numpy(), further)
        return resampled_means([(scored, trial_draw(rows, rng, by_speaker=self.by_speaker))], self.n_bootstrap)

    def write(self, folder: Path) -> None:
        """Write the score files: of test trials and, where there are any, of validation trials."""
        trials = pd.concat([*self.test.values(), self.validation])
        trials = trials.assign(file=_file_names(trials))
        for role, name in (("test", "scores.txt"), ("validation", "scores_validation.txt")):
            if (rows := trials[trials["role"] == role]).size:
                write_scores(folder / name, rows)


def _file_names(trials: pd.DataFrame) -> pd.Series:
    """Names for score files: those of the files, longer ones where they would not tell trials apart."""
    names = trials["path"].map(lambda path: splitext(basename(path))[0])
    if pd.concat([trials[["fold", "role"]], names], axis=1).duplicated().any():
        names = trials["path"]
    names = names.str.replace(r"\s", "_", regex=True)
    return names if trials["fold"].nunique() == 1 else "fold-" + trials["fold"].astype(str) + "/" + names
