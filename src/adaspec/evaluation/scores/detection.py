"""Scores of a detector of spoofed speech, of its errors at every threshold: EER, AUC, minimum DCF and t-DCF."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from adaspec.evaluation.scores.contract import Array, Score, Scored
from adaspec.evaluation.scores.error_curve import (
    BONAFIDE_KIND,
    SPOOFED_KIND,
    Accepted,
    ErrorCurve,
    attack_masks,
    ranked,
)
from adaspec.evaluation.scores.likelihood import dcf
from adaspec.evaluation.scores.tandem import AsvErrors, tandem_cost

__all__ = ["SCORES", "STEP_SCORES", "TANDEM_SCORES", "Detection", "detected", "eer_of", "stepped"]


@dataclass(frozen=True)
class Detection:
    """Accepted trials of a detector, and the errors of the speaker verification (ASV) behind it, where there is one.

    Attributes
    ----------
    accepted : Accepted
    attacks : tuple of str
        Those of the spoofed trials, where they are told.
    asv : AsvErrors or None
    """

    accepted: Accepted
    attacks: tuple[str, ...]
    asv: AsvErrors | None

    def corners(self) -> ErrorCurve:
        """Errors where a cost of both can be least."""
        return self.accepted.corner_curve(BONAFIDE_KIND, [SPOOFED_KIND])

    def eer(self, attacks: Sequence[str]) -> Array:
        """Equal error rate against spoofed trials of some attacks."""
        together = {*attacks} == {*self.attacks}  # counted together, which saves adding them up
        return self.accepted.eer(BONAFIDE_KIND, [SPOOFED_KIND] if together else [*map(_kind, attacks)])

    def auc(self) -> Array:
        """Area under the ROC."""
        return self.accepted.auc(BONAFIDE_KIND, [SPOOFED_KIND])


def _kind(attack: str) -> str:
    return f"{SPOOFED_KIND}, {attack}"


def _min_dcf(detection: Detection) -> Array:
    curve = detection.corners()
    return np.asarray(dcf(curve.p_miss, curve.p_fa).min(axis=-1))


def _min_tandem_cost(formulation: Literal["2019", "2021"]) -> Callable[[Detection], Array]:
    def value(detection: Detection) -> Array:
        assert detection.asv is not None
        return np.asarray(tandem_cost(detection.corners(), detection.asv, formulation).min(axis=-1))

    return value


def eer_in_steps(accepted: Accepted) -> Array:
    """Equal error rate as the challenge's own script counts it.

    Trials are rejected one by one, from the lowest score on and bona fide ones first among equals; the rate is the mean
    of both errors where they are nearest. Without ties it is within half a trial of `Accepted.eer`. With ties it is
    higher: where all scores are equal it is 100 %.

    References
    ----------
    M. Todisco et al., "ASVspoof 2019: Future Horizons in Spoofed and Fake Audio Detection", Interspeech 2019, and the
    evaluation package that came with the challenge
    """
    # From the lowest score up, bona fide trials before spoofed ones at each: (..., 2 n_scores).
    counts = np.stack([np.diff(accepted.counts(kind))[..., ::-1] for kind in (BONAFIDE_KIND, SPOOFED_KIND)], axis=-1)
    counts = counts.reshape(*counts.shape[:-2], -1).astype(np.int64)
    is_bonafide = np.arange(counts.shape[-1]) % 2 == 0
    rates = [_nearest(np.repeat(is_bonafide, row)) for row in counts.reshape(-1, counts.shape[-1])]
    return np.array(rates).reshape(counts.shape[:-1])


def _nearest(bonafide: Array) -> float:
    """Mean of both errors where they are nearest, as trials are rejected one by one; NaN where a kind is missing."""
    n_bonafide = np.count_nonzero(bonafide)
    if n_bonafide in (0, len(bonafide)):
        return float("nan")
    p_miss = np.append(0, np.cumsum(bonafide)) / n_bonafide
    p_fa = 1 - np.append(0, np.cumsum(~bonafide)) / (len(bonafide) - n_bonafide)
    nearest = np.abs(p_miss - p_fa).argmin()
    return float((p_miss[nearest] + p_fa[nearest]) / 2)


SCORES: dict[str, Score[Detection]] = {
    "eer": Score(lambda detection: detection.eer(detection.attacks), perfect=0),
    "auc": Score(Detection.auc, perfect=1),
    "min_dcf": Score(_min_dcf, perfect=0),
}
# Where errors of a speaker verification system are known. A detector that tells nothing costs 1 with the best
# threshold; that of 2021 keeps the cost that speaker verification has on its own.
TANDEM_SCORES: dict[str, Score[Detection]] = {
    "min_tdcf_2019": Score(_min_tandem_cost("2019"), perfect=0),
    "min_tdcf_2021": Score(_min_tandem_cost("2021"), perfect=float("nan")),
}
STEP_SCORES: dict[str, Score[Accepted]] = {"eer_in_steps": Score(eer_in_steps, perfect=0)}


def eer_of(attacks: Sequence[str]) -> Score[Detection]:
    """The equal error rate against some attacks alone, beside `SCORES` of the same trials."""
    return Score(lambda detection: detection.eer(attacks), perfect=0)


def detected(
    scores: Array,
    is_bonafide: Array,
    asv: AsvErrors | None = None,
    attacks: Array | None = None,
    further: Mapping[str, Score[Detection]] | None = None,
) -> Scored[Detection]:
    """Trials with a score each, for `SCORES` and, where ASV errors are known, `TANDEM_SCORES`.

    Parameters
    ----------
    scores : ndarray of shape (n_trials,)
        Finite; higher means more bona fide.
    is_bonafide : ndarray of bool of shape (n_trials,)
    asv : AsvErrors, optional
    attacks : ndarray of str of shape (n_trials,), optional
        Of spoofed trials, which `eer_of` needs.
    further : mapping of str to Score, optional
        Of `eer_of`.

    Raises
    ------
    ValueError
        There are no bona fide trials, or no spoofed ones, or a score is not finite.
    """
    is_bonafide = np.asarray(is_bonafide, dtype=bool)
    of_attacks = attack_masks(attacks, ~is_bonafide)
    kinds = {BONAFIDE_KIND: is_bonafide, SPOOFED_KIND: ~is_bonafide}
    ranking, components = ranked(scores, kinds | {_kind(name): mask for name, mask in of_attacks.items()})

    def prepare(summed: Mapping[str, Array]) -> Detection:
        return Detection(Accepted(ranking, summed), tuple(of_attacks), asv)

    return Scored(components, prepare, SCORES | ({} if asv is None else TANDEM_SCORES) | dict(further or {}))


def stepped(scores: Array, is_bonafide: Array) -> Scored[Accepted]:
    """Trials with a score each, for `STEP_SCORES`; parameters and errors are those of `detected`."""
    is_bonafide = np.asarray(is_bonafide, dtype=bool)
    ranking, components = ranked(scores, {BONAFIDE_KIND: is_bonafide, SPOOFED_KIND: ~is_bonafide})
    return Scored(components, lambda summed: Accepted(ranking, summed), STEP_SCORES)
