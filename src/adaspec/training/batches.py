"""Training batches: a random window of every clip per epoch, drawn by (seed, fold, epoch)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from adaspec.features.windows import Clips, Pad, cut, random_start
from adaspec.runtime.ahead import ahead
from adaspec.runtime.seeding import generator
from adaspec.training.augment.copies import Copies

__all__ = ["train_batches"]

N_AHEAD = 2  # batches that are cut while the network is at work on another
Batch = tuple[int, np.ndarray, np.ndarray]  # epoch, entries, and which of the epoch's random numbers each takes


class _EpochBatches(Sampler[Batch]):
    """Entries in another order each epoch, in batches that differ in size by one at most.

    With chances, as many entries are drawn by these, again and again from all.
    """

    def __init__(self, n_entries: int, batch_size: int, keys: tuple[int, int], chances: np.ndarray | None) -> None:
        self.n_entries, self.keys, self.chances, self.epoch = n_entries, keys, chances, 0
        self.n_batches = -(-n_entries // batch_size)

    def __len__(self) -> int:
        return self.n_batches

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch, also when training goes on from a checkpoint."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[Batch]:
        rng = generator(*self.keys, self.epoch, "order")
        if self.chances is None:
            order = draws = rng.permutation(self.n_entries)
        else:  # an entry that comes again has another window
            order = rng.choice(self.n_entries, self.n_entries, p=self.chances)
            draws = np.arange(self.n_entries)
        for part in np.array_split(np.arange(self.n_entries), self.n_batches):
            yield self.epoch, order[part], draws[part]


class _RandomWindows(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """Takes a whole batch at a time, so that nothing is collated item by item; clips are read when they are due."""

    def __init__(
        self,
        clips: Clips,
        copies: Copies | None,
        clip_ids: pd.Series,
        targets: Tensor,
        claims: Tensor,
        n_window: int,
        pad: Pad,
        keys: tuple[int, int],
        paired: bool,
    ) -> None:
        self.clips, self.copies, self.clip_ids = clips, copies, clip_ids.array
        self.targets, self.claims = targets, claims
        self.n_window, self.pad, self.keys, self.paired = n_window, pad, keys, paired
        self.epoch, self.draws, self.versions = -1, np.empty(0), np.empty(0)

    def __getitem__(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        epoch, entries, draws = batch
        if epoch != self.epoch:
            self.epoch, self.draws = epoch, generator(*self.keys, epoch, "window").random(len(self.clip_ids))
            self.versions = generator(*self.keys, epoch, "copy").random(len(self.clip_ids))
        windows, partners = [], []
        for entry, draw, version in zip(entries, self.draws[draws], self.versions[draws], strict=True):
            clip_id = self.clip_ids[entry]
            clip = partner = self.clips.tensor(clip_id)
            if self.copies is not None:
                clip, partner = self.copies.drawn(clip_id, clip, version)
            windows.append(self._window(clip, draw))
            if self.paired:
                partners.append(self._window(partner, draw))
        own = torch.from_numpy(np.tile(entries, 2) if self.paired else entries)
        return torch.stack(windows + partners), self.targets[own], self.claims[own]

    def _window(self, clip: Tensor, draw: float) -> Tensor:
        start = random_start(len(clip), self.n_window, self.pad, draw)
        return cut(clip, start, self.n_window, self.pad, self.clips.representation)


class _Ahead(DataLoader[tuple[Tensor, Tensor, Tensor]]):
    """Cuts the next batches while one is in use, so that nobody waits for a disk."""

    def __iter__(self) -> Any:
        return ahead(super().__iter__(), N_AHEAD)


def train_batches(
    clips: Clips,
    train: pd.DataFrame,
    labels: list[str],
    n_window: int,
    pad: Pad,
    batch_size: int,
    keys: tuple[int, int],
    *,
    copies: Copies | None = None,
    paired: bool = False,
    even_labels: bool = False,
    claims: Tensor | None = None,
) -> DataLoader[tuple[Tensor, Tensor, Tensor]]:
    """Batches of (windows as stored (batch, n_window, ...), class indices (batch,), claims (batch, n_claimed)).

    Parameters
    ----------
    clips : Clips
        Such as a `FeatureStore`.
    train : DataFrame
        `clip_id`, `label`, `weight` (times per epoch).
    labels : list of str
    n_window : int
        Samples or frames.
    pad : {"repeat", "zeros"}
    batch_size : int
        Largest number of clips per batch.
    keys : (seed, fold)
    copies : Copies, optional
        Changed copies of the clips, which some windows are taken from.
    paired : bool
        Let a partner for each window follow, in the same order: of the clip where the window is of a copy, else of a
        copy, at the same part of its length.
    even_labels : bool
        Draw every label equally often instead of every clip once.
    claims : Tensor of shape (n_rows, n_claimed), optional
        Vectors of the speakers who are claimed, of each row of `train`; by default of no numbers.
    """
    rows = np.repeat(np.arange(len(train)), train["weight"])
    repeated = train.iloc[rows]
    targets = torch.from_numpy(pd.Index(labels).get_indexer(pd.Index(repeated["label"])))
    claims = torch.zeros(len(train), 0) if claims is None else claims
    own = claims[torch.from_numpy(rows)]
    windows = _RandomWindows(clips, copies, repeated["clip_id"], targets, own, n_window, pad, keys, paired)
    chances = None
    if even_labels:
        chances = (1 / torch.bincount(targets)[targets]).double().numpy()
        chances /= chances.sum()
    return _Ahead(windows, batch_size=None, sampler=_EpochBatches(len(repeated), batch_size, keys, chances))
