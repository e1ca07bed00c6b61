"""What several attributes are made of: levels, lengths and filters."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import scipy.fft

from adaspec.attributes.contract import Clip, Samples

__all__ = ["at_level", "drawn_ratio", "filtered", "of_length", "restored", "rms", "within_full_scale"]

VANISHED = 1e-4  # of the former level, or 80 dB below it: what remains is rounding, which is not made louder
RINGING_S = 0.1  # of a filter, beyond the ends of a clip


def rms(samples: Samples) -> float:
    """Root mean square."""
    return float(np.sqrt(np.square(samples).mean(dtype=np.float64)))


def at_level(samples: Samples, level: float) -> Samples:
    """Scale to a root mean square; silence stays."""
    now = rms(samples)
    return samples * np.float32(level / now) if now else samples


def restored(changed: Samples, level: float) -> Samples:
    """Scale to a clip's former level; what has vanished stays so."""
    return at_level(changed, level) if rms(changed) > VANISHED * level else changed


def within_full_scale(samples: Samples) -> Samples:
    """Scale down what passes +-1, as whoever writes it to a file has to: clipping is an attribute of its own."""
    peak = float(np.abs(samples).max())
    return np.clip(samples * np.float32(1 / peak), -1, 1) if peak > 1 else samples


def of_length(samples: Samples, n_samples: int) -> Samples:
    """Cut off the end, or let silence follow."""
    return np.pad(samples[:n_samples], (0, max(0, n_samples - len(samples))))


def drawn_ratio(clip: Clip, ratio: float) -> float:
    """The ratio or its inverse, by a coin."""
    return ratio if clip.rng.random() < 0.5 else 1 / ratio


def filtered(clip: Clip, gains: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.generic]]) -> Samples:
    """Multiply a clip's spectrum.

    Parameters
    ----------
    clip : Clip
    gains : callable
        From frequencies in Hz, (n_freqs,), to factors, real (no delay) or complex.
    """
    n_samples = len(clip.samples)
    n_padded = scipy.fft.next_fast_len(n_samples + int(RINGING_S * clip.sample_rate), real=True)
    spectrum = scipy.fft.rfft(clip.samples, n_padded)
    factors = gains(scipy.fft.rfftfreq(n_padded, 1 / clip.sample_rate))
    spectrum *= factors.astype(np.complex64 if np.iscomplexobj(factors) else np.float32)
    changed: Samples = scipy.fft.irfft(spectrum, n_padded)[:n_samples]
    return changed
