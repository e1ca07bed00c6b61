"""What a data set brings: how it is read, under which licence, whom to cite, where it is had."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from adaspec.config import DatasetConfig

__all__ = ["Dataset", "Source"]


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where the official archive of a data set is had, and how to tell that a copy is whole.

    Attributes
    ----------
    url : str
        Of a zip file with one top folder, which becomes the data set's root.
    missing : callable
        From a folder to the files that the data set lists and the folder lacks.
    """

    url: str
    missing: Callable[[Path], list[str]]


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A data set; its name is its key in `DATASETS`.

    Attributes
    ----------
    title : str
        What people call it.
    licence : str
        Of the recordings.
    citation : str
        BibTeX entries, or a sentence where there is no publication.
    read : callable
        From the root and the section `dataset` to a table of the clips, unopened, in any order: text columns `path`
        (relative to the root, '/' between folders, never leaving it), `label`, `group` (what must not straddle folds;
        '' = the clip alone), `fold` and `subset` (official ones; '' = none), then what the data set adds. A folder that
        is laid out otherwise raises an `InputError` that names it.
    variants : tuple of str
        What `dataset.variant` may be besides null.
    source : Source or None
        None: nobody may, or need, download it for the user.
    asv_scores : callable or None
        From the root to the scores of a speaker verification system: columns `system`, `key`, `score`.
    verification_trials : callable or None
        From the root and the table of `read` to trials of speaker verification: `path`, `speaker` (the claimed one),
        `key` (target, nontarget, spoof), `subset`. Asked only where `read` adds `speaker`, `attack` and `use` (trial,
        enrolment, verification), which it does where speakers are enrolled; a speaker whom nothing tells is ''.
    """

    title: str
    licence: str
    citation: str
    read: Callable[[Path, DatasetConfig], pd.DataFrame]
    variants: tuple[str, ...] = ()
    source: Source | None = None
    asv_scores: Callable[[Path], pd.DataFrame] | None = None
    verification_trials: Callable[[Path, pd.DataFrame], pd.DataFrame] | None = None
