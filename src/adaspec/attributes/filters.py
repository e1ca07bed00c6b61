"""What a channel does to frequencies: none of them delays the clip."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import soxr

from adaspec.attributes.arithmetic import filtered, of_length
from adaspec.attributes.contract import Clip, Samples

__all__ = ["aliasing", "equalizer", "low_pass", "phase", "telephone"]

Numbers = npt.NDArray[np.float64]

TELEPHONE_HZ = 1000.0  # middle of its band, on a logarithmic scale: 300 to 3,400 Hz are 3.5 octaves about 1,010 Hz
N_GAINS = 8  # of an equaliser
LOWEST_GAIN_HZ = 50.0


def low_pass(clip: Clip, octaves: float) -> Samples:
    """The upper octaves cut off: a small bandwidth, a muffled microphone."""
    edge = clip.sample_rate / 2 * 2**-octaves
    return filtered(clip, lambda frequencies: _low_pass(frequencies / edge))


def telephone(clip: Clip, octaves: float) -> Samples:
    """A band of so many octaves about 1 kHz: 3.5 are the telephone's 300 to 3,400 Hz.

    References
    ----------
    ITU-T Recommendation G.712 (2001), for 300 to 3,400 Hz.
    """
    low, high = TELEPHONE_HZ * 2 ** (-octaves / 2), TELEPHONE_HZ * 2 ** (octaves / 2)

    def band(frequencies: Numbers) -> Numbers:
        return _low_pass(low / np.maximum(frequencies, 1e-3)) * _low_pass(frequencies / high)

    return filtered(clip, band)


def equalizer(clip: Clip, most_db: float) -> Samples:
    """Random smooth gains, the largest of them so many dB up or down: a microphone's or a loudspeaker's response."""
    drawn = clip.rng.standard_normal(N_GAINS)
    decibels = drawn * (most_db / np.abs(drawn).max())
    at = np.geomspace(LOWEST_GAIN_HZ, clip.sample_rate / 2, N_GAINS)

    def gains(frequencies: Numbers) -> npt.NDArray[np.float32]:
        octaves = np.log2(np.maximum(frequencies, LOWEST_GAIN_HZ).astype(np.float32))
        return np.exp(np.interp(octaves, np.log2(at), decibels * (np.log(10) / 20)).astype(np.float32))

    return filtered(clip, gains)


def phase(clip: Clip, degrees: float) -> Samples:
    """All phases turned by an angle: 180 degrees exchange the two wires of a microphone."""
    angle = np.deg2rad(degrees)

    def turn(frequencies: Numbers) -> npt.NDArray[np.complex128]:
        turned = np.full(len(frequencies), np.exp(1j * angle))
        turned[0] = np.cos(angle)  # what is constant has no phase
        return turned

    return filtered(clip, turn)


def aliasing(clip: Clip, ratio: float) -> Samples:
    """Resampled to a rate so many times lower without a filter, and back: careless software.

    What lies above half the lower rate is mirrored into the band below it.
    """
    n_kept = int(np.ceil(len(clip.samples) / ratio))
    kept = clip.samples[np.minimum(np.rint(np.arange(n_kept) * ratio).astype(np.int64), len(clip.samples) - 1)]
    return of_length(soxr.resample(kept, 1.0, ratio), len(clip.samples))


def _low_pass(relative: Numbers) -> Numbers:
    """Gains of a Butterworth filter of order 8, at frequencies relative to its edge: -3 dB there, 48 dB per octave."""
    for _ in range(4):  # to the 16th power
        relative = np.square(relative)
    return 1 / np.sqrt(1 + relative)
