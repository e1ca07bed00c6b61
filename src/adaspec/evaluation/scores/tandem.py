"""Tandem detection cost: what a detector costs or saves in front of a speaker verification (ASV) system."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from adaspec.errors import InputError
from adaspec.evaluation.scores.contract import Array
from adaspec.evaluation.scores.error_curve import ErrorCurve, error_curve

__all__ = ["AsvErrors", "Costs", "asv_errors", "tandem_cost", "tandem_weights"]


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


def tandem_weights(asv: AsvErrors, costs: Costs | None = None) -> tuple[float, float, float]:
    """What ASV costs alone (C0 of 2021), what a rejected bona fide trial costs (C1), what an accepted spoof costs (C2).

    Raises
    ------
    InputError
        With these ASV errors a detector cannot lower the cost.
    """
    costs = Costs() if costs is None else costs
    p_target = (1 - costs.p_spoof) * costs.p_target
    p_nontarget = (1 - costs.p_spoof) * (1 - costs.p_target)
    asv_alone = p_target * costs.miss * asv.p_miss + p_nontarget * costs.fa * asv.p_fa  # C0 of 2021
    missing = p_target * costs.miss - asv_alone  # C1: what a rejected bona fide trial costs
    accepting = costs.p_spoof * costs.fa * asv.p_fa_spoof  # C2: what an accepted spoofed trial costs
    if missing <= 0 or accepting <= 0:
        raise InputError(
            f"ASV error rates p_fa={asv.p_fa:g}, p_miss={asv.p_miss:g}, p_fa_spoof={asv.p_fa_spoof:g} leave a detector "
            "nothing to gain, so t-DCF is not defined; check the ASV scores' direction"
        )
    return asv_alone, missing, accepting


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
    InputError
        With these ASV errors a detector cannot lower the cost.

    References
    ----------
    T. Kinnunen et al., "t-DCF: a Detection Cost Function for the Tandem Assessment of Spoofing Countermeasures and
    Automatic Speaker Verification", Odyssey 2018, eq. 10; "Tandem Assessment of Spoofing Countermeasures and Automatic
    Speaker Verification: Fundamentals", IEEE/ACM TASLP 28, 2020, section IV, https://arxiv.org/abs/2007.05979
    """
    asv_alone, missing, accepting = tandem_weights(asv, costs)
    constant = asv_alone if formulation == "2021" else 0.0
    cost = constant + missing * curve.p_miss + accepting * curve.p_fa
    return cost / (constant + min(missing, accepting))
