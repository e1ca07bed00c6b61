"""How a trial stands: told after each epoch to Optuna, which may end it, and to the tracker."""

from __future__ import annotations

import statistics
from pathlib import Path

import lightning.pytorch as pl
import optuna

from adaspec.config import Config
from adaspec.models.history import read_history
from adaspec.tracking import StudyTracker
from adaspec.training.callbacks import validated

__all__ = ["Report", "counted_value"]


class Report(pl.Callback):
    """Tell Optuna and the tracker after each epoch how a trial stands, and end it where it is hopeless.

    Parameters
    ----------
    trial : Trial
    record : StudyTracker
    objective : str
        Metric of the validation clips.
    finals : list of float
        Of the folds that are done.
    first_step : int
        Steps before this fold.
    n_folds : int
    """

    def __init__(
        self,
        trial: optuna.Trial,
        record: StudyTracker,
        objective: str,
        finals: list[float],
        first_step: int,
        n_folds: int,
    ) -> None:
        self.trial, self.record, self.objective = trial, record, objective
        self.finals, self.first_step, self.n_folds = finals, first_step, n_folds

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Report the mean over the folds so far, where the epoch was validated."""
        if not validated(trainer):
            return
        value = statistics.fmean([*self.finals, float(trainer.callback_metrics[self.objective])])
        epoch = trainer.current_epoch + 1
        self.trial.report(value, self.first_step + epoch)
        self.record.log_epoch(self.trial.number, self.first_step + epoch, value)
        is_last = len(self.finals) + 1 == self.n_folds and epoch == trainer.max_epochs
        if not is_last and self.trial.should_prune():
            raise optuna.TrialPruned


def counted_value(folder: Path, config: Config) -> float:
    """The objective of a trained fold at the epoch whose weights are kept.

    Parameters
    ----------
    folder : Path
        With the history that `fit_fold` leaves.
    config : Config
    """
    rows = read_history(folder)
    row = rows[-1]
    if config.train.early_stopping_patience is not None:
        row = min(rows, key=lambda row: row["validation_loss"])
    return row[config.tune.objective]
