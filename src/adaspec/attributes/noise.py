"""Noise that is added, at a signal-to-noise ratio over the whole clip."""

from __future__ import annotations

import numpy as np
import scipy.fft

from adaspec.attributes.arithmetic import at_level, rms
from adaspec.attributes.contract import Clip, Samples

__all__ = ["babble", "colored_noise", "white_noise"]

MOST_VOICES = 5  # of other clips, heard at once
LOWEST_HZ = 20.0  # below it, coloured noise is white: else all its power would be where nothing is heard


def white_noise(clip: Clip, snr_db: float) -> Samples:
    """White Gaussian noise: a microphone's, or an amplifier's."""
    return _with_noise(clip, clip.rng.standard_normal(len(clip.samples), dtype=np.float32), snr_db)


def colored_noise(clip: Clip, snr_db: float) -> Samples:
    """Pink or brown noise, drawn (power as 1/f or 1/f^2): traffic, wind, rooms."""
    power = clip.rng.choice([1.0, 2.0])
    n_samples = len(clip.samples)
    n_padded = scipy.fft.next_fast_len(n_samples, real=True)
    spectrum = clip.rng.standard_normal(2 * (n_padded // 2 + 1), dtype=np.float32).view(np.complex64)
    frequencies = scipy.fft.rfftfreq(n_padded, 1 / clip.sample_rate)
    spectrum *= (np.maximum(frequencies, LOWEST_HZ) ** (-power / 2)).astype(np.float32)
    noise: Samples = scipy.fft.irfft(spectrum, n_padded)[:n_samples]
    return _with_noise(clip, noise, snr_db)


def babble(clip: Clip, snr_db: float) -> Samples:
    """Up to five other clips at once, equally loud: other sources in the same place.

    Where there are none that sound, it is the clip itself, reversed and shifted.
    """
    others = [other for other in clip.others if len(other) and other.any()] or [clip.samples[::-1]]
    chosen = clip.rng.permutation(len(others))[:MOST_VOICES]
    noise = np.zeros_like(clip.samples)
    for index in chosen:
        start = int(clip.rng.integers(len(others[index])))
        noise += at_level(np.resize(np.roll(others[index], -start), len(noise)), 1.0)
    return _with_noise(clip, noise, snr_db)


def _with_noise(clip: Clip, noise: Samples, snr_db: float) -> Samples:
    return clip.samples + at_level(noise, rms(clip.samples) * 10 ** (-snr_db / 20))
