"""Recordings that are given as arrays, such as the waveform of a request."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from adaspec.audio.decode import Recording
from adaspec.audio.guard import LONGEST_S, BadClipError, Guard
from adaspec.audio.waveform import Waveform

__all__ = ["recording_of_array"]

BLOCK = 2**18  # samples; what is checked at a time


def recording_of_array(waveform: npt.ArrayLike, sample_rate: int, longest_s: float = LONGEST_S) -> Recording:
    """Take an array for a recording.

    Parameters
    ----------
    waveform : array-like of shape (n_samples,)
        One channel, +-1.
    sample_rate : int
        In Hz; any that recordings have, 1000 to 1000000.
    longest_s : float
        Longest duration that is taken, in seconds.

    Raises
    ------
    BadClipError
        It is no list of numbers, or has several channels; or the sample rate is out of range.
    """
    try:
        samples = np.asarray(waveform)
    except ValueError:
        raise BadClipError("waveform holds lists of different lengths; give one channel") from None
    if samples.ndim > 1:
        raise BadClipError(f"waveform has {samples.ndim} dimensions; give one channel, such as the mean over channels")
    if samples.size == 0:
        raise BadClipError("no samples")
    if samples.ndim == 0 or samples.dtype.kind not in "iuf":
        raise BadClipError("waveform is no list of numbers")
    guard = Guard(sample_rate, longest_s)
    guard.check_length(len(samples))
    return Recording(guard, _blocks(samples, guard), [])


def _blocks(samples: npt.NDArray[np.generic], guard: Guard) -> Iterator[Waveform]:
    for start in range(0, len(samples), BLOCK):
        with np.errstate(over="ignore"):  # numbers beyond float32 are refused as infinite
            block = samples[start : start + BLOCK].astype(np.float32)
        yield guard.pass_on(block[:, None])
