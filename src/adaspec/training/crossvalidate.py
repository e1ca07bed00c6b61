"""Train all folds, resumably, and gather their models."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import pandas as pd

from adaspec.config import Config, flatten
from adaspec.engine import folds_at_a_time, load_for_workers, run_tasks
from adaspec.errors import InputError
from adaspec.files import complete_folder, only_one
from adaspec.tables import BONAFIDE, SPOOF
from adaspec.tracking import RunLog
from adaspec.training.digest import training_digest
from adaspec.training.monitor import FoldMonitor

__all__ = ["check_settings", "cross_validate", "labelled_rows"]

FINISHED = "finished"


def cross_validate(
    clips: pd.DataFrame, folds: pd.DataFrame, config: Config, features: Path, models: Path, root: Path
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
        The repository that keeps checkpoints and run ids under `.adaspec`, also when DVC works in a copy of it.

    Raises
    ------
    InputError
        The settings of the front end contradict each other, something is set that is for anti-spoofing alone, or a loss
        is not finite.
    """
    rows = labelled_rows(clips, folds)
    n_parallel = folds_at_a_time(config, rows["fold"].nunique())
    if n_parallel > 1:
        muon = ["timm.optim.muon"] if config.train.optimizer == "muon" else []
        load_for_workers(__name__, "adaspec.training.fit", *muon)  # while this process loads what it needs itself
    labels = sorted(clips["label"].unique())
    check_settings(config, labels)
    digest = training_digest(config, clips, folds)
    checkpoints = root / ".adaspec" / "checkpoints" / digest
    with only_one(root / ".adaspec" / "locks" / f"{digest}.lock"):
        _train_open_folds(rows, labels, config, n_parallel, features, checkpoints, RunLog(root, digest, config, clips))
        with complete_folder(models) as partial:
            for folder in checkpoints.iterdir():
                shutil.copytree(folder / FINISHED, partial / folder.name)
        shutil.rmtree(checkpoints)


def labelled_rows(clips: pd.DataFrame, folds: pd.DataFrame) -> pd.DataFrame:
    """Rows of folds.csv that count, each with the label of its clip."""
    return folds[folds["weight"] > 0].merge(clips[["clip_id", "label"]], on="clip_id")


def check_settings(config: Config, labels: list[str]) -> None:
    """Refuse a resolved configuration that cannot be trained with these labels, before anything is trained.

    Raises
    ------
    InputError
        Settings of front end or backbone contradict each other, or something is set that is for anti-spoofing alone.
    """
    # Imported here: torch takes seconds to load, in which the workers load theirs.
    from adaspec.backbones import check_backbone
    from adaspec.frontends import check_frontend

    check_frontend(config)
    check_backbone(config.backbone)
    _check_labels(config, labels)


def _check_labels(config: Config, labels: list[str]) -> None:
    """Refuse what only bona fide and spoofed speech can be trained with."""
    settings = {"augment.resynthesis": config.augment.resynthesis > 0, "train.loss": config.train.loss == "oc_softmax"}
    if sorted(labels) == [BONAFIDE, SPOOF]:
        return
    for key in (key for key, is_set in settings.items() if is_set):
        raise InputError(
            f"params.yaml {key}={flatten(config)[key]} is for the labels {BONAFIDE} and {SPOOF}, but the clips have "
            f"{', '.join(labels[:5])}{', ...' if len(labels) > 5 else ''}; switch it off"
        )


def _train_open_folds(
    rows: pd.DataFrame,
    labels: list[str],
    config: Config,
    n_parallel: int,
    features: Path,
    checkpoints: Path,
    run: RunLog,
) -> None:
    folders = {fold: checkpoints / f"fold-{fold}" for fold in sorted(rows["fold"].unique())}
    n_begun = sum(folder.exists() for folder in folders.values())
    if n_begun:
        print(f"going on with a training that was interrupted: {n_begun} folds had begun", file=sys.stderr)
    print(f"training {len(folders)} folds, {n_parallel} at a time", file=sys.stderr)
    tasks = (
        (fold, rows[rows["fold"] == fold].drop(columns="fold"), labels, config, features, folder, folder / FINISHED)
        for fold, folder in folders.items()
        if not (folder / FINISHED).exists()
    )
    with run, FoldMonitor(folders, config.train.epochs, run.log_epochs):
        for _ in run_tasks(_fit_fold, tasks, n_parallel):
            pass


def _fit_fold(*task: Any) -> None:
    # Imported in the worker: Lightning takes seconds to load, and this process only watches.
    from adaspec.training.callbacks import StopIfForsaken
    from adaspec.training.fit import fit_fold

    fit_fold(*task, callbacks=[StopIfForsaken()])
