"""Data sets: one module each, with its reader, licence, citation and source. A new one is listed in `DATASETS`."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from adaspec.config import DatasetConfig
from adaspec.datasets import asvspoof2019_la, esc50, folder, gtzan, manifest, synthetic
from adaspec.datasets.contract import Dataset, Source
from adaspec.datasets.labels import check_labels
from adaspec.datasets.verification import usable_trials
from adaspec.errors import InputError
from adaspec.runtime.text import did_you_mean, is_printable
from adaspec.tables import VERIFICATION_COLUMNS
from adaspec.tables.score_files import ASV_COLUMNS

__all__ = [
    "DATASETS",
    "Dataset",
    "Source",
    "check_dataset",
    "read_asv_scores",
    "read_dataset",
    "read_verification_trials",
]

DATASETS: dict[str, Dataset] = {
    "synthetic": synthetic.DATASET,
    "esc50": esc50.DATASET,
    "gtzan": gtzan.DATASET,
    "asvspoof2019_la": asvspoof2019_la.DATASET,
    "folder": folder.DATASET,
    "manifest": manifest.DATASET,
}


def check_dataset(config: DatasetConfig) -> None:
    """Make sure that the data set is known, and has the variant.

    Raises
    ------
    InputError
        Names the knob, what was got and what is allowed.
    """
    if config.name not in DATASETS:
        hint = did_you_mean(config.name, DATASETS, f"; known: {', '.join(DATASETS)}")
        raise InputError(f"params.yaml dataset.name={config.name} is no data set{hint}")
    variants = DATASETS[config.name].variants
    if config.variant is None or config.variant in variants:
        return
    got = f"params.yaml dataset.variant={config.variant}: {config.name}"
    if not variants:
        raise InputError(f"{got} has no variants; set it to null")
    raise InputError(f"{got} has no such variant; set it to {' or '.join(variants)}, or to null for all of it")


def read_dataset(config: DatasetConfig) -> pd.DataFrame:
    """List the clips of the configured data set, unopened.

    Returns
    -------
    DataFrame
        Text columns as `Dataset.read` gives them, sorted by `path`. A clip without a group is a group of its own.

    Raises
    ------
    InputError
        The data set or its variant is unknown, the folder is not laid out as the data set's module expects, or the
        labels cannot be meant.
    """
    check_dataset(config)
    table = DATASETS[config.name].read(Path(config.root), config)
    for column in table:
        strange = table[~table[column].map(is_printable)]
        if len(strange):
            raise InputError(
                f"{column}={strange[column].iloc[0]!a} in {config.root} holds a control character, an end of a line or "
                "a byte that is not UTF-8; rename it"
            )
    check_labels(table["label"], config.root)
    table = table.assign(group=table["group"].where(table["group"] != "", table["path"]))
    return table.sort_values("path", ignore_index=True)


def read_asv_scores(config: DatasetConfig) -> pd.DataFrame:
    """Scores of a speaker verification system on the data set's eval part; empty where the data set has none."""
    reader = DATASETS[config.name].asv_scores
    return pd.DataFrame(columns=ASV_COLUMNS) if reader is None else reader(Path(config.root))


def read_verification_trials(config: DatasetConfig, table: pd.DataFrame, clips: pd.DataFrame) -> pd.DataFrame:
    """Trials of speaker verification whose recordings, and whose speaker's enrolment, can be used.

    Parameters
    ----------
    config : DatasetConfig
    table : DataFrame
        From `read_dataset`.
    clips : DataFrame
        What `examine_clips` made of it.

    Returns
    -------
    DataFrame
        `clip_id`, `speaker` (the claimed one), `key` (target, nontarget, spoof), `subset`, sorted by the former two;
        empty where the data set enrols nobody.
    """
    reader = DATASETS[config.name].verification_trials
    if reader is None or "use" not in clips:
        return pd.DataFrame(columns=VERIFICATION_COLUMNS)
    return usable_trials(reader(Path(config.root), table), clips)
