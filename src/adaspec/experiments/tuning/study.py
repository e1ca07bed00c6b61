"""The study that workers share: its database, the settings that all of its trials have, what is drawn next."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import filelock
import optuna
import sqlalchemy.exc
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, TPESampler
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial, TrialState

from adaspec.config import Config, flatten
from adaspec.config.knobs import deciding, training_stages
from adaspec.errors import InputError
from adaspec.experiments.tuning.space import holds, stored, value_of
from adaspec.runtime.progress import format_seconds
from adaspec.runtime.seeding import generator
from adaspec.runtime.text import one_line
from adaspec.runtime.workspace import lock_file, state_folder

__all__ = [
    "HEARTBEAT_S",
    "STATES",
    "best_first",
    "finished_trials",
    "knobs_of",
    "open_study",
    "run_again",
    "standing_trials",
    "trial_line",
]

HEARTBEAT_S, GRACE_S = 10, 30  # a worker on another machine that was silent for so long is taken for dead
STATES = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}


def open_study(config: Config, root: Path, name: str | None, url: str | None) -> optuna.Study:
    """The study, created where it is missing, with the settings that all of its trials share."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    searched = {each.knob for each in config.tune.space}
    stages = (*training_stages(config), "split")
    knobs = {key: value for stage in stages for key, value in deciding(config, stage).items()}
    knobs = {key: value for key, value in knobs.items() if key not in searched}
    knobs |= {f"tune.{key}": value for key, value in config.tune.model_dump(mode="json").items()}
    base = json.loads(json.dumps(knobs))
    if name is None:
        name = f"tune-{hashlib.sha256(json.dumps(base, sort_keys=True).encode()).hexdigest()[:7]}"
    with filelock.FileLock(lock_file(root, "studies")):
        study = optuna.create_study(
            storage=_open_storage(root, url),
            sampler=SamplerPerTrial(config.seed),
            pruner=_pruner(config),
            study_name=name,
            direction="maximize" if config.tune.objective == "validation_accuracy" else "minimize",
            load_if_exists=True,
        )
        if "base" not in study.user_attrs:
            study.set_user_attr("key", uuid.uuid4().hex)
            if holds(config):
                flat = flatten(config)
                present = {each.knob: stored(each, flat[each.knob]) for each in config.tune.space}
                study.enqueue_trial(present, user_attrs={"present": True}, skip_if_exists=True)
            study.set_user_attr("base", base)  # last: all before is done again where it was interrupted
    begun = study.user_attrs["base"]
    differing = [
        f"{key}={json.dumps(base.get(key))} instead of {json.dumps(begun.get(key))}"
        for key in sorted({*base, *begun})
        if base.get(key) != begun.get(key)
    ]
    if differing:
        raise InputError(
            f"study {name} was begun with other settings than params.yaml has now: {'; '.join(differing)}; go back to "
            "those, or begin another study with --study"
        )
    return study


def _open_storage(root: Path, url: str | None) -> RDBStorage:
    url = url or f"sqlite:///{state_folder(root) / 'studies.db'}"
    options = {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {"pool_pre_ping": True}
    try:
        return RDBStorage(
            url,
            options,
            heartbeat_interval=HEARTBEAT_S,
            grace_period=GRACE_S,
            heartbeat_stale_trial_callback=run_again,
        )
    except RuntimeError:  # of Optuna, which looks at a table that MLflow has under the same name
        raise InputError(
            "the study's database holds tables of another program, such as MLflow, or of another version of Optuna; "
            "give studies a database of their own by --storage, on the same server if you like"
        ) from None
    except (sqlalchemy.exc.SQLAlchemyError, ImportError) as error:
        # Its text could hold the URL, and that a password.
        reason = "its driver is not installed" if isinstance(error, ImportError) else type(error).__name__
        if isinstance(error, sqlalchemy.exc.DBAPIError):
            reason = one_line(error.orig)
        raise InputError(
            f"the study's database cannot be opened: {reason}; --storage takes sqlite:////ABSOLUTE/FILE.db, "
            "postgresql+psycopg://USER:PASSWORD@HOST/NAME or another URL of SQLAlchemy"
        ) from None


def _pruner(config: Config) -> optuna.pruners.BasePruner:
    if config.tune.pruner == "none":
        return optuna.pruners.NopPruner()
    # Five complete trials make the first median; over its first epochs a training tells little.
    return optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=config.train.epochs // 4)


class SamplerPerTrial(BaseSampler):
    """TPE, seeded anew for each trial: one worker's study comes out the same, also where it was interrupted.

    Parameters
    ----------
    seed : int
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def _of(self, study: optuna.Study, trial: FrozenTrial, purpose: str) -> TPESampler:
        # Not its number, which a trial that is run again does not keep.
        place = len(standing_trials(study.get_trials(deepcopy=False), trial.number))
        seed = int(generator(self.seed, "tune", place, purpose).integers(2**32))
        return TPESampler(seed=seed, multivariate=True, constant_liar=True)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Knobs that are drawn together."""
        return self._of(study, trial, "relative").infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Draw them."""
        return self._of(study, trial, "relative").sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Draw one alone, as all are in the first trials."""
        return self._of(study, trial, param_name).sample_independent(study, trial, param_name, param_distribution)


def finished_trials(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Trials that count. One that failed without an error was lost with its worker, and another stands for it."""
    return [
        trial
        for trial in trials
        if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)
        or (trial.state == TrialState.FAIL and "error" in trial.user_attrs)
    ]


def standing_trials(trials: Sequence[FrozenTrial], before: int) -> list[FrozenTrial]:
    """Trials below a number that count or will."""
    return [
        trial
        for trial in trials
        if trial.number < before and (trial.state != TrialState.FAIL or "error" in trial.user_attrs)
    ]


def run_again(study: optuna.Study, trial: FrozenTrial) -> None:
    """Queue the values of a trial that was lost with its worker."""
    trial.user_attrs = {key: value for key, value in trial.user_attrs.items() if key == "present"}
    RetryHeartbeatStaleTrialCallback()(study, trial)


def best_first(study: optuna.Study, objective: str) -> list[FrozenTrial]:
    """Complete trials; of equal ones the earlier comes first."""
    sign = -1 if objective == "validation_accuracy" else 1
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return sorted(complete, key=lambda trial: (sign * (trial.value or 0.0), trial.number))


def knobs_of(config: Config, trial: FrozenTrial) -> dict[str, Any]:
    """What a trial gave the knobs that are searched."""
    return {each.knob: value_of(each, trial.params[each.knob]) for each in config.tune.space}


def trial_line(config: Config, trial: FrozenTrial) -> str:
    """A finished trial for the eye: its number, state, value, knobs, time and, where it failed, why."""
    value = f"{trial.value:.4f}" if trial.state == TrialState.COMPLETE else ""
    known = {
        each.knob: value_of(each, trial.params[each.knob]) for each in config.tune.space if each.knob in trial.params
    }
    cells = [f"trial {trial.number:>3}", f"{STATES[trial.state]:8}", value]
    cells.append(" ".join(f"{key}={json.dumps(knob)}" for key, knob in known.items()))
    cells += [
        format_seconds(trial.duration.total_seconds()) if trial.duration else "",
        trial.user_attrs.get("error", ""),
    ]
    return "  ".join(cell for cell in cells if cell)
