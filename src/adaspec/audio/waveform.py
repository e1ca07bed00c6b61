"""Waveforms as arrays: change the sample rate, cut off silent ends, quantise; of any length, block by block."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import soxr

__all__ = [
    "SoundingPart",
    "Waveform",
    "resample",
    "resample_blocks",
    "sounding_part",
    "to_int16",
    "trim_silence",
    "trimmed_int16",
]

Waveform: TypeAlias = npt.NDArray[np.float32]


def resample(waveform: Waveform, from_rate: int, to_rate: int) -> Waveform:
    """Change the sample rate (Hz) with soxr at high quality; equal rates return the waveform itself."""
    if from_rate == to_rate:
        return waveform
    return np.concatenate(list(resample_blocks([waveform], from_rate, to_rate)))


def resample_blocks(blocks: Iterable[Waveform], from_rate: int, to_rate: int) -> Iterator[Waveform]:
    """Change the sample rate (Hz) of a waveform that comes in blocks; how it is cut into them changes nothing."""
    if from_rate == to_rate:
        yield from blocks
        return
    stream = soxr.ResampleStream(from_rate, to_rate, 1, dtype="float32", quality="HQ")
    n_samples = 0
    for block in blocks:
        resampled = stream.resample_chunk(np.ascontiguousarray(block))
        n_samples += len(resampled)
        yield resampled
    rest = stream.resample_chunk(np.zeros(0, dtype=np.float32), last=True)
    yield rest if n_samples + len(rest) else np.zeros(1, dtype=np.float32)


class SoundingPart:
    """From the first to the last sample above the peak less `trim_db`, of a waveform that comes in blocks.

    Parameters
    ----------
    trim_db : float, optional
        All sounds, where it is None.
    """

    def __init__(self, trim_db: float | None) -> None:
        self.trim_db, self.n_samples, self.end = trim_db, 0, 0
        self.peak = np.float32(0)
        # Of samples louder than all before them, the first that passes the final threshold is where sound begins.
        self.louder_at = np.zeros(0, dtype=np.int64)
        self.louder = np.zeros(0, dtype=np.float32)

    def add(self, block: Waveform) -> None:
        """Take the next block."""
        begin = self.n_samples
        self.n_samples += len(block)
        if self.trim_db is None or len(block) == 0:
            return
        level = np.abs(block)
        before = np.maximum.accumulate(np.concatenate([[self.peak], level]))
        louder_at = np.flatnonzero(level > before[:-1])
        self.peak = before[-1]
        threshold = self._threshold()
        loud = level > threshold
        if loud.any():  # and where no later sample is, sound ends here: the threshold only rises with such
            self.end = begin + len(loud) - int(loud[::-1].argmax())
        self.louder_at = np.concatenate([self.louder_at, begin + louder_at])
        self.louder = np.concatenate([self.louder, level[louder_at]])
        kept = self.louder > threshold
        self.louder_at, self.louder = self.louder_at[kept], self.louder[kept]

    def part(self) -> slice:
        """The part that sounds; all of digital silence."""
        if self.trim_db is None or self.end == 0:
            return slice(0, self.n_samples)
        return slice(int(self.louder_at[0]), self.end)

    def _threshold(self) -> np.float32:
        return np.float32(self.peak * 10 ** (-(self.trim_db or 0.0) / 20))


def sounding_part(waveform: Waveform, trim_db: float | None) -> slice:
    """From the first to the last sample above the peak less `trim_db`; all of digital silence, and where it is None."""
    sounding = SoundingPart(trim_db)
    sounding.add(waveform)
    return sounding.part()


def trim_silence(waveform: Waveform, trim_db: float | None) -> Waveform:
    """Cut off silent ends."""
    return waveform[sounding_part(waveform, trim_db)]


def trimmed_int16(waveform: Waveform, trim_db: float | None) -> npt.NDArray[np.int16]:
    """A waveform at its final rate as it is stored: `trim_silence`, then `to_int16`."""
    return to_int16(trim_silence(waveform, trim_db))


def to_int16(waveform: Waveform) -> npt.NDArray[np.int16]:
    """Quantise +-1 to 16 bit; what passes full scale saturates."""
    quantised: npt.NDArray[np.int16] = np.clip(np.rint(waveform * 32768.0), -32768, 32767).astype(np.int16)
    return quantised
