"""Vectors of recordings: the mean over their windows."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from adaspec.features.windows import Clips, EvenWindows, window_samples
from adaspec.speakers.network import SpeakerNetwork

__all__ = ["embed"]

WINDOW = 2  # length of a window to that of training: longer ones say more of who speaks
OVERLAP = 0.5  # of neighbouring windows
BATCH_SIZE = 32  # windows


def embed(
    network: SpeakerNetwork, clip_ids: list[str], clips: Clips, advance: Callable[[int], None] | None = None
) -> Tensor:
    """Vectors (n_clips, n_dimensions), of length 1, on the CPU.

    Parameters
    ----------
    network : SpeakerNetwork
        In evaluation mode.
    clip_ids : list of str
    clips : Clips
        Waveforms.
    advance : callable, optional
        Told how many clips are done more.
    """
    device = next(network.parameters()).device
    sums = torch.zeros(len(clip_ids), network.n_dimensions)
    n_window = window_samples(WINDOW * network.window_s, network.sample_rate)
    windows = EvenWindows(clips, clip_ids, n_window, "repeat", OVERLAP, BATCH_SIZE)
    n_done = 0
    with torch.inference_mode():
        for positions, stored in windows:
            waveforms = clips.representation.decode(stored)
            sums.index_add_(0, positions, network(waveforms.to(device)).cpu())
            if advance is not None:
                advance(int(positions[-1]) + 1 - n_done)
                n_done = int(positions[-1]) + 1
    return torch.nn.functional.normalize(sums)
