"""Training batches: a random window of every clip per epoch, drawn by (seed, fold, epoch)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from adaspec.features.representation import Representation
from adaspec.features.windows import Pad, cut, random_start
from adaspec.runtime.seeding import generator

__all__ = ["train_batches"]

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
    """Takes a whole batch at a time, so that nothing is collated item by item."""

    def __init__(
        self,
        clips: list[Sequence[Tensor]],
        targets: Tensor,
        claims: Tensor,
        n_window: int,
        pad: Pad,
        keys: tuple[int, int],
        representation: Representation,
        share: float,
        paired: bool,
    ) -> None:
        self.clips, self.targets, self.claims = clips, targets, claims
        self.n_window, self.pad, self.keys = n_window, pad, keys
        self.representation, self.share, self.paired = representation, share, paired
        self.epoch, self.draws, self.copies = -1, np.empty(0), np.empty(0)

    def __getitem__(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        epoch, entries, draws = batch
        if epoch != self.epoch:
            self.epoch, self.draws = epoch, generator(*self.keys, epoch, "window").random(len(self.clips))
            self.copies = generator(*self.keys, epoch, "copy").random(len(self.clips))
        windows, partners = [], []
        for entry, draw, copy in zip(entries, self.draws[draws], self.copies[draws], strict=True):
            clip, *copies = self.clips[entry]
            partner = clip
            if copies and copy < self.share:
                clip = copies[int(copy / self.share * len(copies))]
            elif copies:
                partner = copies[int((copy - self.share) / (1 - self.share) * len(copies))]
            windows.append(self._window(clip, draw))
            if self.paired:
                partners.append(self._window(partner, draw))
        own = torch.from_numpy(np.tile(entries, 2) if self.paired else entries)
        return torch.stack(windows + partners), self.targets[own], self.claims[own]

    def _window(self, clip: Tensor, draw: float) -> Tensor:
        start = random_start(len(clip), self.n_window, self.pad, draw)
        return cut(clip, start, self.n_window, self.pad, self.representation)


def train_batches(
    clips: Mapping[str, Sequence[Tensor]],
    train: pd.DataFrame,
    labels: list[str],
    n_window: int,
    pad: Pad,
    batch_size: int,
    keys: tuple[int, int],
    *,
    representation: Representation,
    share: float = 1.0,
    paired: bool = False,
    even_labels: bool = False,
    claims: Tensor | None = None,
) -> DataLoader[tuple[Tensor, Tensor, Tensor]]:
    """Batches of (windows as stored (batch, n_window, ...), class indices (batch,), claims (batch, n_claimed)).

    Parameters
    ----------
    clips : mapping of str to sequence of Tensor
        By `clip_id` each clip and its changed copies, in memory, mapped or on a GPU, where windows are then cut.
    train : DataFrame
        `clip_id`, `label`, `weight` (times per epoch).
    labels : list of str
    n_window : int
        Samples or frames.
    pad : {"repeat", "zeros"}
    batch_size : int
        Largest number of clips per batch.
    keys : (seed, fold)
    representation : Representation
        What the clips are.
    share : float
        Of windows that are taken from a copy, where there are any.
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
    entries = [clips[clip_id] for clip_id in repeated["clip_id"]]
    targets = torch.tensor([labels.index(label) for label in repeated["label"]])
    claims = torch.zeros(len(train), 0) if claims is None else claims
    own = claims[torch.from_numpy(rows)]
    windows = _RandomWindows(entries, targets, own, n_window, pad, keys, representation, share, paired)
    chances = None
    if even_labels:
        chances = (1 / torch.bincount(targets)[targets]).double().numpy()
        chances /= chances.sum()
    sampler = _EpochBatches(len(repeated), batch_size, keys, chances)
    return DataLoader(windows, batch_size=None, sampler=sampler)
