"""Waveforms as arrays: change the sample rate, cut off silent ends, quantise."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import soxr

__all__ = ["Waveform", "resample", "sounding_part", "to_int16", "trim_silence"]

Waveform: TypeAlias = npt.NDArray[np.float32]


def resample(waveform: Waveform, from_rate: int, to_rate: int) -> Waveform:
    """Change the sample rate (Hz) with soxr at high quality; equal rates return the waveform itself."""
    if from_rate == to_rate:
        return waveform
    resampled = np.asarray(soxr.resample(waveform, from_rate, to_rate), dtype=np.float32)
    return resampled if len(resampled) else np.zeros(1, dtype=np.float32)


def sounding_part(waveform: Waveform, trim_db: float | None) -> slice:
    """From the first to the last sample above the peak less `trim_db`; all of digital silence, and where it is None."""
    if trim_db is None:
        return slice(0, len(waveform))
    level = np.abs(waveform)
    loud = level > level.max() * 10 ** (-trim_db / 20)
    if not loud.any():  # digital silence
        return slice(0, len(waveform))
    return slice(int(loud.argmax()), len(loud) - int(loud[::-1].argmax()))


def trim_silence(waveform: Waveform, trim_db: float | None) -> Waveform:
    """Cut off silent ends."""
    return waveform[sounding_part(waveform, trim_db)]


def to_int16(waveform: Waveform) -> npt.NDArray[np.int16]:
    """Quantise +-1 to 16 bit; what passes full scale saturates."""
    quantised: npt.NDArray[np.int16] = np.clip(np.rint(waveform * 32768.0), -32768, 32767).astype(np.int16)
    return quantised
