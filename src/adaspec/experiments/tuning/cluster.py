"""Workers of a study on the nodes of a cluster, several at a time."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import optuna

from adaspec.config import Config
from adaspec.experiments.tuning.study import finished_trials, open_study, trial_line
from adaspec.experiments.tuning.worker import work
from adaspec.runtime.engine import Needs, run_tasks, tasks_at_a_time

__all__ = ["work_on_cluster"]

log = logging.getLogger(__name__)

POLL_S = 1.0


def work_on_cluster(study: optuna.Study, config: Config, root: Path, url: str | None, n_trials: int) -> None:
    """Have workers on the cluster run trials until the study has `n_trials`; each is a task of the engine.

    A worker whose node dies is begun anew elsewhere, and what it had in hand is noticed as that of any other worker.

    Parameters
    ----------
    study : Study
    config : Config
    root : Path
        Repository, which all nodes see.
    url : str or None
        Of the study's database, which all nodes reach.
    n_trials : int
    """
    needs = Needs(config.train.threads_per_fold, gpu=config.train.device == "auto")
    n_left = n_trials - len(finished_trials(study.get_trials(deepcopy=False)))
    n_workers = tasks_at_a_time(config.engine, needs, wanted=config.engine.parallel_folds, n_tasks=n_left)
    log.info("%s workers begin on the cluster", n_workers)
    tasks = [(config, root, study.study_name, url, n_trials)] * n_workers
    with _telling(study, config):
        for _ in run_tasks(_work, tasks, config.engine, needs, wanted=n_workers, n_tasks=n_workers):
            pass


def _work(config: Config, root: Path, name: str, url: str | None, n_trials: int) -> None:
    # What a trial computes, such as cached spectrograms, stays in the place on the cluster that its worker has.
    here = config.engine.model_copy(update={"backend": "local", "workers": 1})
    config = config.model_copy(update={"engine": here})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        work(open_study(config, root, name, url), config, root, n_trials)


@contextmanager
def _telling(study: optuna.Study, config: Config) -> Iterator[None]:
    """Tell trials as they end, which the workers say where nobody reads it."""
    told, over = {trial.number for trial in finished_trials(study.get_trials(deepcopy=False))}, threading.Event()

    def tell() -> None:
        for trial in finished_trials(study.get_trials(deepcopy=False)):
            if trial.number not in told:
                told.add(trial.number)
                log.info("%s", trial_line(config, trial))

    def follow() -> None:
        while not over.wait(POLL_S):
            with suppress(Exception):  # of the database, which the workers have to do with
                tell()

    thread = threading.Thread(target=follow, name="trials", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        tell()
