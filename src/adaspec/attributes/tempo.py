"""Pitch and duration: the direction is drawn. Speed changes both, time stretch and pitch one of them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import soxr

from adaspec.attributes.arithmetic import drawn_ratio, of_length
from adaspec.attributes.contract import Clip, Samples

__all__ = ["pitch", "speed", "time_stretch"]

Positions = npt.NDArray[np.int64]

HOP_S = 0.025  # half a frame
SEARCH_S = 0.01  # to either side: a period of 50 Hz in all
COARSE_HZ = 8000  # rate at which frames are first compared
NEARER = 0.01  # of a perfect match, that a frame at its own place is worth: what is constant then stays there


def speed(clip: Clip, ratio: float) -> Samples:
    """Played faster or slower, pitch and all: another clock, another size of the source."""
    return _faster(clip.samples, drawn_ratio(clip, ratio))


def time_stretch(clip: Clip, ratio: float) -> Samples:
    """Longer or shorter at the same pitch: another pace."""
    return _longer(clip.samples, clip.sample_rate, drawn_ratio(clip, ratio))


def pitch(clip: Clip, semitones: float) -> Samples:
    """Higher or lower at the same pace: another voice, another instrument."""
    ratio = drawn_ratio(clip, 2 ** (semitones / 12))
    longer = _longer(clip.samples, clip.sample_rate, ratio)
    return of_length(_faster(longer, ratio), len(clip.samples))


def _faster(samples: Samples, ratio: float) -> Samples:
    return of_length(soxr.resample(samples, ratio, 1.0), max(1, round(len(samples) / ratio)))


def _longer(samples: Samples, sample_rate: int, ratio: float) -> Samples:
    """Overlap frames of the clip where they match best (WSOLA).

    References
    ----------
    W. Verhelst and M. Roelands, "An overlap-add technique based on waveform similarity (WSOLA) for high quality
    time-scale modification of speech", ICASSP 1993, https://doi.org/10.1109/ICASSP.1993.319366
    """
    step = max(1, sample_rate // COARSE_HZ)
    hop = step * max(2, round(HOP_S * sample_rate / step))
    search = step * max(1, round(SEARCH_S * sample_rate / step))
    n_changed = max(1, round(len(samples) * ratio))
    # Frame k is centred at sample k * hop of the result, and there at k * hop / ratio of the clip.
    n_frames = n_changed // hop + 2
    wanted = search + np.rint(np.arange(n_frames) * (hop / ratio)).astype(np.int64)
    padded = np.pad(samples, (hop + search, max(0, int(wanted[-1]) - len(samples)) + 4 * hop + 2 * search))
    coarse = padded[: len(padded) // step * step].reshape(-1, step).mean(axis=1)
    starts = _matching(padded, coarse, wanted, hop, search)
    window = (0.5 - 0.5 * np.cos(np.arange(2 * hop) * (np.pi / hop))).astype(np.float32)
    frames = padded[starts[:, None] + np.arange(2 * hop)] * window
    joined = frames[1:, :hop] + frames[:-1, hop:]
    return joined.reshape(-1)[:n_changed]


def _matching(padded: Samples, coarse: Samples, wanted: Positions, hop: int, search: int) -> Positions:
    """Where frames begin: near where each is wanted, and as much as can be like what follows the frame before."""
    step = len(padded) // len(coarse)
    n_compared, n_lags = 2 * hop // step, 2 * search // step + 1
    power = np.concatenate([[0.0], np.cumsum(np.square(coarse), dtype=np.float64)])
    power = power[n_compared:] - power[:-n_compared]  # of the frame that begins at each coarse sample
    bonus = NEARER * (1 - np.abs(np.linspace(-1, 1, n_lags)))
    starts = wanted.copy()
    for k in range(1, len(wanted)):
        follows = starts[k - 1] + hop
        first, target = (wanted[k] - search) // step, follows // step
        candidates = coarse[first : first + n_compared + n_lags - 1]
        products = np.correlate(candidates, coarse[target : target + n_compared], "valid")
        scale = np.sqrt(power[first : first + n_lags] * power[target] + 1e-12)
        near = (first + int(np.argmax(products / scale + bonus))) * step
        low = max(0, near - step)
        products = np.correlate(padded[low : near + step + hop], padded[follows : follows + hop], "valid")
        starts[k] = low + int(np.argmax(products))
    return starts
