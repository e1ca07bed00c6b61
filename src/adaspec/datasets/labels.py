"""What the labels of a data set say: faults of its layout that would train, and measure, something else than is meant.

What cannot be meant is refused; what may be is told with counts.
"""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Callable, Iterable

import pandas as pd

from adaspec.errors import InputError

__all__ = ["check_copies", "check_labels", "is_part"]

log = logging.getLogger(__name__)

N_NAMED = 8  # labels named in a message; the rest are counted
PART = re.compile(
    r"(train(ing)?|trn|val(id(ation)?)?|dev(el(opment)?)?|test(ing)?|tst|eval(uation)?|fold|split|hold-?out)"
    r"([ _-]?(set|split|data|audio|clean|other|clips|\d+))*"
)
# Besides Unicode's category of format characters (Cf), those of other categories that are not drawn: joiners, fillers
# and variation selectors (Default_Ignorable_Code_Point in Unicode's DerivedCoreProperties.txt).
INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)


def is_part(name: str) -> bool:
    """Whether a name is that of a part of a data set, such as train, val_2 or test-clean, in any case."""
    return PART.fullmatch(name.strip().lower()) is not None


def check_labels(labels: pd.Series, root: str) -> None:
    """Look at the names of the classes.

    Parameters
    ----------
    labels : Series of str
        Of each clip.
    root : str
        Of the data set, for messages.

    Raises
    ------
    InputError
        All labels are names of parts; or two of them look the same, or one like nothing at all.
    """
    counts = labels.value_counts().sort_index()
    parts = [label for label in counts.index if is_part(label)]
    if len(parts) == len(counts):
        raise InputError(
            f"{root}: all labels are names of parts, not of classes: {_counted(counts, parts)}; give the folder with "
            "one folder per class, or a manifest.csv with the columns path, label and subset (train, dev, eval)"
        )
    if len(parts) > 1:
        log.warning("%s: %s are labels like any other here, not parts of the data", root, _counted(counts, parts))
    for same in _equal_by(_drawn, counts.index):
        if not _drawn(same[0]):
            raise InputError(f"{root}: the label {same[0]!a} does not show; rename it")
        if len(same) > 1:
            raise InputError(
                f"{root}: {len(same)} labels look the same: {_counted(counts, same)}; rename them to one, or apart"
            )
    for alike in _equal_by(_folded, counts.index):
        if len(alike) > 1:
            log.warning("%s: %s are different labels here; rename them if one is meant", root, _counted(counts, alike))


def check_copies(clips: pd.DataFrame, root: object) -> None:
    """Look for the same bytes under two labels, which no classifier can tell apart.

    Parameters
    ----------
    clips : DataFrame
        `path`, `label` and `digest` of usable clips.
    root : object
        Of the data set, for messages.

    Raises
    ------
    InputError
        A label has nothing but copies of other labels' clips.
    """
    copied = clips[clips.groupby("digest")["label"].transform("nunique") > 1]
    if copied.empty:
        return
    pair = copied[copied["digest"] == copied["digest"].iloc[0]].drop_duplicates("label").head(2)
    example = " and ".join(f"{path} ({label})" for path, label in pair[["path", "label"]].to_numpy())
    without = sorted(set(clips["label"]) - set(clips["label"].drop(copied.index)))
    counts = copied["label"].value_counts().sort_index()
    if without:
        raise InputError(
            f"{root}: every clip of {_counted(counts, without)} has the same bytes as one of another label, such as "
            f"{example}; keep each recording under one label"
        )
    log.warning(
        "%s: %s clips have the same bytes as one of another label (%s), such as %s; keep each under one label",
        *(root, len(copied), _counted(counts, counts.index), example),
    )


def _drawn(label: str) -> str:
    """What of a label is seen: canonical form (NFC), without invisible characters, blanks as one space."""
    seen = "".join(each for each in INVISIBLE.sub("", label) if unicodedata.category(each) != "Cf")
    return unicodedata.normalize("NFC", " ".join(seen.split()))


def _folded(label: str) -> str:
    """A label in compatible form (NFKC) and without case."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", _drawn(label)).casefold())


def _equal_by(key: Callable[[str], str], labels: Iterable[str]) -> list[list[str]]:
    groups: dict[str, list[str]] = {}
    for label in labels:
        groups.setdefault(key(label), []).append(label)
    return list(groups.values())


def _counted(counts: pd.Series, labels: Iterable[str]) -> str:
    """Labels with how many clips each has, in ASCII, so that those that look the same can be told apart."""
    told = [f"{label!a} ({counts[label]} clips)" for label in labels]
    more = f" and {len(told) - N_NAMED} more" if len(told) > N_NAMED else ""
    return ", ".join(told[:N_NAMED]) + more
