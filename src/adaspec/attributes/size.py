"""How large a change is, in dB."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.fft

from adaspec.attributes.arithmetic import of_length
from adaspec.attributes.contract import Samples

__all__ = ["change_to_signal_db", "log_spectral_distance_db"]

LIMIT_DB = 120.0
N_FFT = 1024
HOP = N_FFT // 2
# First bins of bands: a third of an octave from the half sample rate down, as far as there are bins.
BANDS = np.unique(np.rint(N_FFT / 2 * 2 ** (-np.arange(1, 22) / 3)).astype(np.int64))
BANDS[0] = 0
FLOOR_DB = 60.0  # below the loudest band of the clip


def change_to_signal_db(before: Samples, after: Samples) -> float:
    """Power of the difference relative to the clip's, 10 log10(|after - before|^2 / |before|^2).

    Limited to +-120 dB: -120 dB are no change, +120 dB is what was silent and sounds.
    """
    signal = np.square(before).sum(dtype=np.float64)
    difference = np.square(after - before).sum(dtype=np.float64)
    limit = 10 ** (LIMIT_DB / 10)
    if difference <= signal / limit:
        return -LIMIT_DB
    return float(10 * np.log10(difference / signal)) if difference < signal * limit else LIMIT_DB


def log_spectral_distance_db(before: Samples, after: Samples) -> float:
    """Difference of the levels of frames and bands in dB: the root of its mean square over the frames of `before`.

    Frames have 1024 samples, bands are a third of an octave wide. Both clips begin together, and the shorter one is
    followed by silence: frames beyond the end of `before` add to the sum, so that a longer change is a larger one.
    Levels more than 60 dB below the loudest of `before` count as that. 0 dB are no change.
    """
    n_samples = max(len(before), len(after))
    first, second = (_band_powers(of_length(each, n_samples)) for each in (before, after))
    floor = max(float(first.max()) * 10 ** (-FLOOR_DB / 10), 10 ** (-LIMIT_DB / 10))
    squares = np.square(10 * np.log10(np.maximum(second, floor) / np.maximum(first, floor)))
    return float(np.sqrt(squares.mean(axis=1, dtype=np.float64).sum() / _n_frames(len(before))))


def _n_frames(n_samples: int) -> int:
    return 1 + n_samples // HOP


def _band_powers(samples: Samples) -> npt.NDArray[np.float32]:
    """Of frames that are centred at every `HOP`-th sample: (n_frames, n_bands)."""
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(samples, HOP), N_FFT)[::HOP]
    spectra = scipy.fft.rfft(frames * np.hanning(N_FFT).astype(np.float32))
    powers = np.square(spectra.real) + np.square(spectra.imag)
    return np.add.reduceat(powers, BANDS, axis=1)
