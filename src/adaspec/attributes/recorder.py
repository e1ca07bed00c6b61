"""What a recorder does to samples: its gain, its range, its offset, its bits, and when it is switched on."""

from __future__ import annotations

import numpy as np

from adaspec.attributes.arithmetic import rms
from adaspec.attributes.contract import Clip, Samples

__all__ = ["clipping", "dc_offset", "gain", "mu_law", "silence"]

MU = 255.0  # of ITU-T G.711


def gain(clip: Clip, quieter_db: float) -> Samples:
    """Turned down, then rounded to 16 bits: a distant source, a low recording level."""
    return np.rint(clip.samples * np.float32(2**15 * 10 ** (-quieter_db / 20))) / np.float32(2**15)


def clipping(clip: Clip, over_db: float) -> Samples:
    """Turned up until the peak passes full scale, and cut off there: a recording level too high."""
    peak = np.abs(clip.samples).max()
    return np.clip(clip.samples * (np.float32(10 ** (over_db / 20)) / peak), -1, 1) if peak else clip.samples


def dc_offset(clip: Clip, of_rms: float) -> Samples:
    """A constant of either sign: a cheap converter; the sound itself keeps its level."""
    return clip.samples + np.float32(clip.rng.choice([-1, 1]) * of_rms * rms(clip.samples))


def mu_law(clip: Clip, bits: float) -> Samples:
    """Rounded on a logarithmic scale, the peak at full scale: digital telephony.

    Steps are odd about zero, so that silence stays. 8 bits are those of telephony.

    References
    ----------
    ITU-T Recommendation G.711 (1988), the continuous law with mu = 255.
    """
    peak = np.abs(clip.samples).max()
    if not peak:
        return clip.samples
    n_steps = round(2 ** (bits - 1) - 1)  # on either side of zero
    compressed = np.log1p(np.abs(clip.samples) * np.float32(MU / peak)) * np.float32(n_steps / np.log1p(MU))
    expanded = np.expm1(np.linspace(0, np.log1p(MU), n_steps + 1)) / MU
    return np.copysign(expanded.astype(np.float32)[np.rint(compressed).astype(np.intp)], clip.samples)


def silence(clip: Clip, edge_s: float) -> Samples:
    """Digital silence before the clip and after it: cut out less tightly; the sound itself keeps its level."""
    return np.pad(clip.samples, round(edge_s * clip.sample_rate))
