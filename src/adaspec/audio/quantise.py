"""From a recording of any length to what is kept of it: 16 bits at one rate, without its silent ends."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from adaspec.audio.decode import Recording
from adaspec.audio.waveform import SoundingPart, resample_blocks, to_int16

__all__ = ["Quantised", "quantise"]


@dataclass(frozen=True)
class Quantised:
    """What is kept of a recording.

    Attributes
    ----------
    samples : ndarray of shape (n_kept,), int16
        Its sounding part.
    start : int
        Samples before that part.
    n_samples : int
        Of the whole recording, at the new rate.
    saturates : bool
        Samples pass full scale.
    """

    samples: npt.NDArray[np.int16]
    start: int
    n_samples: int
    saturates: bool


def quantise(recording: Recording, sample_rate: int, trim_db: float | None) -> Quantised:
    """Resample, cut off silent ends and round to 16 bits, block by block: an hour at 48 kHz takes 350 MB.

    Parameters
    ----------
    recording : Recording
        Its blocks are used up.
    sample_rate : int
        In Hz, of what is kept.
    trim_db : float, optional
        Ends this far below the peak are cut off.

    Raises
    ------
    BadClipError
        It cannot be used.
    """
    kept, sounding, saturates = bytearray(), SoundingPart(trim_db), False
    for block in resample_blocks(recording.blocks(), recording.sample_rate, sample_rate):
        sounding.add(block)
        saturates = saturates or bool(len(block) and np.abs(block).max() > 1)
        kept += to_int16(block).data
    part = sounding.part()
    samples = np.frombuffer(kept, dtype=np.int16)[part]
    return Quantised(samples, part.start, sounding.n_samples, saturates)
