"""A worker runs trials in its own process until the study has enough.

What a killed worker had in hand is noticed (on the same machine by a lock that it no longer holds, elsewhere by its
missing heartbeat) and run again with the same values.
"""

from __future__ import annotations

import logging
import shutil
import statistics
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import fail_stale_trials
from optuna.trial import FrozenTrial, TrialState

from adaspec.config import Config
from adaspec.config.resolve import resolve
from adaspec.errors import InputError
from adaspec.experiments.repository import reproduce
from adaspec.experiments.tuning.presence import Stopped, has_ended, presence, stopped_by_signals
from adaspec.experiments.tuning.report import Report, counted_value
from adaspec.experiments.tuning.space import suggest, with_knobs
from adaspec.experiments.tuning.study import (
    GRACE_S,
    STATES,
    best_first,
    finished_trials,
    knobs_of,
    run_again,
    standing_trials,
    trial_line,
)
from adaspec.features.representation import feature_contract
from adaspec.features.store import FeatureStore
from adaspec.runtime.text import one_line
from adaspec.runtime.workspace import lock_file, only_one, state_folder
from adaspec.tables import read_clips, read_folds, training_rows
from adaspec.tables.stored import data_digest
from adaspec.tracking import TRACKERS
from adaspec.training.crossvalidate import check_training
from adaspec.training.fit import fit_fold
from adaspec.training.spectrograms import cache_spectrograms

__all__ = ["update_data", "work"]

log = logging.getLogger(__name__)

CLIPS, FOLDS, FEATURES = Path("data/clips.csv"), Path("data/folds.csv"), Path("data/features")
SPEAKERS = Path("data/speakers")
POLL_S = 1.0


class SurplusError(Exception):
    """Another worker has begun the last trial that was wanted."""


def update_data(root: Path) -> None:
    """Bring what trials share up to date, one worker at a time: DVC fails where another holds its lock."""
    with only_one(lock_file(root, "tune-data")):
        try:
            reproduce("features", "embed")
        except InputError as error:
            raise InputError(f"{error}; no trial was begun") from None


def work(study: optuna.Study, config: Config, root: Path, n_trials: int) -> None:
    """Run trials until the study has `n_trials`, those of other workers included.

    Raises
    ------
    SystemExit
        SIGINT or SIGTERM came; the trial in hand is queued again.
    """
    try:
        with presence(state_folder(root) / "tune") as folder, stopped_by_signals():
            Worker(study, config, root, folder).work(n_trials)
    except Stopped:
        log.info("stopped; the same command goes on with study %s", study.study_name)
        raise SystemExit(130) from None


