"""A room around the source."""

from __future__ import annotations

import numpy as np
import scipy.fft

from adaspec.attributes.contract import Clip, Samples

__all__ = ["reverb"]

VOLUME_M3 = 200.0  # of a classroom
DISTANCE_M = 2.0  # between source and microphone
FIRST_S = 0.005  # after the direct sound, the first reflection: a way 1.7 m longer


def reverb(clip: Clip, rt60_s: float) -> Samples:
    """A room of this reverberation time (RT60), 200 m^3 large, the microphone 2 m away.

    White Gaussian noise that decays by 60 dB in `rt60_s` follows the direct sound. A diffuse field is as loud as the
    direct sound at the critical distance, 0.057 sqrt(volume / RT60), so that a longer reverberation is a louder one.
    The clip keeps its length.

    References
    ----------
    H. Kuttruff, "Room Acoustics", 6th edition, CRC Press 2016, sections 5.1 (diffuse field, critical distance) and 8.3
    (reverberation as decaying noise).
    """
    n_samples, sample_rate = len(clip.samples), clip.sample_rate
    n_tail = min(n_samples, int(np.ceil(rt60_s * sample_rate)))
    decay = np.log(10**6) / (rt60_s * sample_rate)  # of the power, per sample
    reverberant = DISTANCE_M**2 * rt60_s / (0.057**2 * VOLUME_M3)  # power, relative to the direct sound
    response = clip.rng.standard_normal(n_tail, dtype=np.float32)
    response *= np.exp(np.arange(n_tail, dtype=np.float32) * np.float32(-decay / 2))
    response *= np.float32(np.sqrt(reverberant * decay))
    response[: int(FIRST_S * sample_rate)] = 0
    response[0] = 1
    n_padded = scipy.fft.next_fast_len(n_samples + n_tail, real=True)
    spectrum = scipy.fft.rfft(clip.samples, n_padded) * scipy.fft.rfft(response, n_padded)
    changed: Samples = scipy.fft.irfft(spectrum, n_padded)[:n_samples]
    return changed
