"""From power to features: mel bands, and compression to a scale that a network can use."""

from __future__ import annotations

import math
import warnings
from typing import Literal

import torch
import torchaudio
from torch import Tensor

__all__ = ["Compression", "MelNorm", "MelScale", "compress", "mel_bands"]

Compression = Literal["log10", "log1p", "db"]
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
    ValueError
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
        raise ValueError(
            f"{n_empty} of n_mels={n_mels} bands between {f_min} and {f_max} Hz hold no bin of n_fft={n_fft} "
            f"at {sample_rate} Hz; lower n_mels or raise n_fft"
        )
    return bands, normed.sum(dim=0) / bands.sum(dim=0)


def compress(energy: Tensor, compression: Compression, log_base: float | None, *, magnitude: bool) -> Tensor:
    """Compress energies E, with a gradient that is finite on digital silence.

    Parameters
    ----------
    energy : Tensor
        Not negative.
    compression : {"log10", "log1p", "db"}
        log10(1 + c E), ln(1 + c E), or decibels with a floor: 10 log10(max(E, 1/c)), of magnitudes 20 log10.
    log_base : float or None
        c; None leaves the energies as they are.
    magnitude : bool
        Whether the energies are magnitudes, not powers.
    """
    if log_base is None:
        return energy
    if compression == "db":
        return (20 if magnitude else 10) * energy.clamp_min(1 / log_base).log10()
    compressed = torch.log1p(log_base * energy)
    return compressed if compression == "log1p" else compressed / math.log(10)
