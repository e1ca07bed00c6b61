"""Mel bands: triangles over the bins of a transform."""

from __future__ import annotations

import warnings
from typing import Literal

import torchaudio
from torch import Tensor

from adaspec.errors import SettingError

__all__ = ["MelNorm", "MelScale", "mel_bands"]

MelScale = Literal["htk", "slaney"]
MelNorm = Literal["slaney"]


def mel_bands(
    sample_rate: int, n_fft: int, n_mels: int, f_min: float, f_max: float, scale: MelScale, norm: MelNorm | None
) -> tuple[Tensor, Tensor]:
    """Triangular mel bands of height 1, and the factor that brings each to its norm.

    They are apart so that one learning rate suits both norms: bands of area 1 are a hundred times lower.

    Parameters
    ----------
    sample_rate, n_fft, n_mels : int
    f_min, f_max : float
        In Hz.
    scale : {"htk", "slaney"}
        Logarithmic throughout (HTK), or linear below 1 kHz (Slaney's Auditory Toolbox).
    norm : {"slaney"} or None
        Triangles of area 1 in Hz, or of height 1.

    Returns
    -------
    bands : Tensor of shape (n_fft//2 + 1, n_mels)
    gains : Tensor of shape (n_mels,)
        All 1 without a norm.

    Raises
    ------
    SettingError
        A band holds no bin.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="At least one mel filterbank has all zero values")
        bands, normed = (
            torchaudio.functional.melscale_fbanks(n_fft // 2 + 1, f_min, f_max, n_mels, sample_rate, each, scale)
            for each in (None, norm)
        )
    n_empty = int((~bands.any(dim=0)).sum())
    if n_empty:
        raise SettingError(
            "n_mels",
            f"={n_mels} leaves {n_empty} bands between {f_min} and {f_max} Hz without a bin of n_fft={n_fft} at "
            f"{sample_rate} Hz; lower n_mels or raise n_fft",
        )
    return bands, normed.sum(dim=0) / bands.sum(dim=0)