class Worker:
    """Runs trials of a study, one after another.

    Parameters
    ----------
    study : Study
    config : Config
        What all trials share.
    root : Path
        Repository.
    folder : Path
        For checkpoints of the trial in hand. Others see by the lock in it whether this worker lives.
    """

    def __init__(self, study: optuna.Study, config: Config, root: Path, folder: Path) -> None:
        self.study, self.config, self.folder = study, config, folder
        self.objective = config.tune.objective
        self.tables = CLIPS.read_bytes(), FOLDS.read_bytes()
        self.clips = read_clips(CLIPS)
        folds = read_folds(FOLDS)
        digest = data_digest(self.clips, folds).hex()
        if study.user_attrs.get("data", digest) != digest:
            raise InputError(
                f"study {study.study_name} was begun with other clips or folds than {CLIPS} and {FOLDS} list now; "
                "begin another one with --study"
            )
        study.set_user_attr("data", digest)
        # The test clips leave here, before anything is read of them.
        rows = training_rows(self.clips, folds)
        self.rows = {
            int(fold): rows[(rows["fold"] == fold) & (rows["role"] != "test")].drop(columns="fold")
            for fold in sorted(rows["fold"].unique())
        }
        unvalidated = [str(fold) for fold, group in self.rows.items() if not (group["role"] == "validation").any()]
        if unvalidated:
            raise InputError(
                f"fold {', '.join(unvalidated)} has no validation clips, by which trials are compared; set "
                "split.validation_fraction above 0, such as 0.1"
            )
        self.labels = sorted(self.clips["label"].unique())
        self.record = TRACKERS[config.tracking.tracker].study(root, config, study.study_name, study.user_attrs["key"])
        self.unclaimed: dict[int, float] = {}  # running trial that names no worker -> since when
        self.buried: set[int] = set()
        self.n_trials, self.number = 0, -1  # of the study; of the trial in hand
        self.knobs: dict[str, Any] = {}

    def work(self, n_trials: int) -> None:
        """Run trials until the study has `n_trials`, those of other workers included."""
        self.n_trials, waits = n_trials, False
        while len(finished_trials(trials := self._look_after_others())) < n_trials:
            if len(finished_trials(trials)) + sum(trial.state == TrialState.RUNNING for trial in trials) < n_trials:
                self._check_data()
                self._run_one()
            else:
                if not waits:
                    log.info("waiting for the last trials, which other workers have in hand")
                waits = True
                time.sleep(POLL_S)
        self._conclude(finished=True)

    def _conclude(self, finished: bool) -> None:
        complete = best_first(self.study, self.objective)
        best = [(trial.number, trial.value or 0.0, knobs_of(self.config, trial)) for trial in complete[:1]]
        self.record.conclude(finished, *best)

    def _look_after_others(self) -> list[FrozenTrial]:
        """All trials, after those of dead workers were queued again."""
        fail_stale_trials(self.study)
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if self._is_forsaken(trial):
                self._give_up(trial.number)
        for folder in self.folder.parent.iterdir():
            if not folder.name.startswith(".") and folder != self.folder and has_ended(folder):
                shutil.rmtree(folder, ignore_errors=True)
        trials = self.study.get_trials(deepcopy=False)
        for trial in trials:
            if trial.state == TrialState.FAIL and "error" not in trial.user_attrs and trial.number not in self.buried:
                self.buried.add(trial.number)
                self.record.end_trial(trial.number, "lost")
        return trials

    def _is_forsaken(self, trial: FrozenTrial) -> bool:
        worker = trial.user_attrs.get("worker")
        if worker is None:  # killed before it could say so
            return time.monotonic() - self.unclaimed.setdefault(trial.number, time.monotonic()) > GRACE_S
        return has_ended(self.folder.parent / worker)

    def _give_up(self, number: int) -> None:
        try:
            trial = self.study.tell(number, state=TrialState.FAIL)
        except (ValueError, optuna.exceptions.UpdateFinishedTrialError):
            return  # another worker was faster
        run_again(self.study, trial)

    def _check_data(self) -> None:
        """End the worker, rather than trial after trial, where somebody has changed features or folds meanwhile."""
        try:
            same = (CLIPS.read_bytes(), FOLDS.read_bytes()) == self.tables
            FeatureStore(FEATURES, feature_contract(resolve(self.config, self.clips)))
        except (OSError, InputError):
            same = False
        if not same:
            raise InputError(
                f"{CLIPS.parent} was changed while trials ran; 'adaspec tune' goes on when params.yaml is as before"
            )

    def _run_one(self) -> None:
        self.knobs = {}
        try:
            self.study.optimize(self._run, n_trials=1, catch=(Exception,))
        except Stopped:
            with suppress(Exception):
                self._give_up(self.number)
                self.record.end_trial(self.number, "lost")
                self._conclude(finished=False)
            raise
        except ValueError as error:
            if "Cannot tell a" not in str(error):
                raise
            log.info("another worker took trial %s for lost, and it is run again", self.number)
            return
        self._tell(self.study.get_trials(deepcopy=False)[self.number])

    def _tell(self, trial: FrozenTrial) -> None:
        if trial.state == TrialState.FAIL and "error" not in trial.user_attrs:
            return  # superfluous
        told, value = trial.user_attrs.get("error", ""), trial.value if trial.state == TrialState.COMPLETE else None
        log.info("%s", trial_line(self.config, trial))
        self.record.end_trial(trial.number, STATES[trial.state], value, told)

    def _run(self, trial: optuna.Trial) -> float:
        self.number = trial.number
        # Before Optuna's thread does: what names its worker and has no heartbeat would never be taken for lost.
        trial.storage.record_heartbeat(trial._trial_id)  # type: ignore[attr-defined]
        trial.set_user_attr("worker", self.folder.name)
        if len(standing_trials(self.study.get_trials(deepcopy=False), trial.number)) >= self.n_trials:
            raise SurplusError
        self.knobs = {searched.knob: suggest(trial, searched) for searched in self.config.tune.space}
        self.record.begin_trial(trial.number, self.knobs)
        try:
            return self._train(trial, self.knobs)
        except optuna.TrialPruned:
            raise
        except Exception as error:
            reason = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
            trial.set_user_attr("error", one_line(reason, 1000))
            raise

    def _train(self, trial: optuna.Trial, knobs: dict[str, Any]) -> float:
        """Mean over folds of the objective at the epoch that counts."""
        config = resolve(with_knobs(self.config, knobs), self.clips)
        check_training(config, self.labels, self.rows)
        finals: list[float] = []
        with tempfile.TemporaryDirectory(dir=self.folder, ignore_cleanup_errors=True) as scratch:
            spectrograms = cache_spectrograms(config, self.labels, self.rows, FEATURES, Path(scratch))
            for fold, rows in self.rows.items():
                folder = Path(scratch) / f"fold-{fold}"
                finished = folder / "finished"
                report = Report(
                    trial, self.record, self.objective, finals, self._first_step(len(finals)), len(self.rows)
                )
                task = (fold, rows, self.labels, config, FEATURES, folder, finished)
                kept = spectrograms.get(fold)
                fit_fold(*task, spectrograms=kept, speakers=SPEAKERS / f"fold-{fold}", callbacks=[report])
                finals.append(counted_value(finished, config))
        return statistics.fmean(finals)

    def _first_step(self, n_done: int) -> int:
        """Epochs before this fold, as if all had trained as long as any trial may: trials are compared step by step."""
        longest: list[Any] = [self.config.train.epochs]
        for searched in self.config.tune.space:
            if searched.knob == "train.epochs":
                longest += searched.choices or [searched.high]
        return n_done * max(longest)
