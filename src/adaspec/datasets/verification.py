"""Enrolment of speakers, and trials of speaker verification: what any data set with them must hold to."""

from __future__ import annotations

import hashlib
import logging

import pandas as pd

from adaspec.errors import InputError
from adaspec.runtime.text import shown
from adaspec.tables import BONAFIDE, ENROLMENT, SPOOF, TRIAL, VERIFICATION_COLUMNS

__all__ = [
    "NONTARGET",
    "TARGET",
    "check_claims",
    "check_train_speakers",
    "check_uses",
    "derived_trials",
    "usable_trials",
]

log = logging.getLogger(__name__)

MOST_NONTARGETS = 10  # derived trials of a bona fide clip against others, so that they do not grow with the square
N_NAMED = 5  # speakers named in a message; the rest are counted
TARGET, NONTARGET = "target", "nontarget"
TRIAL_COLUMNS = ["path", *VERIFICATION_COLUMNS[1:]]


def check_train_speakers(rows: pd.DataFrame) -> None:
    """Make sure that the speakers of train are in no other part, where verification would know them already.

    Parameters
    ----------
    rows : DataFrame
        `where` (file and line), `speaker`, `subset`.

    Raises
    ------
    InputError
        Names the speaker and both lines.
    """
    train = rows[rows["subset"] == "train"]
    known = rows[(rows["subset"] != "train") & rows["speaker"].isin(train["speaker"])]
    if len(known):
        where, speaker, subset = known.iloc[0][["where", "speaker", "subset"]]
        first = train.loc[train["speaker"] == speaker, "where"].iloc[0]
        raise InputError(
            f"{where}: speaker {shown(speaker)} of {_part(subset)} is in train too ({first}), as are "
            f"{_counted(known['speaker'])} in all; where speakers are enrolled, none may be in train and another part"
        )


def check_claims(claims: pd.DataFrame, enrolment: pd.DataFrame, remedy: str) -> None:
    """Make sure that whoever is claimed to speak is enrolled in the same part.

    Parameters
    ----------
    claims : DataFrame
        `where` (file and line), `speaker` (the claimed one), `subset`.
    enrolment : DataFrame
        `speaker`, `subset`.
    remedy : str
        How to enrol a speaker, for the message.

    Raises
    ------
    InputError
        Names the first line and its speaker, and counts the speakers.
    """
    lost = claims[~_is_enrolled(claims, enrolment)]
    if len(lost):
        where, speaker, subset = lost.iloc[0][["where", "speaker", "subset"]]
        raise InputError(
            f"{where}: the claimed speaker {shown(speaker)} has no enrolment recording in {_part(subset)}, and so "
            f"{_counted(lost['speaker'])} in all; {remedy}"
        )


def check_uses(clips: pd.DataFrame, root: object) -> None:
    """Look for the same bytes in two uses, or as the enrolment of two speakers.

    Parameters
    ----------
    clips : DataFrame
        `path` and `digest` of usable clips, and where there is enrolment `speaker` and `use`.
    root : object
        Of the data set, for messages.

    Raises
    ------
    InputError
        Names two of the recordings.
    """
    if "use" not in clips:
        return
    enrolled = clips["speaker"].where(clips["use"] == ENROLMENT, "")
    purpose = clips["use"] + (" of " + enrolled).where(enrolled != "", "")
    copied = clips.assign(purpose=purpose)[purpose.groupby(clips["digest"]).transform("nunique") > 1]
    if len(copied):
        pair = copied[copied["digest"] == copied["digest"].iloc[0]].drop_duplicates("purpose").head(2)
        told = " and ".join(f"{shown(path)} ({purpose})" for path, purpose in pair[["path", "purpose"]].to_numpy())
        raise InputError(
            f"{root}: {told} have the same bytes, as have {len(copied)} recordings in all; a recording enrols one "
            "speaker, or is a trial, or of verification alone: remove its other copies"
        )


