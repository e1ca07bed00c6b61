"""Scores of a detector whose scores are logarithms of likelihood ratios: what it costs to believe them.

The costs are those of ASVspoof 5, track 1: a spoofing attack has a prior of 0.05 and costs 10 where it is accepted, a
bona fide trial costs 1 where it is rejected.

References
----------
X. Wang et al., "ASVspoof 5: Crowdsourced Speech Data, Deepfakes, and Adversarial Attacks at Scale", ASVspoof Workshop
2024, section 3, https://arxiv.org/abs/2408.08739; N. Brümmer and J. du Preez, "Application-independent evaluation of
speaker detection", Computer Speech & Language 20, 2006
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from adaspec.evaluation.scores.contract import Array, Score, Scored

__all__ = ["SCORES", "dcf", "likelihoods"]

P_SPOOF, MISS, FALSE_ALARM = 0.05, 1.0, 10.0
WEIGHTS = ((1 - P_SPOOF) * MISS, P_SPOOF * FALSE_ALARM)  # of p_miss and p_fa
THRESHOLD = -np.log(WEIGHTS[0] / WEIGHTS[1])  # where both decisions cost the same, by Bayes

Sums = Mapping[str, Array]


def dcf(p_miss: Array, p_fa: Array) -> Array:
    """Detection cost, 1 for the better of accepting and rejecting everything."""
    return np.asarray((WEIGHTS[0] * p_miss + WEIGHTS[1] * p_fa) / min(WEIGHTS))


def _share(sums: Sums, name: str, kind: str) -> Array:
    counts = np.where(sums[kind] > 0, sums[kind], np.nan)
    return np.asarray((sums[name] / counts)[..., 0])


def _cllr(sums: Sums) -> Array:
    losses = _share(sums, "bonafide_loss", "bonafide") + _share(sums, "spoof_loss", "spoof")
    return np.asarray(losses / (2 * np.log(2)))


def _act_dcf(sums: Sums) -> Array:
    return dcf(_share(sums, "rejected_bonafide", "bonafide"), _share(sums, "accepted_spoof", "spoof"))


SCORES: dict[str, Score[Sums]] = {
    "act_dcf": Score(_act_dcf, perfect=0, high=float(dcf(np.ones(()), np.ones(())))),
    "cllr": Score(_cllr, perfect=0, high=np.inf),
}


def likelihoods(scores: Array, is_bonafide: Array) -> Scored[Sums]:
    """Trials with a score each.

    Parameters
    ----------
    scores : ndarray of shape (n_trials,)
        Logarithm of the likelihood of being bona fide to that of being spoofed.
    is_bonafide : ndarray of bool of shape (n_trials,)
    """
    scores, is_bonafide = np.asarray(scores, dtype=np.float64), np.asarray(is_bonafide, dtype=bool)
    loss = np.logaddexp(0, np.where(is_bonafide, -scores, scores))
    parts = {
        "bonafide": is_bonafide,
        "spoof": ~is_bonafide,
        "bonafide_loss": is_bonafide * loss,
        "spoof_loss": ~is_bonafide * loss,
        "rejected_bonafide": is_bonafide & (scores < THRESHOLD),
        "accepted_spoof": ~is_bonafide & (scores >= THRESHOLD),
    }
    components = {name: part[:, None].astype(np.float64) for name, part in parts.items()}
    return Scored(components, lambda summed: summed, SCORES)
