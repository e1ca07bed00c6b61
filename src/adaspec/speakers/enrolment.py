"""Who is claimed to speak: the vectors of enrolled speakers, and verification scores against them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from adaspec.errors import InputError
from adaspec.speakers.vectors import Vectors
from adaspec.tables import BONAFIDE, ENROLMENT

__all__ = ["claimed", "claimed_in_training", "cohort_of", "enrolled", "verification_scores"]

Array = npt.NDArray[np.float32]


def enrolled(clips: pd.DataFrame, vectors: Vectors) -> Vectors:
    """Speaker -> mean of the vectors of the recordings that enrol the speaker, of length 1.

    Parameters
    ----------
    clips : DataFrame
        clips.csv, with `use` and `speaker` where the data set enrols speakers.
    vectors : Vectors
        Of the recordings.
    """
    if "use" not in clips:
        return {}
    rows = clips[clips["use"] == ENROLMENT]
    return _mean_of_speakers(rows, vectors)


def claimed(speakers: Sequence[str], known: Vectors) -> Array:
    """Vectors (n, n_dimensions) of claimed speakers.

    Raises
    ------
    InputError
        One is not enrolled.
    """
    for speaker in speakers:
        if speaker not in known:
            raise InputError(
                f"speaker {speaker} is claimed, but no recording enrols that speaker; enrol the speaker, or leave the "
                "speaker's clips out"
            )
    return np.stack([known[speaker] for speaker in speakers])


def claimed_in_training(rows: pd.DataFrame, known: Vectors, vectors: Vectors) -> Array:
    """Vectors (n_rows, n_dimensions) of the speakers that training clips claim.

    A speaker who is not enrolled is enrolled, for each clip, by the other bona fide clips of the same speaker.

    Parameters
    ----------
    rows : DataFrame
        `clip_id`, `label`, `speaker`.
    known : Vectors
        Of `enrolled`.
    vectors : Vectors
        Of the recordings.
    """
    bonafide = rows[rows["label"] == BONAFIDE]
    sums = {
        str(speaker): np.asarray(np.sum([vectors[clip_id] for clip_id in own], axis=0, dtype=np.float64))
        for speaker, own in bonafide.groupby("speaker")["clip_id"]
        if speaker not in known
    }
    found = []
    for clip_id, label, speaker in rows[["clip_id", "label", "speaker"]].to_numpy():
        if speaker in known:
            found.append(known[speaker])
            continue
        if speaker not in sums:
            raise InputError(
                f"speaker {speaker} has spoofed training clips, but neither enrolment nor bona fide clips; leave the "
                "speaker out, or add recordings"
            )
        others = np.asarray(sums[speaker] - vectors[clip_id] if label == BONAFIDE else sums[speaker])
        found.append(_unit(others if np.linalg.norm(others) > 1e-3 else sums[speaker]))  # the only clip enrols itself
    return np.stack(found)


def verification_scores(
    trials: pd.DataFrame, known: Vectors, vectors: Vectors, cohort: Vectors, n_nearest: int
) -> Array:
    """Scores (n_trials,) of speaker verification: cosines, normalised by those of other speakers.

    Adaptive symmetric normalisation: the cosine of enrolment and test recording, less the mean and over the standard
    deviation of the cosines with the nearest speakers of the cohort; the mean of both sides' results.

    Parameters
    ----------
    trials : DataFrame
        `clip_id`, `speaker` (who is claimed).
    known, vectors : Vectors
        Of enrolled speakers, and of the recordings.
    cohort : Vectors
        Of other speakers.
    n_nearest : int
        Speakers of the cohort that count; 0 leaves the cosines as they are.

    References
    ----------
    S. Cumani et al., "Comparison of speaker recognition approaches for real applications", Interspeech 2011 (its
    adaptive form: Z. N. Karam, W. M. Campbell and N. Dehak, "Towards reduced false-alarms using cohorts", ICASSP 2011)
    """
    claims = claimed(list(trials["speaker"]), known)
    tests = np.stack([vectors[clip_id] for clip_id in trials["clip_id"]])
    cosines = np.asarray(np.sum(claims * tests, axis=1, dtype=np.float64))
    if not n_nearest:
        return cosines.astype(np.float32)
    others = np.stack(list(cohort.values()))
    sides = []
    for side in (claims, tests):
        nearest = np.sort(side.astype(np.float64) @ others.T.astype(np.float64), axis=1)[:, -n_nearest:]
        sides.append((cosines - nearest.mean(axis=1)) / (nearest.std(axis=1) + 1e-6))
    return np.asarray((sides[0] + sides[1]) / 2, dtype=np.float32)


def cohort_of(rows: pd.DataFrame, vectors: Vectors) -> Vectors:
    """Vectors of the speakers of training clips, by their bona fide ones.

    Parameters
    ----------
    rows : DataFrame
        `clip_id`, `label`, `speaker`.
    vectors : Vectors
    """
    return _mean_of_speakers(rows[rows["label"] == BONAFIDE], vectors)


def _mean_of_speakers(rows: pd.DataFrame, vectors: Mapping[str, Array]) -> Vectors:
    return {
        str(speaker): _unit(np.sum([vectors[clip_id] for clip_id in own], axis=0, dtype=np.float64))
        for speaker, own in rows.groupby("speaker")["clip_id"]
    }


def _unit(vector: npt.NDArray[np.float64]) -> Array:
    return (vector / max(float(np.linalg.norm(vector)), 1e-9)).astype(np.float32)
