"""One score from two: of speaker verification (ASV) and of a countermeasure (CM) on the same trials."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import expit

from adaspec.errors import InputError
from adaspec.evaluation.scores.contract import Array
from adaspec.evaluation.scores.speaker_aware import KINDS, NONTARGET, SPOOF, TARGET
from adaspec.tables.verification_files import ASV_SCORE, CM_SCORE

__all__ = ["BLENDS", "Blend", "can_calibrate"]

Pair = Callable[[Array, Array], Array]
FEWEST = 10  # trials of a kind: three numbers of its Gaussian are covariances
P_SPOOF = 0.5  # share of spoofs among the trials that are not the target's, in the nonlinear blend


@dataclass(frozen=True)
class Blend:
    """A way to blend.

    Attributes
    ----------
    blend : callable
        ASV scores and CM scores (n_trials,) -> scores (n_trials,); logarithms of likelihood ratios if `calibrated`.
    calibrated : bool
        Whether both scores are first made logarithms of likelihood ratios, by labelled trials.
    """

    blend: Pair
    calibrated: bool = False

    def __call__(self, trials: pd.DataFrame, fitted_on: pd.DataFrame | None = None) -> Array:
        """Blend the scores of trials.

        Parameters
        ----------
        trials : DataFrame
            `asv_score`, `cm_score`.
        fitted_on : DataFrame
            Also `label`; for calibrated blends.
        """
        scores = trials[[ASV_SCORE, CM_SCORE]].to_numpy(np.float64)
        if self.calibrated:
            assert fitted_on is not None
            scores = _calibration(fitted_on)(scores)
        return np.asarray(self.blend(scores[:, 0], scores[:, 1]))


def _nonlinear(asv: Array, cm: Array) -> Array:
    """Target against a mixture of nontarget and spoof: Wang et al., 2024, eq. 9."""
    return np.asarray(-np.logaddexp(np.log1p(-P_SPOOF) - asv, np.log(P_SPOOF) - cm))


BLENDS: dict[str, Blend] = {
    "sum": Blend(lambda asv, cm: asv + cm),
    "product": Blend(lambda asv, cm: asv * expit(cm)),
    "linear": Blend(lambda asv, cm: asv + cm, calibrated=True),
    "nonlinear": Blend(_nonlinear, calibrated=True),
}


def _calibration(trials: pd.DataFrame) -> Callable[[Array], Array]:
    """Fit logarithms of the likelihood ratios of target to nontarget and of target to spoof.

    A Gaussian of both scores for each kind of trial, then a straight line on each ratio by logistic regression: of
    target against nontarget, and of bona fide speech against spoof.

    Returns
    -------
    callable
        (n_trials, 2) scores -> (n_trials, 2) ratios.

    References
    ----------
    X. Wang et al., "Revisiting and Improving Scoring Fusion for Spoofing-aware Speaker Verification Using Compositional
    Data Analysis", Interspeech 2024, https://arxiv.org/abs/2406.10836, and the score fusion tool of ASVspoof 5
    """
    from sklearn.mixture import GaussianMixture  # takes half a second to import

    scores, kinds = trials[[ASV_SCORE, CM_SCORE]].to_numpy(np.float64), trials["label"].to_numpy()
    if not can_calibrate(trials):
        counted = ", ".join(f"{(kinds == kind).sum()} {kind}" for kind in KINDS)
        raise InputError(f"a calibrated blend needs {FEWEST} trials of each kind to be fitted on, got {counted}")
    density = {kind: GaussianMixture(random_state=0).fit(scores[kinds == kind]) for kind in (TARGET, NONTARGET, SPOOF)}

    def ratios(scores: Array) -> Array:
        target = density[TARGET].score_samples(scores)
        return np.stack([target - density[kind].score_samples(scores) for kind in (NONTARGET, SPOOF)], axis=1)

    found, is_bonafide = ratios(scores), kinds != SPOOF
    lines = [
        _line(found[is_bonafide, 0], kinds[is_bonafide] == TARGET),
        _line(found[:, 1], is_bonafide),
    ]
    slopes, offsets = np.array(lines).T
    return lambda scores: slopes * ratios(scores) + offsets


def can_calibrate(trials: pd.DataFrame) -> bool:
    """Whether there are enough labelled trials of each kind for a calibrated blend."""
    counts = trials["label"].value_counts()
    return all(counts.get(kind, 0) >= FEWEST for kind in KINDS)


def _line(ratio: Array, is_positive: Array) -> tuple[float, float]:
    """Slope and offset of a straight line that makes scores logarithms of likelihood ratios."""
    from sklearn.linear_model import LogisticRegression

    share = float(is_positive.mean())
    model = LogisticRegression(class_weight={False: 1 - share, True: share}).fit(ratio[:, None], is_positive)
    return float(model.coef_[0, 0]), float(model.intercept_[0] - np.log(share / (1 - share)))
