"""Clips are longer (or shorter) than what a model sees at a time: windows are cut out of stored clips, and voted on.

Works on what the feature store holds, whatever its representation: the first axis is time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Literal, Protocol

import torch
from torch import Tensor

from adaspec.errors import InputError
from adaspec.features.representation import Representation, Steps

__all__ = ["Clips", "EvenWindows", "Pad", "cut", "even_starts", "random_start", "vote", "window_samples"]

Pad = Literal["repeat", "zeros"]
LONGEST = 2**24  # samples of a window, 6 minutes at 44.1 kHz: what a model may ask to be computed at once
TOLERANCE = 0.1  # part of a window that may be left out before another, overlapping window is added


def window_samples(length_s: float, sample_rate: int) -> int:
    """Samples of a window of `length_s` seconds.

    Raises
    ------
    InputError
        More than 2**24.
    """
    n_samples = max(1, round(length_s * sample_rate))
    if n_samples > LONGEST:
        raise InputError(
            f"features.window.length_s={length_s:g} makes windows of {n_samples} samples at {sample_rate} Hz, more "
            f"than {LONGEST}; lower it"
        )
    return n_samples


def random_start(n_clip: int, n_window: int, pad: Pad, draw: float) -> int:
    """Start of a random window.

    Parameters
    ----------
    n_clip, n_window : int
    pad : {"repeat", "zeros"}
        A clip that is repeated has windows everywhere, also across its end; otherwise they lie within the clip, and
        begin with it where it is not longer than the window.
    draw : float
        Uniform from 0 to 1, below 1.
    """
    n_starts = n_clip if pad == "repeat" else max(0, n_clip - n_window) + 1
    return int(draw * n_starts)


def even_starts(n_clip: int, n_window: int, overlap: float) -> list[int]:
    """Starts of evenly spaced windows from end to end of the clip; its centre where one window nearly covers it.

    Neighbours have at least `overlap` of a window in common, but for a tenth of a window that may be left out.
    """
    n_windows = max(1, 1 + math.ceil((n_clip / n_window - 1 - TOLERANCE) / (1 - overlap)))
    spare = max(0, n_clip - n_window)
    if n_windows == 1:
        return [spare // 2]
    starts = (round(index * spare / (n_windows - 1)) for index in range(n_windows))
    return list(dict.fromkeys(starts))  # windows of a few frames may not lie that close


def cut(clip: Steps, start: int, n_window: int, pad: Pad, representation: Representation) -> Tensor:
    """Cut `n_window` steps from `start` on; a clip that ends before begins again, or is followed by silence.

    Parameters
    ----------
    clip : Tensor of shape (n_steps, ...), or Steps
        As the representation encodes it.
    start, n_window : int
    pad : {"repeat", "zeros"}
    representation : Representation
        Knows how it writes silence.
    """
    piece = clip[start : start + n_window]
    n_missing = n_window - len(piece)
    if n_missing == 0:
        return piece
    whole = clip[:]
    if pad == "repeat":
        return whole[torch.arange(start, start + n_window, device=whole.device) % len(whole)]
    silence = representation.silence(whole)
    return torch.cat([piece, silence.expand(n_missing, *whole.shape[1:])])


class Clips(Protocol):
    """Clips by name, as a representation encodes them; a `FeatureStore` is one."""

    @property
    def representation(self) -> Representation:
        """How they are kept."""

    def tensor(self, clip_id: str) -> Tensor:
        """One of them."""


class EvenWindows:
    """Batches of all evaluation windows of some clips, in order.

    Iterating yields (clip positions (n,) int64, windows (n, n_window, ...)).

    Parameters
    ----------
    store : Clips
    clip_ids : sequence of str
    n_window : int
        Samples or frames.
    pad : {"repeat", "zeros"}
    overlap : float
        Of neighbouring windows, 0 <= overlap < 1.
    batch_size : int
        Windows per batch.
    """

    def __init__(
        self, store: Clips, clip_ids: Sequence[str], n_window: int, pad: Pad, overlap: float, batch_size: int
    ) -> None:
        self.store, self.clip_ids, self.n_window, self.pad = store, clip_ids, n_window, pad
        self.overlap, self.batch_size = overlap, batch_size

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        positions: list[int] = []
        pieces: list[Tensor] = []
        for position, clip_id in enumerate(self.clip_ids):
            clip = self.store.tensor(clip_id)
            for start in even_starts(len(clip), self.n_window, self.overlap):
                positions.append(position)
                pieces.append(cut(clip, start, self.n_window, self.pad, self.store.representation))
                if len(pieces) == self.batch_size:
                    yield torch.tensor(positions), torch.stack(pieces)
                    positions, pieces = [], []
        if pieces:
            yield torch.tensor(positions), torch.stack(pieces)


def vote(probabilities: Tensor, positions: Tensor, n_clips: int, method: Literal["mean", "majority"]) -> Tensor:
    """Combine the windows of each clip.

    Parameters
    ----------
    probabilities : Tensor of shape (n_windows, n_classes)
    positions : Tensor of shape (n_windows,)
        Clip of each window.
    n_clips : int
    method : {"mean", "majority"}
        "mean" averages the probabilities; "majority" counts the windows won, and breaks ties by the mean.

    Returns
    -------
    Tensor of shape (n_clips, n_classes)
        Scores that sum to 1 per clip.
    """
    n_classes = probabilities.shape[1]
    n_windows = torch.bincount(positions, minlength=n_clips).unsqueeze(1)
    mean = torch.zeros(n_clips, n_classes).index_add_(0, positions, probabilities) / n_windows
    if method == "mean":
        return mean
    won = torch.nn.functional.one_hot(probabilities.argmax(dim=1), n_classes).float()
    share = torch.zeros(n_clips, n_classes).index_add_(0, positions, won) / n_windows
    # Shares differ by at least 1 / n_windows: a hundredth of a window's vote can only break ties.
    weight = 0.01 / n_windows.double()
    return (share + weight * mean) / (1 + weight)
