"""Data sets: one module each, `read(root, ...)` -> the clips with their labels, groups and official folds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from adaspec.config import DatasetConfig
from adaspec.datasets import asvspoof2019_la, esc50, folder, gtzan, manifest, synthetic
from adaspec.errors import InputError
from adaspec.runtime.text import did_you_mean, is_printable
from adaspec.tables.score_files import ASV_COLUMNS

__all__ = ["DATASETS", "check_dataset", "read_asv_scores", "read_dataset"]

DATASETS: dict[str, Callable[[Path, DatasetConfig], pd.DataFrame]] = {
    "synthetic": synthetic.read,
    "esc50": esc50.read,
    "gtzan": gtzan.read,
    "asvspoof2019_la": asvspoof2019_la.read,
    "folder": folder.read,
    "manifest": manifest.read,
}


def read_dataset(config: DatasetConfig) -> pd.DataFrame:
    """List the clips of the configured data set, unopened.

    Returns
    -------
    DataFrame
        Text columns `path` (relative to the root, '/' between folders), `label`, `group`, `fold`, `subset`; '' where
        the data set does not say; then what the data set adds. A clip without a group is a group of its own.

    Raises
    ------
    InputError
        The folder is not laid out as the data set's module expects.
    """
    table = DATASETS[config.name](Path(config.root), config)
    for column in table:
        strange = table[~table[column].map(is_printable)]
        if len(strange):
            raise InputError(
                f"{column}={strange[column].iloc[0]!a} in {config.root} holds a control character or a byte that is "
                "not UTF-8; rename it"
            )
    table = table.assign(group=table["group"].where(table["group"] != "", table["path"]))
    return table.sort_values("path", ignore_index=True)


def check_dataset(config: DatasetConfig) -> None:
    """Make sure that the data set is known."""
    if config.name not in DATASETS:
        hint = did_you_mean(config.name, DATASETS, f"; known: {', '.join(DATASETS)}")
        raise InputError(f"params.yaml dataset.name={config.name} is no data set{hint}")


def read_asv_scores(config: DatasetConfig) -> pd.DataFrame:
    """Scores of a speaker verification system on the data set's eval part; empty for all but ASVspoof."""
    if config.name == "asvspoof2019_la":
        return asvspoof2019_la.read_asv_scores(Path(config.root))
    return pd.DataFrame(columns=ASV_COLUMNS)
