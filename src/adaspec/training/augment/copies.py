"""Changed copies of training clips: a defence against what recordings go through elsewhere."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from adaspec.attributes import N_LEVELS, Clip, attributes_of, change
from adaspec.audio import trimmed_int16
from adaspec.config import Config
from adaspec.features.representation import Representation
from adaspec.features.store import FeatureStore, write_shard
from adaspec.features.windows import Clips
from adaspec.runtime.files import complete_folder, is_sealed, seal
from adaspec.runtime.seeding import generator

__all__ = ["Copies", "changed_copies", "kept_copies"]

N_OTHERS = 4  # clips that babble is made of


@dataclass(frozen=True)
class Copies:
    """Where training finds copies, and how often it takes one.

    Parameters
    ----------
    clips : Clips
        By the names of `changed_copies`.
    n_copies : int
        Of each clip.
    share : float
        Of windows that are taken from a copy.
    """

    clips: Clips
    n_copies: int
    share: float

    def drawn(self, clip_id: str, clip: Tensor, draw: float) -> tuple[Tensor, Tensor]:
        """What is heard of a clip, and its partner: a copy and the clip, or the clip and a copy.

        Parameters
        ----------
        clip_id : str
        clip : Tensor of shape (n_steps, ...)
        draw : float
            Uniform from 0 to 1, below 1.
        """
        if draw < self.share:
            return self._copy(clip_id, draw / self.share), clip
        return clip, self._copy(clip_id, (draw - self.share) / (1 - self.share))

    def _copy(self, clip_id: str, draw: float) -> Tensor:
        return self.clips.tensor(copy_name(clip_id, int(draw * self.n_copies)))


def copy_name(clip_id: str, number: int) -> str:
    """Name of a copy; sorted by these, copies stand as their clips do."""
    return f"{clip_id}\0{number:06d}"


def kept_copies(
    waveforms: FeatureStore,
    read: FeatureStore,
    encoder: Representation,
    clip_ids: Iterable[str],
    config: Config,
    fold: int,
    folder: Path,
) -> Copies | None:
    """Changed copies of the training clips as `augment.attributes` asks for them, on the disk.

    Parameters
    ----------
    waveforms : FeatureStore
        The clips.
    read : FeatureStore
        What training reads, which the copies are kept like.
    encoder : Representation
        What it holds, computed where the waveforms are.
    clip_ids : iterable of str
        Of the training clips.
    config : Config
        Resolved.
    fold : int
    folder : Path
        Written whole, unless an interrupted attempt has done so.
    """
    attributes, sample_rate = config.augment.attributes, config.audio.sample_rate
    if not attributes.names:
        return None
    assert sample_rate is not None  # resolved
    names = attributes_of("augment.attributes.names", attributes.names)
    settings = (names, attributes.copies, sample_rate, config.audio.trim_db, (config.seed, fold))
    copies = ((name, encoder.encode(copy)[:].numpy()) for name, copy in changed_copies(waveforms, clip_ids, *settings))
    if not is_sealed(folder):
        with complete_folder(folder) as partial:
            for index in itertools.count():
                if (first := next(copies, None)) is None:
                    break
                rest = itertools.islice(copies, config.features.clips_per_shard - 1)
                write_shard(partial / f"{index:06d}.arrow", read.contract, itertools.chain([first], rest))
            seal(partial)
    return Copies(FeatureStore(folder, read.contract, read.representation), attributes.copies, attributes.share)


def changed_copies(
    clips: Clips,
    clip_ids: Iterable[str],
    names: Sequence[str],
    n_copies: int,
    sample_rate: int,
    trim_db: float | None,
    keys: tuple[int, int],
) -> Iterator[tuple[str, Tensor]]:
    """Copies of each clip, each with one attribute changed at a level drawn evenly from the mildest to the harshest.

    Parameters
    ----------
    clips : Clips
        int16 waveforms.
    clip_ids : iterable of str
        Those that are copied, and that babble is made of.
    names : sequence of str
        Keys of `ATTRIBUTES`.
    n_copies : int
    sample_rate : int
        In Hz.
    trim_db : float, optional
        Ends this far below the peak are cut off, as of every clip.
    keys : (seed, fold)

    Yields
    ------
    (str, Tensor)
        `copy_name` and int16 (n_samples,), in the order of their names.
    """
    ordered = sorted(clip_ids)

    def waveform(clip_id: str) -> np.ndarray:
        return clips.tensor(clip_id).numpy().astype(np.float32) / 32768

    for clip_id in ordered:
        rng, own = generator(*keys, "attributes", clip_id), waveform(clip_id)
        drawn = (ordered[other] for other in rng.choice(len(ordered), N_OTHERS))
        others = [waveform(other) for other in drawn if other != clip_id]
        for number, name in enumerate(rng.choice(names, n_copies)):
            level = float(rng.uniform(1, N_LEVELS))
            changed = change(name, level, Clip(own, sample_rate, rng, others))
            yield copy_name(clip_id, number), torch.from_numpy(trimmed_int16(changed, trim_db))
