"""Fit one fold, from wherever an earlier attempt was interrupted."""

from __future__ import annotations

import copy
import logging
import shutil
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import lightning.pytorch as pl
import pandas as pd
import torch
from torch import Tensor

from adaspec.config import Config, TrainConfig
from adaspec.errors import InputError
from adaspec.features.representation import (
    Decoder,
    LogSpectrogram,
    ReadySpectrogram,
    feature_contract,
)
from adaspec.features.store import FeatureStore
from adaspec.features.windows import EvenWindows
from adaspec.models.classifier import AudioClassifier
from adaspec.models.history import HISTORY
from adaspec.models.saved import save
from adaspec.models.start import start_from
from adaspec.runtime.engine import compute_alike, keep_freed_memory, torch_device
from adaspec.runtime.files import complete_folder, seal
from adaspec.runtime.seeding import torch_seed
from adaspec.speakers.enrolment import claimed_in_training
from adaspec.speakers.vectors import ENROLLED, VECTORS, read_vectors
from adaspec.tables.balance import class_weights
from adaspec.tasks import build_task
from adaspec.training.augment import longest_window
from adaspec.training.augment.copies import Copies, kept_copies
from adaspec.training.batches import train_batches
from adaspec.training.callbacks import AverageWeights, History, StopEarly
from adaspec.training.checkpoints import SUFFIX, SaveBest, SaveLast, SealedFiles, drop_damaged, read_checkpoint
from adaspec.training.module import FoldModule
from adaspec.training.spectrograms import WindowsOnDisk, cached_contract

__all__ = ["fit_fold", "lightning_precision"]

