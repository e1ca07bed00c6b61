"""Fit one fold, from wherever an earlier attempt was interrupted."""

from __future__ import annotations

import logging
import os
import shutil
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import lightning.pytorch as pl
import pandas as pd
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor
from torch.utils.data import DataLoader

from adaspec.config import Config, TrainConfig
from adaspec.engine import keep_freed_memory, torch_device
from adaspec.errors import InputError
from adaspec.features.store import FeatureStore, feature_contract
from adaspec.files import complete_folder
from adaspec.frontends.stored import to_stored
from adaspec.model import AudioClassifier, save
from adaspec.seeding import torch_seed
from adaspec.splits import class_weights
from adaspec.training.augment import longest_window
from adaspec.training.batches import train_batches
from adaspec.training.callbacks import AverageWeights, History, SaveLast, StopEarly
from adaspec.training.history import HISTORY
from adaspec.training.module import FoldModule
from adaspec.windows import EvenWindows

__all__ = ["fit_fold", "lightning_precision"]

LAST, BEST = "last", "best"


def lightning_precision(train: TrainConfig) -> Literal["32-true", "bf16-mixed"]:
    """Lightning's name of `train.precision`; "auto" is bf16 where GPU or CPU computes it natively.

    On the CPU bf16 is for one thread: with several, oneDNN's gradients of bf16 convolutions hold memory that nothing
    was written to (PyTorch 2.14; 16 channels, 3x3, with AMX), so that training ends in NaN or, worse, does not.

    Raises
    ------
    InputError
        bf16 is asked for on the CPU with several threads.
    """
    gpu, alone = torch_device(train.device) == "cuda", train.threads_per_fold == 1
    if train.precision == "bf16" and not gpu and not alone:
        raise InputError(
            f"train.precision=bf16 with train.threads_per_fold={train.threads_per_fold} gives wrong gradients on the "
            "CPU (a fault of PyTorch's convolutions); set threads_per_fold=1, or precision to auto or 32"
        )
    if train.precision == "auto":
        native = torch.cuda.is_bf16_supported(False) if gpu else alone and torch.cpu._is_avx512_bf16_supported()
        return "bf16-mixed" if native else "32-true"
    return "bf16-mixed" if train.precision == "bf16" else "32-true"


def fit_fold(
    fold: int,
    rows: pd.DataFrame,
    labels: list[str],
    config: Config,
    features: Path,
    folder: Path,
    finished: Path,
    *,
    callbacks: Sequence[pl.Callback] = (),
) -> None:
    """Train one fold.

    Parameters
    ----------
    fold : int
    rows : DataFrame
        `clip_id`, `label`, `role`, `weight` of this fold.
    labels : list of str
        All classes.
    config : Config
        Resolved.
    features : Path
        Feature store.
    folder : Path
        Keeps the checkpoints; with those of an interrupted attempt, training goes on after its last epoch.
    finished : Path
        Gets the model and the history, all or nothing.
    callbacks : sequence of Callback
        Further ones, called after the history is written and before a checkpoint is.
    """
    _quiet_lightning()
    keep_freed_memory()
    torch.set_num_threads(config.train.threads_per_fold)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # else matrix products may round anew each run on a GPU
    torch.use_deterministic_algorithms(True, warn_only=True)
    folder.mkdir(parents=True, exist_ok=True)
    contract = feature_contract(config)
    store = FeatureStore(features, contract)
    train, validation = rows[rows["role"] == "train"], rows[rows["role"] == "validation"]

    torch.manual_seed(torch_seed(config.seed, fold, "weights"))
    model = AudioClassifier(config, labels, pretrained=True).to(torch_device(config.train.device))
    model.backbone.to(memory_format=torch.channels_last)
    if config.train.compile:
        model.backbone.compile()
    counts = train["label"].value_counts().reindex(labels)
    balanced = class_weights(counts) if config.split.balance == "class_weights" else counts * 0 + 1.0
    targets = torch.tensor([labels.index(label) for label in validation["label"]], dtype=torch.int64)
    module = FoldModule(model, config, fold, torch.tensor(balanced.to_numpy(), dtype=torch.float32), targets)

    best = ModelCheckpoint(folder, BEST, monitor="validation_loss", enable_version_counter=False)
    all_callbacks: list[pl.Callback] = [History(folder), *callbacks]
    if config.train.ema_decay is not None:
        all_callbacks.append(AverageWeights(config.train.ema_decay))
    if config.train.early_stopping_patience is not None:
        all_callbacks += [StopEarly("validation_loss", patience=config.train.early_stopping_patience), best]
    all_callbacks.append(SaveLast(folder, LAST, config.engine.checkpoint_interval_s))

    trainer = pl.Trainer(
        max_epochs=config.train.epochs,
        accelerator=torch_device(config.train.device),
        devices=1,
        precision=lightning_precision(config.train),
        callbacks=all_callbacks,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    last = folder / f"{LAST}.ckpt"
    trainer.fit(
        module,
        _train_batches(store, train, model, config, fold),
        _validation_batches(store, validation, model, config) if len(validation) else None,
        ckpt_path=last if last.exists() else None,
        weights_only=True,
    )
    # From the file, which holds the averaged weights: where the last attempt failed at saving, nothing was trained now.
    kept = LAST if config.train.early_stopping_patience is None else BEST
    module.load_state_dict(torch.load(folder / f"{kept}.ckpt", weights_only=True)["state_dict"])
    with complete_folder(finished) as partial:
        save(model, partial)
        shutil.copyfile(folder / HISTORY, partial / HISTORY)
    for checkpoint_file in folder.glob("*.ckpt"):
        checkpoint_file.unlink()


def _window(store: FeatureStore, model: AudioClassifier) -> int:
    """Length of a window in what the store holds."""
    return model.n_samples if store.contract["representation"] == "waveform" else model.n_frames


def _train_batches(
    store: FeatureStore, train: pd.DataFrame, model: AudioClassifier, config: Config, fold: int
) -> DataLoader[tuple[Tensor, Tensor]]:
    """Random windows, of spectrograms where these are fixed and cached; longer ones where they may be played faster."""
    clips = {clip_id: store.tensor(clip_id).to(model.device) for clip_id in train["clip_id"]}
    n_window = _window(store, model)
    if config.frontend.cached:
        clips = {clip_id: to_stored(model.frontend, waveform) for clip_id, waveform in clips.items()}
        n_window = model.n_frames
    n_window = longest_window(n_window, config.augment)
    keys, even_labels = (config.seed, fold), config.split.balance == "weighted_sampler"
    n_clips = config.train.batch_size
    return train_batches(clips, train, model.labels, n_window, config.audio, n_clips, keys, even_labels=even_labels)


def _validation_batches(
    store: FeatureStore, validation: pd.DataFrame, model: AudioClassifier, config: Config
) -> Iterable[tuple[Tensor, Tensor]]:
    """Windows side by side, or their energies where these are fixed and cached."""
    batch_size = 2 * config.train.batch_size
    n_window = _window(store, model)
    windows = EvenWindows(store, list(validation["clip_id"]), n_window, config.audio.pad, 0.0, batch_size)
    if not config.frontend.cached:
        return windows
    energies = [(positions, model.energies(model.input_of(stored.to(model.device)))) for positions, stored in windows]
    return DataLoader(energies, batch_size=None)  # type: ignore[arg-type]


def _quiet_lightning() -> None:
    """Leave the terminal to the progress lines: Lightning greets, and warns about a loader that reads mapped memory."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
