"""Scores of a detector of spoofed speech: EER, t-DCF, AUC, calibration. A higher score always means more bona fide.

Everything rests on one curve: at each threshold, the share of spoofed trials that are accepted (score >= threshold,
`p_fa`) and of bona fide trials that are not (`p_miss`). Trials with equal scores are accepted together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

__all__ = [
    "AsvErrors",
    "Costs",
    "ErrorCurve",
    "asv_errors",
    "calibration_bins",
    "calibration_scores",
    "eer_in_steps",
    "error_curve",
    "tandem_cost",
]

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class ErrorCurve:
    """Errors at each threshold, from the strictest on.

    Attributes
    ----------
    thresholds : ndarray of shape (n_points,)
        The first accepts nothing; each further one is a score that occurs.
    p_fa, p_miss : ndarray of shape (..., n_points)
        Accepted share of the spoofed trials, rejected share of the bona fide ones. More axes come from resampling.
    """

    thresholds: Array
    p_fa: Array
    p_miss: Array

    def eer(self) -> Array:
        """Equal error rate, where the straight lines between the points reach p_fa = p_miss: (...)."""
        # p_fa - p_miss grows from -1 to 1: the crossing lies between the last point below 0 and the next.
        gap = self.p_fa - self.p_miss
        after = (gap >= 0).argmax(axis=-1)[..., None]
        low, high = np.take_along_axis(gap, after - 1, -1), np.take_along_axis(gap, after, -1)
        before, behind = np.take_along_axis(self.p_fa, after - 1, -1), np.take_along_axis(self.p_fa, after, -1)
        return (before + (behind - before) * -low / (high - low))[..., 0]

    def eer_threshold(self) -> float:
        """Threshold where the two errors are nearest: midway between the scores on its sides."""
        nearest = int(np.abs(self.p_fa - self.p_miss).argmin())
        if nearest == len(self.thresholds) - 1:
            return float(self.thresholds[-1])
        if nearest == 0:
            return float(self.thresholds[0])
        return float((self.thresholds[nearest] + self.thresholds[nearest + 1]) / 2)

    def auc(self) -> Array:
        """Area under the ROC: the chance that a bona fide trial scores higher than a spoofed one, ties half: (...)."""
        return np.trapezoid(1 - self.p_miss, self.p_fa, axis=-1)


def error_curve(scores: Array, is_bonafide: Array, counts: Array | None = None) -> ErrorCurve:
    """Errors at each threshold.

    Parameters
    ----------
    scores : ndarray of shape (n_trials,)
        Finite; higher means more bona fide.
    is_bonafide : ndarray of bool of shape (n_trials,)
    counts : ndarray of shape (..., n_trials), optional
        How often each trial counts; a row each for many resamples at once.

    Returns
    -------
    ErrorCurve

    Raises
    ------
    ValueError
        There are no bona fide trials, or no spoofed ones, or a score is not finite.
    """
    scores, is_bonafide = np.asarray(scores, dtype=np.float64), np.asarray(is_bonafide, dtype=bool)
    if not np.isfinite(scores).all():
        raise ValueError(f"{np.count_nonzero(~np.isfinite(scores))} of {len(scores)} scores are not finite numbers")
    n_bonafide = np.count_nonzero(is_bonafide)
    if n_bonafide in (0, len(scores)):
        raise ValueError(
            f"{n_bonafide} bona fide and {len(scores) - n_bonafide} spoofed trials: error rates need both kinds"
        )
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))  # of each group of equal scores
    weights = np.ones(len(scores)) if counts is None else np.asarray(counts, dtype=np.float64)
    rates = []
    for kind in (~is_bonafide, is_bonafide):
        accepted = np.cumsum((weights * kind)[..., order], axis=-1)[..., last]
        share = accepted / accepted[..., -1:]
        rates.append(np.concatenate([np.zeros_like(share[..., :1]), share], axis=-1))
    thresholds = np.concatenate([[np.nextafter(ranked[0], np.inf)], ranked[last]])
    return ErrorCurve(thresholds, rates[0], 1 - rates[1])


def eer_in_steps(scores: Array, is_bonafide: Array) -> float:
    """Equal error rate as the challenge's own script counts it.

    Trials are rejected one by one, from the lowest score on and bona fide ones first among equals; the rate is the mean
    of both errors where they are nearest. Without ties it is within half a trial of `ErrorCurve.eer`. With ties it is
    higher: where all scores are equal it is 100 %.

    Parameters
    ----------
    scores : ndarray of shape (n_trials,)
    is_bonafide : ndarray of bool of shape (n_trials,)

    References
    ----------
    M. Todisco et al., "ASVspoof 2019: Future Horizons in Spoofed and Fake Audio Detection", Interspeech 2019, and the
    evaluation package that came with the challenge
    """
    error_curve(scores, is_bonafide)  # refuses what has no error rates
    order = np.lexsort((~np.asarray(is_bonafide, dtype=bool), scores))
    bonafide = np.asarray(is_bonafide, dtype=bool)[order]
    p_miss = np.append(0, np.cumsum(bonafide)) / bonafide.sum()
    p_fa = 1 - np.append(0, np.cumsum(~bonafide)) / (~bonafide).sum()
    nearest = np.abs(p_miss - p_fa).argmin()
    return float((p_miss[nearest] + p_fa[nearest]) / 2)


@dataclass(frozen=True)
class AsvErrors:
    """Error rates of the speaker verification (ASV) system that the detector works in front of, at its threshold.

    Attributes
    ----------
    p_fa, p_miss, p_fa_spoof : float
        Accepted share of other speakers, rejected share of the claimed speaker, accepted share of spoofed trials.
    """

    p_fa: float
    p_miss: float
    p_fa_spoof: float


@dataclass(frozen=True)
class Costs:
    """Priors and costs of the tandem detection cost; the values are those of ASVspoof 2019.

    Attributes
    ----------
    p_spoof : float
        Prior of a spoofing attack.
    p_target : float
        Prior of the claimed speaker among the rest.
    miss, fa : float
        Costs of rejecting the claimed speaker, and of accepting anyone else.
    """

    p_spoof: float = 0.05
    p_target: float = 0.99
    miss: float = 1.0
    fa: float = 10.0


def asv_errors(target: Array, nontarget: Array, spoof: Array) -> AsvErrors:
    """Error rates of an ASV system at the threshold of its own equal error rate; it accepts scores at or above it.

    Parameters
    ----------
    target, nontarget, spoof : ndarray
        ASV scores of trials by the claimed speaker, by others, and of spoofed ones.
    """
    scores = np.concatenate([target, nontarget])
    threshold = error_curve(scores, np.arange(len(scores)) < len(target)).eer_threshold()
    return AsvErrors(
        p_fa=float((np.asarray(nontarget) >= threshold).mean()),
        p_miss=float((np.asarray(target) < threshold).mean()),
        p_fa_spoof=float((np.asarray(spoof) >= threshold).mean()),
    )


def tandem_cost(
    curve: ErrorCurve, asv: AsvErrors, formulation: Literal["2019", "2021"], costs: Costs | None = None
) -> Array:
    """Normalised tandem detection cost (t-DCF) at each point of the curve; its minimum is the "min t-DCF".

    Parameters
    ----------
    curve : ErrorCurve
    asv : AsvErrors
    formulation : {"2019", "2021"}
        "2019" is that of the ASVspoof 2019 tables; "2021" adds the cost that ASV has on its own.
    costs : Costs, optional

    Returns
    -------
    ndarray of shape (..., n_points)
        1 is the cost of the better of accepting and rejecting everything.

    Raises
    ------
    ValueError
        With these ASV errors a detector cannot lower the cost.

    References
    ----------
    T. Kinnunen et al., "t-DCF: a Detection Cost Function for the Tandem Assessment of Spoofing Countermeasures and
    Automatic Speaker Verification", Odyssey 2018, eq. 10; "Tandem Assessment of Spoofing Countermeasures and Automatic
    Speaker Verification: Fundamentals", IEEE/ACM TASLP 28, 2020, section IV, https://arxiv.org/abs/2007.05979
    """
    costs = Costs() if costs is None else costs
    p_target = (1 - costs.p_spoof) * costs.p_target
    p_nontarget = (1 - costs.p_spoof) * (1 - costs.p_target)
    asv_alone = p_target * costs.miss * asv.p_miss + p_nontarget * costs.fa * asv.p_fa  # C0 of 2021
    missing = p_target * costs.miss - asv_alone  # C1: what a rejected bona fide trial costs
    accepting = costs.p_spoof * costs.fa * asv.p_fa_spoof  # C2: what an accepted spoofed trial costs
    if missing <= 0 or accepting <= 0:
        raise ValueError(
            f"ASV error rates p_fa={asv.p_fa:g}, p_miss={asv.p_miss:g}, p_fa_spoof={asv.p_fa_spoof:g} leave a detector "
            "nothing to gain, so t-DCF is not defined; check the ASV scores' direction"
        )
    constant = asv_alone if formulation == "2021" else 0.0
    cost = constant + missing * curve.p_miss + accepting * curve.p_fa
    return cost / (constant + min(missing, accepting))


def calibration_bins(probability: Array, is_bonafide: Array, n_bins: int = 15) -> tuple[Array, Array, Array]:
    """Trials in bins of equal width by their probability of being bona fide.

    Returns
    -------
    n_trials, mean_probability, share_bonafide : ndarray of shape (n_bins,)
        NaN in the last two where a bin is empty.
    """
    index = np.minimum((np.asarray(probability) * n_bins).astype(int), n_bins - 1)
    n_trials = np.bincount(index, minlength=n_bins)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(index, weights=probability, minlength=n_bins) / n_trials
        share = np.bincount(index, weights=is_bonafide, minlength=n_bins) / n_trials
    return n_trials, mean, share


def calibration_scores(probability: Array, is_bonafide: Array) -> dict[str, float]:
    """Brier score, log-loss and expected calibration error of probabilities of being bona fide.

    Parameters
    ----------
    probability : ndarray of shape (n_trials,)
        Between 0 and 1; the log-loss takes none nearer than 1e-7 to either.
    is_bonafide : ndarray of bool of shape (n_trials,)

    References
    ----------
    expected calibration error: C. Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, eq. 3 (15 bins of
    equal width, here of the probability of one class), https://arxiv.org/abs/1706.04599
    """
    own = np.where(is_bonafide, probability, 1 - probability)
    n_trials, mean, share = calibration_bins(probability, is_bonafide)
    return {
        "brier": float(np.mean((1 - own) ** 2)),
        "log_loss": float(-np.log(np.clip(own, 1e-7, 1)).mean()),
        "calibration_error": float(np.nansum(n_trials * np.abs(mean - share)) / n_trials.sum()),
    }
