"""What can be said of a configuration before anything runs on it."""

from __future__ import annotations

from pathlib import Path

from adaspec.config import Config
from adaspec.datasets import check_dataset
from adaspec.experiments.dataset_root import check_dataset_root

__all__ = ["check_config"]


def check_config(config: Config, repository: Path) -> None:
    """Refuse a configuration that cannot run: unknown data set, data that DVC cannot follow, impossible model.

    Raises
    ------
    InputError
        Names the knob, what was got, what is allowed and what to do.
    """
    check_dataset(config.dataset)
    check_dataset_root(config, repository)
    from adaspec.models.check import check_model  # here: torch takes a second to load, and the rest does without

    check_model(config)
