"""Copies by the short-time spectrum: magnitudes that lost detail, or their phases."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from adaspec.tasks.spoofing.resynthesis.arithmetic import (
    FLOOR,
    chance,
    envelope_frame,
    istft,
    random_frame,
    random_phase,
    random_real,
    random_whole,
    smoothed,
    stft,
    with_phases,
)

__all__ = [
    "advance_phases",
    "interpolate_frames",
    "invert_bands",
    "invert_magnitudes",
    "jitter_phases",
    "keep_peaks",
    "lower_rank",
    "smooth_in_time",
]


def invert_magnitudes(waveforms: Tensor, sample_rate: int) -> Tensor:
    """Keep magnitudes, guess phases."""
    n_fft, hop = random_frame(sample_rate)
    magnitudes = stft(waveforms, n_fft, hop).abs()
    return with_phases(magnitudes, random_phase(magnitudes), n_fft, hop, waveforms.shape[1], random_whole(0, 6))


def invert_bands(waveforms: Tensor, sample_rate: int) -> Tensor:
    """Keep the powers of few bands, guess what lies within them and the phases."""
    n_fft, hop = random_frame(sample_rate)
    magnitudes = stft(waveforms, n_fft, hop).abs()
    n_freqs = magnitudes.shape[1]
    n_bands = random_whole(16, 48)
    # Triangles on the mel scale, as weights of each frequency in its neighbouring bands.
    mel = torch.log1p(torch.arange(n_freqs, device=waveforms.device) * sample_rate / n_fft / 700)
    place = mel / mel[-1] * (n_bands - 1)
    weights = (1 - (place[:, None] - torch.arange(n_bands, device=waveforms.device)).abs()).clamp_min(0)
    filled = weights.sum(dim=0).clamp_min(1e-6)
    powers = torch.einsum("fb,nft->nbt", weights, magnitudes.square()) / filled[:, None]
    coarse = torch.einsum("fb,nbt->nft", weights, powers).sqrt()
    fine = (magnitudes / (coarse + FLOOR)).clamp(FLOOR, 4) ** random_real(0, 0.6)
    return with_phases(coarse * fine, random_phase(coarse), n_fft, hop, waveforms.shape[1], random_whole(0, 6))


def advance_phases(waveforms: Tensor, sample_rate: int) -> Tensor:
    """Replace phases by the advance of each frequency from frame to frame, with some jitter."""
    n_fft, hop = random_frame(sample_rate)
    magnitudes = stft(waveforms, n_fft, hop).abs()
    frequency = torch.arange(magnitudes.shape[1], device=waveforms.device)[:, None]
    frame = torch.arange(magnitudes.shape[2], device=waveforms.device)
    turns = (frequency * frame * hop % n_fft) / n_fft
    phases = 2 * math.pi * turns + random_real(0, 0.4) * random_phase(magnitudes)
    return istft(torch.polar(magnitudes, phases), n_fft, hop, waveforms.shape[1])


def jitter_phases(waveforms: Tensor, sample_rate: int) -> Tensor:
    """Disturb the phases."""
    n_fft, hop = random_frame(sample_rate)
    spectra = stft(waveforms, n_fft, hop)
    turn = torch.randn_like(spectra.real) * random_real(0.4, 1.5)
    return istft(spectra * torch.polar(torch.ones_like(turn), turn), n_fft, hop, waveforms.shape[1])


def keep_peaks(waveforms: Tensor, sample_rate: int) -> Tensor:
    """Keep the spectral peaks, as a sum of sinusoids does.

    References
    ----------
    R. McAulay and T. Quatieri, "Speech Analysis/Synthesis Based on a Sinusoidal Representation", IEEE TASSP 34(4), 1986
    """
    n_fft, hop = random_frame(sample_rate)
    spectra = stft(waveforms, n_fft, hop)
    magnitudes = spectra.abs()
    is_peak = magnitudes == nn.functional.max_pool2d(magnitudes, (3, 1), 1, (1, 0))
    lobes = nn.functional.max_pool2d(is_peak.float(), (3, 1), 1, (1, 0))
    loud = magnitudes > magnitudes.quantile(random_real(0.5, 0.85), dim=1, keepdim=True)
    return istft(spectra * lobes * loud, n_fft, hop, waveforms.shape[1])


def smooth_in_time(waveforms: Tensor, sample_rate: int) -> Tensor:
    """Average magnitudes over neighbouring frames, as coarse parameter tracks do."""
    n_fft, hop, _ = envelope_frame(sample_rate)
    spectra = stft(waveforms, n_fft, hop)
    magnitudes = smoothed(spectra.abs(), 2 * random_whole(1, 4) + 1)
    return istft(torch.polar(magnitudes, spectra.angle()), n_fft, hop, waveforms.shape[1])


def interpolate_frames(waveforms: Tensor, sample_rate: int) -> Tensor:
    """Keep every few frames, and draw straight lines between their logarithms."""
    n_fft, hop = random_frame(sample_rate)
    spectra = stft(waveforms, n_fft, hop)
    logarithms, step = (spectra.abs() + FLOOR).log(), random_whole(2, 6)
    place = torch.arange(logarithms.shape[2], device=waveforms.device)
    before = place // step * step
    after = (before + step).clamp_max(logarithms.shape[2] - 1)
    drawn = torch.lerp(logarithms[:, :, before], logarithms[:, :, after], (place - before) / step).exp()
    phases = spectra.angle() if chance(0.5) else random_phase(drawn)
    return with_phases(drawn, phases, n_fft, hop, waveforms.shape[1], random_whole(0, 3))


def lower_rank(waveforms: Tensor, sample_rate: int) -> Tensor:
    """Build magnitudes, or their logarithms, from a few spectra that rise and fall."""
    n_fft, hop = random_frame(sample_rate)
    spectra = stft(waveforms, n_fft, hop)
    in_logarithms = chance(0.5)
    values = (spectra.abs() + FLOOR).log() if in_logarithms else spectra.abs()
    shapes, sizes, courses = torch.linalg.svd(values, full_matrices=False)
    rank = random_whole(3, 10)
    built = (shapes[:, :, :rank] * sizes[:, None, :rank]) @ courses[:, :rank]
    magnitudes = built.exp() if in_logarithms else built.clamp_min(0)
    return with_phases(magnitudes, spectra.angle(), n_fft, hop, waveforms.shape[1], random_whole(0, 1))
