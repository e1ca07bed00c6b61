"""Training batches: a random window of every clip per epoch, drawn by (seed, fold, epoch)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from adaspec.config import AudioConfig
from adaspec.seeding import generator
from adaspec.windows import cut, random_start

__all__ = ["train_batches"]

Batch = tuple[int, np.ndarray]  # epoch, entries


class _EpochBatches(Sampler[Batch]):
    """Entries in another order each epoch, in batches that differ in size by one at most."""

    def __init__(self, n_entries: int, batch_size: int, keys: tuple[int, int]) -> None:
        self.n_entries, self.keys, self.epoch = n_entries, keys, 0
        self.n_batches = -(-n_entries // batch_size)

    def __len__(self) -> int:
        return self.n_batches

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch, also when training goes on from a checkpoint."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[Batch]:
        order = generator(*self.keys, self.epoch, "order").permutation(self.n_entries)
        for entries in np.array_split(order, self.n_batches):
            yield self.epoch, entries


class _RandomWindows(Dataset[tuple[Tensor, Tensor]]):
    """Takes a whole batch at a time, so that nothing is collated item by item."""

    def __init__(
        self, clips: list[Tensor], targets: Tensor, n_window: int, audio: AudioConfig, keys: tuple[int, int]
    ) -> None:
        self.clips, self.targets, self.n_window, self.audio, self.keys = clips, targets, n_window, audio, keys
        self.epoch, self.draws = -1, np.empty(0)

    def __getitem__(self, batch: Batch) -> tuple[Tensor, Tensor]:
        epoch, entries = batch
        if epoch != self.epoch:
            self.epoch, self.draws = epoch, generator(*self.keys, epoch, "window").random(len(self.clips))
        windows = []
        for entry in entries:
            clip = self.clips[entry]
            start = random_start(len(clip), self.n_window, self.audio.pad, self.draws[entry])
            windows.append(cut(clip, start, self.n_window, self.audio.pad))
        return torch.stack(windows), self.targets[torch.from_numpy(entries)]


def train_batches(
    clips: dict[str, Tensor],
    train: pd.DataFrame,
    labels: list[str],
    n_window: int,
    audio: AudioConfig,
    batch_size: int,
    keys: tuple[int, int],
) -> DataLoader[tuple[Tensor, Tensor]]:
    """Batches of (windows as stored (batch, n_window, ...), class indices (batch,)).

    Parameters
    ----------
    clips : dict of str to Tensor
        Clips by `clip_id`, in memory, mapped or on a GPU, where their windows are then cut.
    train : DataFrame
        `clip_id`, `label`, `weight` (times per epoch).
    labels : list of str
    n_window : int
        Samples or frames.
    audio : AudioConfig
    batch_size : int
        Largest number of clips per batch.
    keys : (seed, fold)
    """
    repeated = train.loc[train.index.repeat(train["weight"])]
    entries = [clips[clip_id] for clip_id in repeated["clip_id"]]
    targets = torch.tensor([labels.index(label) for label in repeated["label"]])
    windows = _RandomWindows(entries, targets, n_window, audio, keys)
    sampler = _EpochBatches(len(repeated), batch_size, keys)
    return DataLoader(windows, batch_size=None, sampler=sampler)