LAST, BEST, COPIES = "last", "best", "copies"


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
    spectrograms: Path | None = None,
    speakers: Path | None = None,
    callbacks: Sequence[pl.Callback] = (),
) -> None:
    """Train one fold.

    Parameters
    ----------
    fold : int
    rows : DataFrame
        `clip_id`, `label`, `role`, `weight` of this fold, and `speaker` where the data set tells it.
    labels : list of str
        All classes.
    config : Config
        Resolved.
    features : Path
        Feature store.
    folder : Path
        Keeps the checkpoints; with those of an interrupted attempt, training goes on after its last epoch. Where one
        of them is damaged, it begins anew.
    finished : Path
        Gets the model, the history and their digests, all or nothing.
    spectrograms : Path, optional
        Store of this fold's from `cache_spectrograms`; where `frontend.cached` is off, there is none.
    speakers : Path, optional
        Output of the stage `embed` for this fold, for a model that takes the claimed speaker's vector.
    callbacks : sequence of Callback
        Further ones, called after the history is written and before a checkpoint is.
    """
    _quiet_lightning()
    keep_freed_memory()
    compute_alike(config.train.threads_per_fold)
    folder.mkdir(parents=True, exist_ok=True)
    drop_damaged(folder)
    store = FeatureStore(features, feature_contract(config))
    train, validation = (rows[rows["role"] == role] for role in ("train", "validation"))
    claims, validation_claims = (_claims(own, speakers, config) for own in (train, validation))

    torch.manual_seed(torch_seed(config.seed, fold, "weights"))
    model = AudioClassifier(config, labels, n_claimed=claims.shape[1], pretrained=config.train.start is None)
    if config.train.start is not None:
        start_from(model, config.train.start, fold)
    model.to(torch_device(config.train.device))
    model.backbone.to(memory_format=torch.channels_last)
    if config.train.compile:
        model.backbone.compile()
    counts = train["label"].value_counts().reindex(labels)
    balanced = class_weights(counts) if config.split.balance == "class_weights" else counts * 0 + 1.0
    targets = torch.tensor([labels.index(label) for label in validation["label"]], dtype=torch.int64)
    read = _training_store(store, spectrograms, model, config)
    cpu = store.representation if read is store else LogSpectrogram(copy.deepcopy(model.frontend).cpu())
    copies = kept_copies(store, read, cpu, train["clip_id"], config, fold, folder / COPIES)
    training_data = _training_data(read, train, model, config, fold, copies=copies, claims=claims)
    validation_data = _validation_data(store, validation, model, config, folder)
    module = FoldModule(
        model,
        build_task(labels, config),
        config,
        fold,
        torch.tensor(balanced.to_numpy(), dtype=torch.float32),
        targets,
        validation_claims=validation_claims,
        representation=read.representation,
        validation_representation=validation_data.representation,
    )

    all_callbacks: list[pl.Callback] = [History(folder), *callbacks]
    if config.train.ema_decay is not None:
        all_callbacks.append(AverageWeights(config.train.ema_decay))
    if config.train.early_stopping_patience is not None:
        all_callbacks += [StopEarly("validation_loss", patience=config.train.early_stopping_patience)]
        all_callbacks.append(SaveBest(folder, BEST))
    all_callbacks.append(SaveLast(folder, LAST, config.engine.checkpoint_interval_s))

    trainer = pl.Trainer(
        max_epochs=config.train.epochs,
        check_val_every_n_epoch=config.train.validation_interval,
        accelerator=torch_device(config.train.device),
        devices=1,
        precision=lightning_precision(config.train),
        callbacks=all_callbacks,
        plugins=[SealedFiles()],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    last = folder / f"{LAST}{SUFFIX}"
    try:
        trainer.fit(
            module,
            training_data,
            validation_data.batches if len(validation) else None,
            ckpt_path=last if last.exists() else None,
            weights_only=True,
        )
    except SystemExit:  # which Lightning makes of it
        raise KeyboardInterrupt from None
    # From the file, which holds the averaged weights: where the last attempt failed at saving, nothing was trained now.
    kept = LAST if config.train.early_stopping_patience is None else BEST
    module.load_state_dict(read_checkpoint(folder / f"{kept}{SUFFIX}")["state_dict"])
    with complete_folder(finished) as partial:
        save(model, partial)
        shutil.copyfile(folder / HISTORY, partial / HISTORY)
        seal(partial)
    for checkpoint_file in folder.glob(f"*{SUFFIX}"):
        checkpoint_file.unlink()
    shutil.rmtree(folder / COPIES, ignore_errors=True)


def _training_store(
    store: FeatureStore, spectrograms: Path | None, model: AudioClassifier, config: Config
) -> FeatureStore:
    """What training reads: spectrograms where these were computed already, else what the stage `features` stored."""
    if config.frontend.caches != (spectrograms is not None):
        raise ValueError(f"frontend.cached={config.frontend.cached}, but the store of spectrograms is {spectrograms}")
    if spectrograms is None:
        return store
    return FeatureStore(spectrograms, cached_contract(config), LogSpectrogram(model.frontend))


def _training_data(
    store: FeatureStore,
    train: pd.DataFrame,
    model: AudioClassifier,
    config: Config,
    fold: int,
    *,
    copies: Copies | None = None,
    claims: Tensor | None = None,
) -> Iterable[tuple[Tensor, ...]]:
    """Random windows; longer ones where they may be played faster."""
    return train_batches(
        store,
        train,
        model.labels,
        longest_window(store.representation.length(model.n_samples), config.augment),
        config.features.window.pad,
        config.train.batch_size,
        (config.seed, fold),
        copies=copies,
        paired=config.augment.attributes.consistency > 0,
        even_labels=config.split.balance == "weighted_sampler",
        claims=claims,
    )


class _Windows(NamedTuple):
    """Batches, and what they hold."""

    batches: Iterable[tuple[Tensor, ...]]
    representation: Decoder


def _validation_data(
    store: FeatureStore, validation: pd.DataFrame, model: AudioClassifier, config: Config, folder: Path
) -> _Windows:
    """Windows side by side, or their spectrograms where these are fixed: computed once, and left on the disk."""
    n_window, pad = store.representation.length(model.n_samples), config.features.window.pad
    windows = EvenWindows(store, list(validation["clip_id"]), n_window, pad, 0.0, 2 * config.train.batch_size)
    if not config.frontend.caches or validation.empty:
        return _Windows(windows, store.representation)
    return _Windows(
        WindowsOnDisk(model, windows, store.representation, folder / "validation.float32"), ReadySpectrogram()
    )


def _claims(rows: pd.DataFrame, speakers: Path | None, config: Config) -> Tensor:
    """Vectors (n_rows, n_claimed) of the speakers whom clips claim to be; of no numbers where the model takes none."""
    if speakers is None or config.backbone.claim == "none" or rows.empty:
        return torch.zeros(len(rows), 0)
    enrolment, vectors = read_vectors(speakers / ENROLLED), read_vectors(speakers / VECTORS)
    return torch.from_numpy(claimed_in_training(rows, enrolment, vectors))


def _quiet_lightning() -> None:
    """Leave the terminal to the progress lines: Lightning greets, and warns about a loader that reads mapped memory."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
