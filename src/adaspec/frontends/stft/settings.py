"""What the settings of the adaptive STFT may be, each checked under its own name."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping
from numbers import Integral
from typing import Any

import torch
from torch import Tensor, nn

from adaspec.errors import SettingError

__all__ = ["centred_window", "check_settings", "window_length"]

MOST_DENSE = 8192  # n_fft: 256 MiB of kernels, and as much again for their gradient and twice for Adam
CHOICES: dict[str, tuple[Any, ...]] = {
    "power": (1, 2),
    "mel_scale": ("htk", "slaney"),
    "mel_norm": (None, "slaney"),
    "compression": ("log10", "log1p", "db", "none"),
    "kernel_form": ("dense", "banded"),
    "kernel_constraint": ("free", "unit_norm", "orthonormal"),
    "precision": (32, "bf16"),
}


def check_settings(s: Mapping[str, Any]) -> None:
    """Refuse settings that are out of range or contradict each other.

    Parameters
    ----------
    s : mapping
        Arguments of `AdaptiveSTFT`, with `win_length` and `f_max` filled in.

    Raises
    ------
    SettingError
        Names the setting, what was got, what is allowed and what to do.
    """
    for setting, reason in _problems(s):
        raise SettingError(setting, f"={s[setting]}{reason}")


def _problems(s: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Settings that are wrong, and how their messages go on after NAME=VALUE; each check relies on those before."""
    n_fft = s["n_fft"]
    if not isinstance(n_fft, Integral) or n_fft < 1:
        yield "n_fft", " must be a whole number of at least 1"
    if not s["sample_rate"] > 0:
        yield "sample_rate", " must be above 0"
    if s["win_length"] > n_fft:
        yield "win_length", f" exceeds n_fft={n_fft}; raise n_fft or lower win_length"
    for name in ("win_length", "hop_length", "n_transforms"):
        if s[name] < 1:
            yield name, " must be at least 1"
    if not 0 < s["window_ratio"] <= 1:
        yield "window_ratio", " must be above 0 and at most 1"
    if s["n_mels"] is not None and s["n_mels"] < 1:
        yield "n_mels", " must be None or at least 1"
    if not 0 < s["gamma"] < math.inf:
        yield "gamma", " must be above 0"
    for name, allowed in CHOICES.items():
        if s[name] not in allowed:
            yield name, f" must be {' or '.join(map(str, allowed))}"
    yield from _frequency_problems(s)
    yield from _kernel_problems(s)


def _frequency_problems(s: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    half = s["sample_rate"] / 2
    if s["f_max"] > half:
        yield "f_max", f" exceeds half of the sample rate, {half} Hz; lower it or set it to null"
    if not 0 <= s["f_min"] < s["f_max"]:
        yield "f_min", f" must be at least 0 and below f_max={s['f_max']} (in Hz)"
    if s["learn_mel"] and s["n_mels"] is None:
        yield "learn_mel", " needs mel bands, but there are none; set n_mels"


def _kernel_problems(s: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    n_freqs, banded = s["n_fft"] // 2 + 1, s["kernel_form"] == "banded"
    # Whether kernels are learned may change later, so that what they are kept to is checked where they are not, too.
    if banded and s["kernel_constraint"] != "free":
        yield "kernel_constraint", " is for dense kernels; set it to free, or the kernels' form to dense"
    if banded and s["precision"] != 32:
        yield "precision", " is for dense kernels; set it to 32, or the kernels' form to dense"
    if banded and not (s["band_width"] % 2 == 1 and 1 <= s["band_width"] <= n_freqs):
        yield "band_width", f" must be odd (a bin and as many neighbours on either side) and at most {n_freqs}"
    if s["learn_kernels"] and not banded and s["n_fft"] > MOST_DENSE:
        yield (
            "n_fft",
            f" makes {s['n_fft']}^2 learned kernel values, above {MOST_DENSE}^2; lower n_fft, or learn banded kernels",
        )


def window_length(win_length: int, ratio: float) -> int:
    """Shorter window length of the same parity, so that both have the same centre."""
    return max(win_length - 2 * round(win_length * (1 - ratio) / 2), 2 - win_length % 2)


def centred_window(window: str | tuple[Any, ...], length: int, win_length: int) -> Tensor:
    """Periodic window of `length` samples in the middle of `win_length`: (win_length,).

    Raises
    ------
    SettingError
        scipy.signal.get_window does not know it, or its values are not finite.
    """
    if window == "hann":  # as nearly always: no need to import scipy.signal, which takes a second
        values = torch.hann_window(length, dtype=torch.float64)
    else:
        from scipy.signal import get_window

        window = tuple(window) if isinstance(window, list) else window
        try:
            if not isinstance(window, str | tuple):
                raise TypeError("neither a name nor a list")
            with warnings.catch_warnings(action="ignore"):  # of values that are no numbers, refused below
                values = torch.from_numpy(get_window(window, length))
            if not values.isfinite().all():
                raise ValueError("its values are not finite")
        except (ValueError, TypeError, AttributeError, IndexError) as error:
            raise SettingError(
                "window",
                f"={window!r} is not a window of scipy.signal.get_window ({error}); use for example hann, hamming, "
                "boxcar or [kaiser, 14.0]",
            ) from None
    return nn.functional.pad(values.float(), ((win_length - length) // 2, (win_length - length) // 2))
