"""Train all folds, resumably, and gather their models."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from adaspec.config import Config
from adaspec.models.heard import check_unheard, read_heard, write_heard
from adaspec.runtime.engine import Needs, load_for_workers, run_tasks, tasks_at_a_time
from adaspec.runtime.files import DIGESTS, complete_folder, is_sealed
from adaspec.runtime.workspace import checkpoint_folder, lock_file, only_one
from adaspec.tables import training_rows
from adaspec.tracking.contract import RunTracker
from adaspec.tracking.digest import training_digest
from adaspec.training.monitor import FoldMonitor

__all__ = ["check_training", "cross_validate"]

log = logging.getLogger(__name__)

FINISHED = "finished"


def cross_validate(
    clips: pd.DataFrame,
    folds: pd.DataFrame,
    config: Config,
    features: Path,
    models: Path,
    root: Path,
    open_run: Callable[[str], RunTracker],
    speakers: Path | None = None,
) -> None:
    """Train every fold.

    Parameters
    ----------
    clips, folds : DataFrame
        clips.csv and folds.csv.
    config : Config
        Resolved.
    features : Path
        Feature store.
    models : Path
        Gets one folder `fold-K` per fold, all or none.
    root : Path
        The repository that keeps checkpoints under `.adaspec`, also when DVC works in a copy of it.
    open_run : callable
        Opens the record of the training with the digest that it is given.
    speakers : Path, optional
        Output of the stage `embed`, for models that take the claimed speaker's vector.

    Raises
    ------
    InputError
        Settings of the model contradict each other, something is set that the task has not, models to start from do
        not fit or were trained on what they would be tested with, or a loss is not finite.
    """
    rows = training_rows(clips, folds)
    n_parallel = tasks_at_a_time(
        config.engine, _needs(config), wanted=config.engine.parallel_folds, n_tasks=rows["fold"].nunique()
    )
    if n_parallel > 1 and config.engine.backend == "local":
        muon = ["timm.optim.muon"] if config.train.optimizer.name == "muon" else []
        load_for_workers(__name__, "adaspec.training.fit", *muon)  # while this process loads what it needs itself
    labels = sorted(clips["label"].unique())
    check_training(config, labels, rows["fold"].unique())
    before = None
    if config.train.start is not None:
        from adaspec.models.start import start_folder  # here, as torch takes seconds to load

        before = start_folder(config.train.start)
        for fold, digests in _digests(clips, folds, tested=True).items():
            check_unheard(before / f"fold-{fold}", fold, digests)
    digest = training_digest(config, clips, folds)
    checkpoints = checkpoint_folder(root, digest)
    with only_one(lock_file(root, digest)):
        # Imported here: torch takes seconds to load.
        from adaspec.training.spectrograms import cache_spectrograms

        spectrograms = cache_spectrograms(config, labels, sorted(rows["fold"].unique()), features, checkpoints)
        _train_open_folds(
            rows, labels, config, n_parallel, features, checkpoints, open_run(digest), spectrograms, speakers
        )
        with complete_folder(models) as partial:
            for fold, digests in _digests(clips, folds, tested=False).items():
                kept = checkpoints / f"fold-{fold}" / FINISHED
                shutil.copytree(kept, partial / f"fold-{fold}", ignore=shutil.ignore_patterns(DIGESTS))
                earlier = None if before is None else read_heard(before / f"fold-{fold}")
                write_heard(partial / f"fold-{fold}", digests, earlier or ())
        # Network file systems keep a file that is still mapped under another name, and its folder with it.
        shutil.rmtree(checkpoints, ignore_errors=True)


def check_training(config: Config, labels: list[str], folds: Iterable[int]) -> None:
    """Refuse a resolved configuration that cannot be trained with these labels, before anything is trained.

    Parameters
    ----------
    config : Config
        Resolved.
    labels : list of str
        All classes.
    folds : iterable of int
        Those that are to be trained.

    Raises
    ------
    InputError
        Settings of front end or backbone contradict each other, something is set that the task has not, or models to
        start from do not fit.
    """
    # Imported here: torch takes seconds to load, in which the workers load theirs.
    from adaspec.models.check import check_model
    from adaspec.models.start import check_start
    from adaspec.tasks import build_task

    check_model(config)
    check_start(config, labels, folds)
    build_task(labels, config)


def _digests(clips: pd.DataFrame, folds: pd.DataFrame, *, tested: bool) -> dict[Any, list[str]]:
    """Digests of the recordings that each fold is tested with, or of those that it hears before."""
    rows = folds[(folds["role"] == "test") == tested].merge(clips[["clip_id", "digest"]], on="clip_id")
    return {fold: own["digest"].tolist() for fold, own in rows.groupby("fold")}


def _train_open_folds(
    rows: pd.DataFrame,
    labels: list[str],
    config: Config,
    n_parallel: int,
    features: Path,
    checkpoints: Path,
    run: RunTracker,
    spectrograms: Mapping[int, Path],
    speakers: Path | None,
) -> None:
    folders = {fold: checkpoints / f"fold-{fold}" for fold in sorted(rows["fold"].unique())}
    n_begun = sum(folder.exists() for folder in folders.values())
    if n_begun:
        log.info("going on with a training that was interrupted: %s folds had begun", n_begun)
    for fold, folder in folders.items():
        if (folder / FINISHED).exists() and not is_sealed(folder / FINISHED):
            log.warning("%s is damaged; fold %s is trained again", folder / FINISHED, fold)
            shutil.rmtree(folder)
    log.info("training %s folds, %s at a time", len(folders), n_parallel)
    tasks = (
        (
            spectrograms.get(fold),
            None if speakers is None else speakers / f"fold-{fold}",
            fold,
            rows[rows["fold"] == fold].drop(columns="fold"),
            labels,
            config,
            features,
            folder,
            folder / FINISHED,
        )
        for fold, folder in folders.items()
        if not (folder / FINISHED).exists()
    )
    with run, FoldMonitor(folders, config.train.epochs, run.log_epochs):
        wanted, n_folds = config.engine.parallel_folds, len(folders)
        for _ in run_tasks(_fit_fold, tasks, config.engine, _needs(config), wanted=wanted, n_tasks=n_folds):
            pass


def _needs(config: Config) -> Needs:
    return Needs(config.train.threads_per_fold, gpu=config.train.device == "auto")


def _fit_fold(spectrograms: Path | None, speakers: Path | None, *task: Any) -> None:
    from adaspec.training.fit import fit_fold  # in the worker: Lightning takes seconds to load, this process watches

    *_, folder, finished = task
    folder.mkdir(parents=True, exist_ok=True)
    # A node that a cluster takes for dead may still work for a while when the fold has begun again elsewhere.
    with only_one(folder / "lock"):
        if not finished.exists():
            fit_fold(*task, spectrograms=spectrograms, speakers=speakers)
