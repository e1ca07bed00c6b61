"""Changed copies of training clips: a defence against what recordings go through elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from adaspec.attributes import N_LEVELS, Clip, change
from adaspec.audio import to_int16, trim_silence
from adaspec.runtime.seeding import generator

__all__ = ["changed_copies"]

N_OTHERS = 4  # clips that babble is made of


def changed_copies(
    clips: Mapping[str, Tensor],
    names: Sequence[str],
    n_copies: int,
    sample_rate: int,
    trim_db: float | None,
    keys: tuple[int, int],
) -> dict[str, list[Tensor]]:
    """Copies of each clip, each with one attribute changed at a level drawn evenly from the mildest to the harshest.

    Parameters
    ----------
    clips : mapping of str to Tensor of shape (n_samples,), int16
    names : sequence of str
        Keys of `ATTRIBUTES`.
    n_copies : int
    sample_rate : int
        In Hz.
    trim_db : float, optional
        Ends this far below the peak are cut off, as of every clip.
    keys : (seed, fold)
    """
    clip_ids = sorted(clips)

    def waveform(clip_id: str) -> np.ndarray:
        return clips[clip_id].numpy().astype(np.float32) / 32768

    copies: dict[str, list[Tensor]] = {}
    for clip_id in clip_ids:
        rng, own = generator(*keys, "attributes", clip_id), waveform(clip_id)
        others = [waveform(other) for other in rng.choice(clip_ids, N_OTHERS) if other != clip_id]
        copies[clip_id] = []
        for name in rng.choice(names, n_copies):
            level = float(rng.uniform(1, N_LEVELS))
            changed = change(name, level, Clip(own, sample_rate, rng, others))
            copies[clip_id].append(torch.from_numpy(to_int16(trim_silence(changed, trim_db))))
    return copies