def derived_trials(table: pd.DataFrame) -> pd.DataFrame:
    """Trials of a data set that lists none: of each clip against enrolled speakers of its part.

    A bona fide clip is a target against its own speaker and a nontarget against up to `MOST_NONTARGETS` others, evenly
    spaced in their order from a place that follows from the clip's path; a spoofed one claims to be its speaker.

    Parameters
    ----------
    table : DataFrame
        `path`, `label`, `subset`, `speaker` (of a spoofed clip the claimed one), `use`.

    Returns
    -------
    DataFrame
        `path`, `speaker`, `key` (target, nontarget, spoof), `subset`.
    """
    trials = []
    for subset, rows in table.groupby("subset"):
        enrolled = sorted(set(rows.loc[rows["use"] == ENROLMENT, "speaker"]))
        place = {speaker: index for index, speaker in enumerate(enrolled)}
        clips = rows[rows["use"] == TRIAL]
        for path, label, speaker in clips[["path", "label", "speaker"]].to_numpy() if enrolled else ():
            if label == SPOOF:
                trials.append((path, speaker, SPOOF, subset))
                continue
            own = place.get(speaker, len(enrolled))
            if speaker in place:
                trials.append((path, speaker, TARGET, subset))
            others = _some(len(enrolled) - (speaker in place), path)
            trials += [(path, enrolled[other + (other >= own)], NONTARGET, subset) for other in others]
        impostors = clips.loc[(clips["label"] == BONAFIDE) & ~clips["speaker"].isin(enrolled), "speaker"]
        if enrolled and len(impostors):
            log.warning(
                "%s in %s without enrolment: %s bona fide clips are nontarget trials only",
                *(_counted(impostors), _part(str(subset)), len(impostors)),
            )
    return pd.DataFrame(trials, columns=TRIAL_COLUMNS)


def usable_trials(trials: pd.DataFrame, clips: pd.DataFrame) -> pd.DataFrame:
    """Trials whose clips, and whose speaker's enrolment, were not left out; it is told how many were.

    Parameters
    ----------
    trials : DataFrame
        `path`, `speaker`, `key`, `subset`.
    clips : DataFrame
        clips.csv.

    Returns
    -------
    DataFrame
        Columns `VERIFICATION_COLUMNS`, sorted by `clip_id` and `speaker`.
    """
    there = trials.merge(clips[["path", "clip_id"]], on="path")
    if len(there) < len(trials):
        log.info("left out %s of %s verification trials, whose clips are", len(trials) - len(there), len(trials))
    enrolled = _is_enrolled(there, clips[clips["use"] == ENROLMENT])
    if not enrolled.all():
        lost = there.loc[~enrolled, "speaker"]
        log.warning(
            "left out %s of %s verification trials: no enrolment recording is left of %s",
            *(len(lost), len(trials), _counted(lost)),
        )
    kept = there.loc[enrolled, [*VERIFICATION_COLUMNS]]
    return kept.sort_values(["clip_id", "speaker"], ignore_index=True)


def _is_enrolled(claims: pd.DataFrame, enrolment: pd.DataFrame) -> pd.Series:
    pairs = pd.MultiIndex.from_frame(claims[["speaker", "subset"]])
    found = pairs.isin(pd.MultiIndex.from_frame(enrolment[["speaker", "subset"]]))
    return pd.Series(found, index=claims.index)


def _some(n: int, path: str) -> list[int]:
    """At most `MOST_NONTARGETS` of n speakers."""
    if n <= MOST_NONTARGETS:
        return list(range(n))
    first = int.from_bytes(hashlib.sha256(path.encode()).digest()[:8], "big")
    return [(first + index * n // MOST_NONTARGETS) % n for index in range(MOST_NONTARGETS)]


def _part(subset: str) -> str:
    return subset or "the data"


def _counted(speakers: pd.Series) -> str:
    """How many speakers these are, with the first of them."""
    names = sorted(set(speakers))
    more = ", ..." if len(names) > N_NAMED else ""
    return f"{len(names)} speaker{'' if len(names) == 1 else 's'} ({', '.join(map(shown, names[:N_NAMED]))}{more})"
