"""How well a detector tells bona fide from spoofed speech: over all trials, per attack, and where it errs."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from adaspec.errors import InputError
from adaspec.evaluation.figures import FIGURES
from adaspec.evaluation.reports.classification import ClassificationReport
from adaspec.evaluation.reports.contract import Evidence
from adaspec.evaluation.scores.speaker_aware import KINDS
from adaspec.evaluation.scores.tandem import AsvErrors, tandem_weights
from adaspec.evaluation.summary import headline
from adaspec.evaluation.trials.attacks import per_attack
from adaspec.evaluation.trials.detector import TrialScores, validation_curves
from adaspec.evaluation.trials.figures import (
    draw_attacks,
    draw_calibration,
    draw_costs,
    draw_det,
    draw_scores,
)
from adaspec.evaluation.trials.text import asv_errors_of, describe
from adaspec.evaluation.trials.verification import VerificationScores
from adaspec.evaluation.trials.verification_figures import draw_verification
from adaspec.models.evaluated import Threshold, log_odds
from adaspec.runtime.files import write_csv
from adaspec.tables import BONAFIDE, SPOOF
from adaspec.tables.verification_files import CM_SCORE

__all__ = ["SpoofingReport"]

log = logging.getLogger(__name__)


class SpoofingReport:
    """Scores of a detector, besides those of a classifier; the contract is `Report`'s.

    Parameters
    ----------
    evidence : Evidence
        Thresholds come from validation clips.

    Attributes
    ----------
    trials : TrialScores
    attacks : DataFrame
        Of `per_attack`.
    """

    roles: ClassVar[tuple[str, ...]] = ("validation", "test")

    def __init__(self, evidence: Evidence) -> None:
        self.classes = ClassificationReport(evidence)
        settings = evidence.config
        self.trials = TrialScores(
            _trials(evidence.scored),
            _asv_errors(evidence),
            seen=set(_with_attacks(evidence.trained)["attack"]),
            n_bootstrap=settings.n_bootstrap,
            seed=evidence.seed,
        )
        self.attacks = per_attack(self.trials)
        self.verification = _verification(evidence)
        self.folds = {fold: scores | self.trials.folds[fold] for fold, scores in self.classes.folds.items()}
        self.summary = self.classes.summary | self.trials.summary
        self.headline = headline(self.summary, "eer", "min_tdcf_2019")
        if self.verification is not None:
            self.summary = self.summary | self.verification.summary
            self.headline = headline(self.summary, "sasv_eer", "a_dcf", "sv_eer", "spf_eer", "eer", "min_tdcf_2019")

    @staticmethod
    def thresholds(scored: pd.DataFrame) -> dict[int, Threshold]:
        """That of the EER on validation clips, or 0 without any."""
        curves = validation_curves(_trials(scored))
        found = {int(fold): curves[fold].eer_threshold() if fold in curves else 0.0 for fold in scored["fold"].unique()}
        # No log odds lie beyond 100, but the threshold of scores that are all the same may be infinite.
        bounded = {fold: float(np.clip(value, -100, 100)) for fold, value in found.items()}
        return {fold: Threshold(label=BONAFIDE, log_odds=value) for fold, value in bounded.items()}

    def write(self, folder: Path) -> None:
        """Write what a classifier's report does, attacks.csv, score files and figures of the trials."""
        self.classes.write(folder)
        self.trials.write(folder)
        write_csv(folder / "attacks.csv", self.attacks)
        folds, thresholds = list(self.trials.test.values()), self.trials.thresholds
        figures, test = folder / FIGURES, pd.concat(folds)
        draw_scores(test, thresholds, figures / "scores.svg")
        draw_det(folds, figures / "det.svg")
        draw_costs(folds, thresholds, self.trials.asv, figures / "costs.svg")
        draw_calibration(test, figures / "calibration.svg")
        draw_attacks(self.attacks, figures / "attacks.svg")
        if self.verification is not None:
            self.verification.write(folder)
            draw_verification(self.verification, figures)

    def write_decision(self, fold: int, folder: Path) -> None:
        """Write the chosen blend, its threshold and what it was fitted on, where there are verification trials."""
        decision = None if self.verification is None else self.verification.decision(fold)
        if decision is not None:
            decision.write(folder)

    def lines(self) -> list[str]:
        """What a classifier's report tells, then the trials."""
        lines = [*self.classes.lines(), "", *describe(self.trials, self.attacks)]
        return lines if self.verification is None else [*lines, "", *self.verification.lines()]


def _trials(scored: pd.DataFrame) -> pd.DataFrame:
    """Clips as `TrialScores` takes them."""
    trials = _with_attacks(scored)
    if "speaker" not in trials:
        trials = trials.assign(speaker="")
    return trials.assign(score=log_odds(*(trials[f"score_{label}"].to_numpy() for label in (BONAFIDE, SPOOF))))


def _with_attacks(clips: pd.DataFrame) -> pd.DataFrame:
    """Clips with the column `attack`, which not every data set tells; spoofed ones are of one attack there."""
    if "attack" in clips:
        return clips
    return clips.assign(attack=np.where(clips["label"] == BONAFIDE, "-", SPOOF))


def _verification(evidence: Evidence) -> VerificationScores | None:
    """Scores of the verification trials; None where there are none, or a fold lacks a kind of them."""
    tried = evidence.verification_trials
    if tried is None or tried.empty:
        return None
    test = tried[tried["role"] == "test"]
    for fold in sorted(evidence.scored["fold"].unique()):
        missing = sorted(set(KINDS) - set(test.loc[test["fold"] == fold, "key"]))
        if missing:
            log.warning("verification trials are not scored: fold %s has no %s among its test trials", fold, missing[0])
            return None
    return VerificationScores(
        _trials(tried).rename(columns={"score": CM_SCORE}),
        evidence.config.costs,
        cohort=evidence.config.cohort,
        seen=set(_with_attacks(evidence.trained)["attack"]),
        n_bootstrap=evidence.config.n_bootstrap,
        seed=evidence.seed,
    )


def _asv_errors(evidence: Evidence) -> AsvErrors | None:
    """As configured, else from the data set's ASV scores; None where it has none, or where they define no t-DCF."""
    if evidence.config.asv_error_rates is not None:
        asv = AsvErrors(*evidence.config.asv_error_rates)
    elif evidence.asv_scores is None or evidence.asv_scores.empty:
        return None
    else:
        asv = asv_errors_of(evidence.asv_scores)
    try:
        tandem_weights(asv)
    except InputError as error:
        log.warning("%s; it is left out", error)
        return None
    return asv
