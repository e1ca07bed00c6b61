"""Clips are longer (or shorter) than what a model sees at a time: windows are cut out of stored clips, and voted on.

Works on what the feature store holds: int16 (n_samples,), or float16 (n_frames, n_mels). The first axis is time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from adaspec.features.store import Contract, FeatureStore

__all__ = ["EvenWindows", "cut", "even_starts", "random_start", "vote", "window_length"]

Pad = Literal["repeat", "zeros"]
TOLERANCE = 0.1  # part of a window that may be left out before another, overlapping window is added


def window_length(contract: Contract, window_s: float) -> int:
    """Length of a window of `window_s` seconds in what the store holds: samples, or frames."""
    n_samples = max(1, round(window_s * contract["sample_rate"]))
    if contract["representation"] == "waveform":
        return n_samples
    from adaspec.frontends.fbank import Fbank

    fbank = Fbank.from_contract(contract)
    return max(1, 1 + (n_samples - fbank.frame_length) // fbank.hop_length)


def random_start(n_clip: int, n_window: int, rng: np.random.Generator) -> int:
    """Start of a random window; 0 where the clip is not longer than the window."""
    return int(rng.integers(0, max(0, n_clip - n_window) + 1))


def even_starts(n_clip: int, n_window: int) -> list[int]:
    """Starts of evenly spaced windows from end to end of the clip; its centre where one window nearly covers it."""
    n_windows = max(1, math.ceil(n_clip / n_window - TOLERANCE))
    spare = max(0, n_clip - n_window)
    if n_windows == 1:
        return [spare // 2]
    return [round(index * spare / (n_windows - 1)) for index in range(n_windows)]


def cut(clip: npt.NDArray[Any], start: int, n_window: int, pad: Pad) -> npt.NDArray[Any]:
    """Cut `n_window` from `start` on; a clip that ends before is repeated, or followed by silence.

    Silence is zero in a waveform and the clip's lowest value in log features, where zero would be loud.
    """
    piece = clip[start : start + n_window]
    n_missing = n_window - len(piece)
    if n_missing == 0:
        return piece
    if pad == "repeat":
        return piece[np.arange(n_window) % len(piece)]
    silence = 0 if clip.ndim == 1 else clip.min()
    return np.pad(piece, [(0, n_missing)] + [(0, 0)] * (clip.ndim - 1), constant_values=silence)


class EvenWindows:
    """Batches of all evaluation windows of some clips, in order.

    Iterating yields (clip positions (n,) int64, windows (n, n_window, ...)).

    Parameters
    ----------
    store : FeatureStore
    clip_ids : sequence of str
    n_window : int
        Samples or frames.
    pad : {"repeat", "zeros"}
    batch_size : int
        Windows per batch.
    """

    def __init__(self, store: FeatureStore, clip_ids: Sequence[str], n_window: int, pad: Pad, batch_size: int) -> None:
        self.store, self.clip_ids, self.n_window, self.pad, self.batch_size = store, clip_ids, n_window, pad, batch_size

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        positions: list[int] = []
        pieces: list[npt.NDArray[Any]] = []
        for position, clip_id in enumerate(self.clip_ids):
            clip = self.store[clip_id]
            for start in even_starts(len(clip), self.n_window):
                positions.append(position)
                pieces.append(cut(clip, start, self.n_window, self.pad))
                if len(pieces) == self.batch_size:
                    yield torch.tensor(positions), torch.from_numpy(np.stack(pieces))
                    positions, pieces = [], []
        if pieces:
            yield torch.tensor(positions), torch.from_numpy(np.stack(pieces))


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
