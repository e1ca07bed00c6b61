"""What can be said of a configuration before anything runs on it."""

from __future__ import annotations

from pathlib import Path

from adaspec.config import Config
from adaspec.datasets import check_dataset
from adaspec.experiments.dataset_root import check_dataset_root

__all__ = ["check_config", "check_knobs"]


def check_config(config: Config, repository: Path) -> None:
    """Refuse a configuration that cannot run: unknown data set, data that DVC cannot follow, impossible model, no
    models to start from.

    Raises
    ------
    InputError
        Names the knob, what was got, what is allowed and what to do.
    """
    check_dataset(config.dataset)
    check_dataset_root(config, repository)
    _check_model(config)
    if config.train.start is not None:
        from adaspec.models.start import check_start

        check_start(config)


def check_knobs(config: Config) -> None:
    """Refuse what no recordings could mend: an unknown data set, or an impossible model.

    Raises
    ------
    InputError
        As `check_config`.
    """
    check_dataset(config.dataset)
    _check_model(config)


def _check_model(config: Config) -> None:
    for knob, names in {
        "augment.attributes.names": config.augment.attributes.names if config.augment.enabled else (),
        "robustness.attributes": config.robustness.attributes,
    }.items():
        if names:
            from adaspec.attributes import attributes_of

            attributes_of(knob, names)
    from adaspec.models.check import check_model  # here: torch takes a second to load, and the rest does without

    check_model(config)
