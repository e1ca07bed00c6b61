"""What the settings of the adaptive STFT may be, each checked under its own name."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from numbers import Integral
from typing import Any

from adaspec.errors import SettingError
from adaspec.frontends.compression import COMPRESSIONS
from adaspec.frontends.stft.phase import SLOPES

__all__ = ["check_settings"]

MOST_DENSE = 8192  # n_fft: 256 MiB of kernels, and as much again for their gradient and twice for Adam
MOST_LIFT = 20  # powers of ten; float32 holds 38
CHOICES: dict[str, tuple[Any, ...]] = {
    "power": (1, 2),
    "phase": tuple(SLOPES),
    "mel_scale": ("htk", "slaney", "erb", "bark", "linear", "log"),
    "mel_form": ("parametric", "free"),
    "mel_placement": ("sensitivity", "gradient"),
    "mel_norm": (None, "slaney"),
    "compression": tuple(COMPRESSIONS),
    "kernel_form": ("dense", "banded", "parametric"),
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
    if s["phase"] != "none" and s["power"] != 2:
        yield "phase", f" compares powers, but power={s['power']}; set power to 2, or phase to none"
    yield from _frequency_problems(s)
    yield from _kernel_problems(s)
    yield from _length_problems(s)
    yield from _compression_problems(s)


def _frequency_problems(s: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    half = s["sample_rate"] / 2
    if s["f_max"] > half:
        yield "f_max", f" exceeds half of the sample rate, {half} Hz; lower it or set it to null"
    if not 0 <= s["f_min"] < s["f_max"]:
        yield "f_min", f" must be at least 0 and below the highest frequency, {s['f_max']} Hz"
    if s["mel_scale"] == "log" and s["f_min"] == 0:
        yield "f_min", " must be above 0 Hz on the scale log"
    if s["mel_smooth"] < 1:
        yield "mel_smooth", " must be at least 1 (band)"
    if s["learn_mel"] and s["n_mels"] is None:
        yield "learn_mel", " needs mel bands, but there are none; set n_mels"


def _kernel_problems(s: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    n_freqs, form = s["n_fft"] // 2 + 1, s["kernel_form"]
    # Whether kernels are learned may change later, so that what they are kept to is checked where they are not, too.
    for name, plain in (("kernel_constraint", "free"), ("precision", 32)):
        if s[name] != plain and (form == "banded" or (name, form) == ("kernel_constraint", "parametric")):
            yield name, f" is not for {form} kernels; set it to {plain}, or the kernels' form to dense"
    if form == "banded" and not (s["band_width"] % 2 == 1 and 1 <= s["band_width"] <= n_freqs):
        yield "band_width", f" must be odd (a bin and as many neighbours on either side) and at most {n_freqs}"
    if s["kernel_smooth"] < 1:
        yield "kernel_smooth", " must be at least 1 (bin)"
    if s["learn_kernels"] and form != "banded" and s["n_fft"] > MOST_DENSE:
        yield (
            "n_fft",
            f" makes {s['n_fft']}^2 kernel values, above {MOST_DENSE}^2; lower n_fft, or learn banded kernels",
        )


def _length_problems(s: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    most = s["n_mels"] or 1
    if not 1 <= s["length_groups"] <= most:
        yield "length_groups", f" must be from 1 to {most}, the number of mel bands"
    if s["learn_length"] and s["learn_kernels"] and s["kernel_form"] == "parametric":
        yield "learn_length", " is learned with parametric kernels already, for every bin; switch one of the two off"


def _compression_problems(s: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name in ("pcen_time_constant_s", "pcen_gain", "pcen_bias", "pcen_power", "pcen_eps"):
        if not 0 < s[name] < math.inf:
            yield name, " must be above 0"
    if s["pcen_initial"] is not None and not 0 <= s["pcen_initial"] < math.inf:
        yield "pcen_initial", " must be at least 0, or None for the first frame's own level"
    lift = -s["pcen_gain"] * math.log10(s["pcen_eps"])
    if lift > MOST_LIFT:
        yield (
            "pcen_gain",
            f" with pcen_eps={s['pcen_eps']} lifts silence by a factor of 1e{lift:.0f}, and float32 holds no more than "
            f"1e{MOST_LIFT} of it; lower the gain or raise pcen_eps",
        )
    if s["learn_compression"] and s["compression"] != "pcen":
        yield "learn_compression", f" needs compression=pcen, which can learn; {s['compression']} has nothing to learn"
