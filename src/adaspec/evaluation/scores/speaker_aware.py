"""Scores of speaker verification that must also withstand spoofing: is this the claimed speaker, live?

Trials are of three kinds: target (the claimed speaker), nontarget (someone else), spoof (a spoofed voice of the claimed
speaker). A higher score means more target.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from adaspec.evaluation.scores.contract import Array, Score, Scored
from adaspec.evaluation.scores.error_curve import Accepted, attack_masks, ranked

__all__ = [
    "COSTS",
    "KINDS",
    "NONTARGET",
    "SCORES",
    "SPOOF",
    "TARGET",
    "SpeakerCosts",
    "spf_eer_of",
    "t_eer",
    "verified",
]

TARGET, NONTARGET, SPOOF = KINDS = ("target", "nontarget", "spoof")


@dataclass(frozen=True)
class SpeakerCosts:
    """Priors and costs of the a-DCF.

    Attributes
    ----------
    p_target, p_nontarget, p_spoof : float
        Prior of each kind of trial; they sum to 1.
    miss, fa_nontarget, fa_spoof : float
        Costs of rejecting a target, and of accepting the others.
    """

    p_target: float
    p_nontarget: float
    p_spoof: float
    miss: float
    fa_nontarget: float
    fa_spoof: float

    @property
    def weights(self) -> tuple[float, float, float]:
        """Of the share of rejected targets, of accepted nontargets and of accepted spoofs."""
        return self.p_target * self.miss, self.p_nontarget * self.fa_nontarget, self.p_spoof * self.fa_spoof


# "default" is that of the paper's own implementation, "asvspoof5" that of track 2 of the challenge.
COSTS: dict[str, SpeakerCosts] = {
    "default": SpeakerCosts(0.9, 0.05, 0.05, 1.0, 10.0, 20.0),
    "asvspoof5": SpeakerCosts(0.9405, 0.0095, 0.05, 1.0, 10.0, 10.0),
}


@dataclass(frozen=True)
class Verification:
    """Accepted trials of each kind, and what errors cost.

    Attributes
    ----------
    accepted : Accepted
    costs : SpeakerCosts
    """

    accepted: Accepted
    costs: SpeakerCosts

    def sv_eer(self) -> Array:
        """Equal error rate of targets against nontargets."""
        return self.accepted.eer(TARGET, [NONTARGET])

    def spf_eer(self, attack: str | None = None) -> Array:
        """Equal error rate of targets against spoofs, of all attacks or of one."""
        return self.accepted.eer(TARGET, [SPOOF if attack is None else _kind(attack)])

    def sasv_eer(self) -> Array:
        """Equal error rate of targets against all others."""
        return self.accepted.eer(TARGET, [NONTARGET, SPOOF])

    def a_dcf(self) -> Array:
        """Least detection cost, 1 for the better of accepting and rejecting everything.

        References
        ----------
        H. Shim et al., "a-DCF: an architecture agnostic metric with application to spoofing-robust speaker
        verification", Odyssey 2024, eq. 1 and 2, https://arxiv.org/abs/2403.01355
        """
        miss, nontarget, spoof = self.costs.weights
        p_target, p_nontarget = self.accepted.at_corners(TARGET, [NONTARGET])
        _, p_spoof = self.accepted.at_corners(TARGET, [SPOOF])
        cost = miss * (1 - p_target) + nontarget * p_nontarget + spoof * p_spoof
        return np.asarray(cost.min(axis=-1) / min(miss, nontarget + spoof))


def _kind(attack: str) -> str:
    return f"{SPOOF}, {attack}"


SCORES: dict[str, Score[Verification]] = {
    "sv_eer": Score(Verification.sv_eer, perfect=0),
    "spf_eer": Score(Verification.spf_eer, perfect=0),
    "sasv_eer": Score(Verification.sasv_eer, perfect=0),
    "a_dcf": Score(Verification.a_dcf, perfect=0),
}


def spf_eer_of(attack: str) -> Score[Verification]:
    """The SPF-EER against one attack alone, beside `SCORES` of the same trials."""
    return Score(lambda found: found.spf_eer(attack), perfect=0)


def verified(
    scores: Array,
    kinds: Array,
    costs: SpeakerCosts = COSTS["default"],
    attacks: Array | None = None,
    further: Mapping[str, Score[Verification]] | None = None,
) -> Scored[Verification]:
    """Trials with one score each.

    Parameters
    ----------
    scores : ndarray of shape (n_trials,)
        Finite.
    kinds : ndarray of str of shape (n_trials,)
        Of `KINDS`.
    costs : SpeakerCosts
    attacks : ndarray of str of shape (n_trials,), optional
        Of spoofed trials, which `spf_eer_of` needs.
    further : mapping of str to Score, optional
        Of `spf_eer_of`.

    Raises
    ------
    ValueError
        A kind has no trial, or a score is not finite.

    References
    ----------
    J. Jung et al., "SASV 2022: The First Spoofing-Aware Speaker Verification Challenge", Interspeech 2022, section 3,
    https://arxiv.org/abs/2203.14732
    """
    kinds = np.asarray(kinds, dtype=object)
    masks = {kind: kinds == kind for kind in KINDS}
    of_attacks = {_kind(name): mask for name, mask in attack_masks(attacks, masks[SPOOF]).items()}
    ranking, components = ranked(scores, masks | of_attacks)

    def prepare(summed: Mapping[str, Array]) -> Verification:
        return Verification(Accepted(ranking, summed), costs)

    return Scored(components, prepare, SCORES | dict(further or {}))


def t_eer(asv_scores: Array, cm_scores: Array, kinds: Array) -> float:
    """Concurrent tandem equal error rate of a verification and a countermeasure score, each with its own threshold.

    Both accept a trial that scores above their thresholds. At the thresholds that are looked for, as many targets are
    rejected as nontargets and as spoofs are accepted. Among the pairs that come nearest to equal total errors, one for
    each ASV threshold, it is that at which nontargets and spoofs are accepted most nearly alike; the rate is that of
    accepted spoofs.

    Parameters
    ----------
    asv_scores, cm_scores : ndarray of shape (n_trials,)
        Finite; higher means more the claimed speaker, and more bona fide.
    kinds : ndarray of str of shape (n_trials,)
        Of `KINDS`.

    Returns
    -------
    float
        NaN where no pair of thresholds is below what rejecting nobody by the countermeasure gives.

    References
    ----------
    T. Kinnunen et al., "t-EER: Parameter-Free Tandem Evaluation of Countermeasures and Biometric Comparators", IEEE
    TPAMI 46, 2024, section 4, https://arxiv.org/abs/2309.12237
    """
    kinds = np.asarray(kinds, dtype=object)
    asv = _accepted(asv_scores, {kind: kinds == kind for kind in KINDS})
    cm = _accepted(cm_scores, {"bona fide": kinds != SPOOF, SPOOF: kinds == SPOOF})
    every = np.arange(len(asv.ranking.thresholds))
    target, nontarget, spoof = (asv.share([kind], every) for kind in KINDS)

    def errors(points: Array) -> tuple[Array, Array, Array]:
        """Rejected targets, accepted nontargets, accepted spoofs of the tandem."""
        p_bonafide, p_spoof = (cm.share([kind], points) for kind in ("bona fide", SPOOF))
        return 1 - p_bonafide * target, p_bonafide * nontarget, p_spoof * spoof

    def gap(points: Array) -> Array:
        miss, other, spoofed = errors(points)
        return (other + spoofed) / 2 - miss

    # The gap grows with what the countermeasure accepts: where it changes sign is found by halving.
    low, high = np.zeros_like(every), np.full_like(every, len(cm.ranking.thresholds) - 1)
    while (high - low).max() > 1:
        middle = (low + high) // 2
        below = gap(middle) < 0
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    points = np.where(np.abs(gap(low)) < np.abs(gap(high)), low, high)
    allowed = (1 - target < (nontarget + spoof) / 2) & (spoof > 0)
    if not allowed.any():
        return float("nan")
    p_bonafide, p_spoof = (cm.share([kind], points) for kind in ("bona fide", SPOOF))
    with np.errstate(divide="ignore", invalid="ignore"):
        unlike = np.abs(nontarget / spoof - p_spoof / p_bonafide)
    # The official code goes from the lowest ASV threshold up, which decides among equals.
    best = np.nanargmin(np.where(allowed, unlike, np.inf)[::-1])
    return float(errors(points)[2][::-1][best])


def _accepted(scores: Array, kinds: Mapping[str, Array]) -> Accepted:
    ranking, components = ranked(scores, kinds)
    return Accepted(ranking, {kind: np.ones(len(scores), np.int32) @ part for kind, part in components.items()})
