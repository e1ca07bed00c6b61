"""Short sounds of known kinds, each within +-1; made once, and not to be written to."""

import functools

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]
ONSETS_S = (0.05, 0.3, 0.74, 1.3, 1.42)  # irregular, so that no shift maps the sound to itself


def _envelope(times: npt.NDArray[np.float64], decay_s: float) -> npt.NDArray[np.float64]:
    since = np.stack([np.where(times >= onset, times - onset, np.inf) for onset in ONSETS_S])
    return np.exp(-since / decay_s).max(axis=0)


def _scaled(samples: npt.NDArray[np.float64]) -> Samples:
    scaled = (0.5 * samples / np.abs(samples).max()).astype(np.float32)
    scaled.setflags(write=False)
    return scaled


@functools.cache
def noise_bursts(sample_rate: int, n_s: float = 2.0) -> Samples:
    """White noise that decays after each onset."""
    times = np.arange(int(n_s * sample_rate)) / sample_rate
    noise = np.random.default_rng(1).standard_normal(len(times))
    return _scaled(noise * (_envelope(times, 0.1) + 0.003))


@functools.cache
def speech_like(sample_rate: int, n_s: float = 2.0) -> Samples:
    """Harmonics of a gliding tone of 120 Hz through three formants, in syllables, and breath."""
    times = np.arange(int(n_s * sample_rate)) / sample_rate
    tone_hz = 120 * (1 + 0.2 * np.sin(2 * np.pi * 0.7 * times))
    angle = 2 * np.pi * np.cumsum(tone_hz) / sample_rate
    voice = np.zeros(len(times))
    for k in range(1, int(min(4000.0, 0.4 * sample_rate) / 144)):
        formants = sum(np.exp(-(((120 * k - hz) / width) ** 2)) for hz, width in ((500, 200), (1500, 300), (2500, 400)))
        voice += np.sin(k * angle) * formants / k**0.5
    noise = np.random.default_rng(2).standard_normal(len(times))
    return _scaled(voice * _envelope(times, 0.2) + 0.03 * noise * _envelope(times + 0.05, 0.05) + 0.001 * noise)


@functools.cache
def tone_complex(sample_rate: int, n_s: float = 2.0) -> Samples:
    """Two struck harmonic tones, 196 and 311 Hz, up to 0.45 of the sample rate, over a little noise."""
    times = np.arange(int(n_s * sample_rate)) / sample_rate
    tones = np.zeros(len(times))
    for base_hz in (196.0, 311.0):
        for k in range(1, int(min(0.45 * sample_rate, 12000.0) / base_hz)):
            tones += np.sin(2 * np.pi * k * base_hz * times + k * k) / k
    noise = np.random.default_rng(3).standard_normal(len(times))
    return _scaled(tones * _envelope(times, 0.3) + 0.003 * noise)


SOUNDS = (noise_bursts, speech_like, tone_complex)
