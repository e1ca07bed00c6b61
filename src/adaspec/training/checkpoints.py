"""Checkpoints that are complete or absent, and never trusted unseen: each begins with a digest of the rest."""

from __future__ import annotations

import hashlib
import io
import logging
import math
import os
import pickle
import time
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.fabric.plugins import CheckpointIO
from lightning.pytorch.callbacks import ModelCheckpoint

from adaspec.models.history import HISTORY
from adaspec.runtime.files import complete_file

__all__ = ["SUFFIX", "SaveBest", "SaveLast", "SealedFiles", "drop_damaged", "read_checkpoint"]

SUFFIX = ".ckpt"
N_DIGEST = hashlib.sha256().digest_size

log = logging.getLogger(__name__)


class SealedFiles(CheckpointIO):
    """How Lightning keeps checkpoints: written beside their target, synced, and renamed.

    Lightning's own way writes them to TMPDIR and copies them from there, so that a kill leaves half of one, and reads
    whatever it finds.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        with complete_file(Path(path)) as partial, partial.open("wb") as file:
            file.write(hashlib.sha256(buffer.getbuffer()).digest())
            file.write(buffer.getbuffer())
            file.flush()
            os.fsync(file.fileno())

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = True
    ) -> dict[str, Any]:
        return read_checkpoint(Path(path))

    def remove_checkpoint(self, path: str | Path) -> None:
        Path(path).unlink(missing_ok=True)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Content of a checkpoint.

    Raises
    ------
    ValueError
        It is not as it was written, or holds more than tensors and plain values.
    """
    content = path.read_bytes()
    if hashlib.sha256(content[N_DIGEST:]).digest() != content[:N_DIGEST]:
        raise ValueError("its digest is not that of its content")
    try:
        checkpoint: dict[str, Any] = torch.load(io.BytesIO(content[N_DIGEST:]), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise ValueError(f"it is no checkpoint of PyTorch ({type(error).__name__})") from None
    return checkpoint


def drop_damaged(folder: Path) -> None:
    """Forget what a fold has learned where one of its checkpoints cannot be trusted; it then begins anew."""
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            read_checkpoint(path)
        except (OSError, ValueError) as error:
            log.warning("%s is damaged (%s); the fold is trained from its beginning", path, error)
            for each in [*folder.glob(f"*{SUFFIX}"), folder / HISTORY]:
                each.unlink(missing_ok=True)
            return


class _InFolder(ModelCheckpoint):
    """Finds its files again where the folder has been moved since: Lightning's state names absolute paths."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        moved = state_dict | {"dirpath": self.dirpath}
        for key in ("best_model_path", "kth_best_model_path"):
            moved[key] = self._here(state_dict[key])
        moved["best_k_models"] = {self._here(path): score for path, score in state_dict["best_k_models"].items()}
        super().load_state_dict(moved)

    def _here(self, path: str) -> str:
        return str(Path(str(self.dirpath)) / Path(path).name) if path else path


class SaveBest(_InFolder):
    """Checkpoint of the epoch with the least validation loss so far.

    Parameters
    ----------
    folder : Path
        Gets `name` with `SUFFIX`.
    name : str
    """

    def __init__(self, folder: Path, name: str) -> None:
        super().__init__(folder, name, monitor="validation_loss", enable_version_counter=False)


class SaveLast(_InFolder):
    """Checkpoint at the end of an epoch, unless the one before is too young, and of the last epoch.

    Of short epochs each would cost more than a tenth of the time; going on from an earlier one ends in the same bytes.

    Parameters
    ----------
    folder : Path
        Gets `name` with `SUFFIX`.
    name : str
    interval_s : float
        Least time between two checkpoints.
    """

    def __init__(self, folder: Path, name: str, interval_s: float) -> None:
        super().__init__(folder, name, save_on_train_epoch_end=True, enable_version_counter=False)
        self.interval_s = interval_s
        self.saved_at = -math.inf

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        over = trainer.should_stop or trainer.current_epoch + 1 == trainer.max_epochs
        if over or time.monotonic() >= self.saved_at + self.interval_s:
            super().on_train_epoch_end(trainer, pl_module)
            self.saved_at = time.monotonic()
