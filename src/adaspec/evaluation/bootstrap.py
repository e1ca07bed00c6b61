"""The bootstrap: how scores would have come out with other clips, for every score alike.

References
----------
B. Efron and R. J. Tibshirani, "An Introduction to the Bootstrap", 1993, chapters 8 and 13.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from adaspec.evaluation.scores.contract import Array, Scored
from adaspec.runtime.progress import ClipProgress

__all__ = ["Draw", "drawn_by_speaker", "resampled_counts", "resampled_means", "resampled_values", "trial_draw"]

FEW_SPEAKERS = 10  # fewer are too few to resample
SOON_S = 3.0  # what is resampled sooner shows no progress
CHUNK = 2**22  # numbers at a time: clips times resamples, components times resamples


@dataclass(frozen=True)
class Draw:
    """What is drawn anew, and by chance of what.

    Attributes
    ----------
    units : array-like of shape (n_clips,)
        The unit that each clip belongs to, such as its group or speaker: a unit is drawn with all its clips. Clips of
        one source say much the same, so that drawing them one by one would promise too much.
    rng : Generator
    strata : array-like of shape (n_clips,), optional
        As many units as a stratum has are drawn within it, in the order of the sorted strata; a unit has one stratum.
    """

    units: Any
    rng: np.random.Generator
    strata: Any = None


def drawn_by_speaker(folds: Iterable[pd.DataFrame]) -> bool:
    """Whether speakers of trials are drawn anew, rather than trials: each fold's are all known, and ten or more.

    Parameters
    ----------
    folds : iterable of DataFrame
        Test trials of each fold: `speaker`, '' where it is not known.
    """
    return all(not (rows["speaker"] == "").any() and rows["speaker"].nunique() >= FEW_SPEAKERS for rows in folds)


def trial_draw(trials: pd.DataFrame, rng: np.random.Generator, *, by_speaker: bool) -> Draw:
    """What is drawn anew of one fold's trials of speech: speakers, else trials within each kind and attack.

    Parameters
    ----------
    trials : DataFrame
        `label`, `attack` ('-' where there is none) and `speaker`: who speaks, or who is claimed to.
    rng : Generator
    by_speaker : bool
        That of `drawn_by_speaker`.
    """
    if by_speaker:
        return Draw(trials["speaker"], rng)
    return Draw(np.arange(len(trials)), rng, trials["label"] + " " + trials["attack"])


def resampled_counts(draw: Draw, n_resamples: int) -> Iterator[Array]:
    """How often each clip counts: (some resamples, n_clips) at a time, until there are enough."""
    units = np.asarray(draw.units)
    strata, names = pd.factorize(np.zeros(len(units)) if draw.strata is None else np.asarray(draw.strata), sort=True)
    members = [np.flatnonzero(strata == stratum) for stratum in range(len(names))]
    drawn_at = np.empty(len(units), np.int64)  # of each clip, its unit's place among those of all strata
    n_units: list[int] = []
    for clips in members:
        codes, names = pd.factorize(units[clips])
        drawn_at[clips] = sum(n_units) + codes
        n_units.append(len(names))
    size = max(1, CHUNK // len(units))
    for start in range(0, n_resamples, size):
        n_now = min(size, n_resamples - start)
        of_units = np.empty((n_now, sum(n_units)), np.int32)
        begin = 0
        for n in n_units:
            drawn = draw.rng.integers(0, n, (n_now, n))
            drawn += n * np.arange(n_now)[:, None]
            of_units[:, begin : begin + n] = np.bincount(drawn.ravel(), minlength=n_now * n).reshape(n_now, n)
            begin += n
        yield np.take(of_units, drawn_at, axis=1)


def resampled_means(folds: Sequence[tuple[Scored[Any], Draw]], n_resamples: int) -> dict[str, Array]:
    """Each score's mean over the folds that have it, in every resample.

    The units are drawn within each fold: what the resamples tell is the chance of which of them were tested, given the
    trained models.

    Parameters
    ----------
    folds : sequence of (Scored, Draw)
        Folds that share a generator draw from it in turn.
    n_resamples : int

    Returns
    -------
    dict of str to ndarray of shape (n_resamples, ...)
        Score -> its mean; NaN where a fold's resample leaves it undefined.
    """
    means: dict[str, Array] = {}
    n_folds = Counter(name for scored, _ in folds for name in scored.scores)
    for scored, draw in folds:
        [values] = resampled_values([scored], draw, n_resamples)
        for name, resampled in values.items():
            means[name] = means.get(name, 0) + resampled / n_folds[name]
    return means


def resampled_values(several: Sequence[Scored[Any]], draw: Draw, n_resamples: int) -> list[dict[str, Array]]:
    """Scores of one fold's clips in the same resamples, as several models scored them.

    Parameters
    ----------
    several : sequence of Scored
        The same clips in the same order.
    draw : Draw
    n_resamples : int

    Returns
    -------
    list of dict
        For each of `several`: score -> (n_resamples, ...).
    """
    parts: list[dict[str, list[Array]]] = [{name: [] for name in scored.scores} for scored in several]
    with ClipProgress("resampling", n_resamples, "resamples", SOON_S) as progress:
        for counts in resampled_counts(draw, n_resamples):
            for scored, own in zip(several, parts, strict=True):
                n_pieces = -(-len(counts) * scored.width // CHUNK)
                for some in np.array_split(counts, min(max(n_pieces, 1), len(counts))):
                    for name, values in scored.values(some).items():
                        own[name].append(values)
            progress.advance(len(counts))
    return [{name: np.concatenate(chunks) for name, chunks in own.items()} for own in parts]
