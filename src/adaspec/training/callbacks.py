"""Lightning callbacks: averaged weights, history, early stopping."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import EarlyStopping, WeightAveraging
from torch import Tensor

from adaspec.errors import InputError
from adaspec.models.history import write_history

__all__ = ["AverageWeights", "History", "StopEarly", "validated"]


class AverageWeights(WeightAveraging):
    """Exponential moving average of weights and buffers; it validates, and it is what training ends with.

    Over the first steps the decay is (1 + n) / (10 + n), so that the average leaves the initial weights behind. What
    never changes (a fixed window) stays exactly as it is.

    Parameters
    ----------
    decay : float
        Of the average per step, 0 <= decay < 1.
    """

    def __init__(self, decay: float) -> None:
        @torch.no_grad()
        def move(averages: list[Tensor], currents: list[Tensor], _: Tensor) -> None:
            if not averages[0].is_floating_point():  # counts of batches
                torch._foreach_copy_(averages, currents)
                return
            # Not the count that is passed in: it lies beside the weights, and to read it would be to wait for a GPU.
            assert self._average_model is not None
            n = int(self._average_model.n_averaged)
            decay_now = min((1 + n) / (10 + n), decay)
            torch._foreach_lerp_(averages, currents, 1 - decay_now)

        super().__init__(multi_avg_fn=move)

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        # torch looks at the count of updates before each of them: on a GPU it would wait for the step to be over.
        if self._average_model is not None:
            self._average_model.n_averaged = self._average_model.n_averaged.cpu()


class History(pl.Callback):
    """Write a row per epoch, and refuse to go on from one that is not finite.

    The rows are part of the checkpoint, so that a run that goes on after a break ends with the same file.

    Parameters
    ----------
    folder : Path
        Gets the file of `write_history`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: list[dict[str, float]] = []

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows = state_dict["rows"]

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        losses: list[Tensor] = pl_module.train_losses  # type: ignore[assignment]
        row = {"epoch": trainer.current_epoch + 1, "train_loss": float(torch.stack(losses).mean())}
        if validated(trainer):  # else these are of the last epoch that was
            row |= {name: float(value) for name, value in trainer.callback_metrics.items()}
        infinite = [f"{name}={value}" for name, value in row.items() if not math.isfinite(value)]
        if infinite:
            raise InputError(
                f"training diverged in epoch {trainer.current_epoch + 1} ({', '.join(infinite)}); lower "
                "train.optimizer.learning_rate or augment.gain_db, or compress (frontend.compression.name)"
            )
        row["learning_rate"] = trainer.optimizers[0].param_groups[0]["lr"]
        self.rows.append(row)
        write_history(self.folder, self.rows)


def validated(trainer: pl.Trainer) -> bool:
    """Whether the epoch that ends was validated, if there is anything to validate on."""
    every = trainer.check_val_every_n_epoch
    return every is not None and (trainer.current_epoch + 1) % every == 0


class StopEarly(EarlyStopping):
    """Early stopping that also holds where training goes on from the checkpoint of the epoch it stopped at."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.wait_count >= self.patience:
            trainer.should_stop = True
