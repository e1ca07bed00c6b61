"""`adaspec tune`: search knobs by validation clips. The only package that imports optuna."""

from __future__ import annotations

import json
import logging
import warnings
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy.exc

from adaspec.config import Config, flatten, load_config
from adaspec.errors import InputError
from adaspec.experiments.recipes import leftover_knobs, recipe_command
from adaspec.experiments.tuning.cluster import work_on_cluster
from adaspec.experiments.tuning.space import check_space
from adaspec.experiments.tuning.study import STATES, best_first, finished_trials, knobs_of, open_study
from adaspec.experiments.tuning.worker import update_data, work
from adaspec.runtime.text import one_line
from adaspec.runtime.workspace import repository_root

__all__ = ["tune"]

log = logging.getLogger(__name__)

PARAMS = Path("params.yaml")
SHOWN = 5  # trials in the table


def tune(n_trials: int, name: str | None = None, url: str | None = None) -> str:
    """Work on a study, begun or not, until it has `n_trials` trials.

    Parameters
    ----------
    n_trials : int
        Finished ones of the whole study: complete, pruned or failed.
    name : str or None
        Of the study; None makes one from params.yaml, so that equal settings meet in one study.
    url : str or None
        Database, as SQLAlchemy names it; None is `.adaspec/studies.db`.

    Returns
    -------
    str
        The best trials, and as the last line the command that trains and evaluates with the best knobs.

    Raises
    ------
    InputError
        Settings that cannot be searched, no validation clips, a study that was begun with other settings, a database
        that cannot be reached, or trials that all failed.
    """
    config, root = load_config(PARAMS), repository_root()
    check_space(config)
    try:
        with warnings.catch_warnings():
            # Heartbeats and what follows from their end have been "experimental" since 2021.
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study = open_study(config, root, name, url)
            trials = study.get_trials(deepcopy=False)
            log.info("study %s: %s of %s trials are done", study.study_name, len(finished_trials(trials)), n_trials)
            if len(finished_trials(trials)) < n_trials:
                update_data(root)
                if config.engine.backend == "ray":
                    work_on_cluster(study, config, root, url, n_trials)
                else:
                    work(study, config, root, n_trials)
            return _report(study, config)
    except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        reason = one_line(error.__cause__ or error)
        raise InputError(f"the database of the study fails: {reason}; the same command goes on from here") from None


def _report(study: optuna.Study, config: Config) -> str:
    finished, best = finished_trials(study.get_trials(deepcopy=False)), best_first(study, config.tune.objective)
    if not best:
        last = max((trial for trial in finished if "error" in trial.user_attrs), key=lambda trial: trial.number)
        raise InputError(f"all {len(finished)} trials failed, the last one: {last.user_attrs['error']}")
    counts = [f"{sum(trial.state == state for trial in finished)} {word}" for state, word in STATES.items()]
    title = f"study {study.study_name}: {len(finished)} trials, {', '.join(counts)}"
    names = [each.knob for each in config.tune.space]
    shown = best[:SHOWN] + [trial for trial in best[SHOWN:] if trial.user_attrs.get("present")]
    rows = [["trial", config.tune.objective, *names]]
    for trial in shown:
        rows.append([str(trial.number), f"{trial.value:.4f}", *map(json.dumps, knobs_of(config, trial).values())])
        rows[-1] += ["the values of params.yaml"] if trial.user_attrs.get("present") else []
    widths = [max(len(row[column]) for row in rows) for column in range(len(names) + 2)]
    lines = ["  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=False)) for row in rows]
    lines = [line + (f"  {row[-1]}" if len(row) > len(widths) else "") for line, row in zip(lines, rows, strict=True)]
    return "\n".join([title, "", *lines, "", _command(knobs_of(config, best[0]))])


def _command(knobs: dict[str, Any]) -> str:
    """Sets also what params.yaml has changed since its last commit: it works after `git restore params.yaml`."""
    present = flatten(load_config(PARAMS))
    kept = {key: present[key] for key in leftover_knobs(knobs) if key in present and not key.startswith("tune.")}
    return recipe_command(kept | knobs)
