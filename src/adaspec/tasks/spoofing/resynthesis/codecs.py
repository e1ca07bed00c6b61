"""Speech codecs of few bits: excitations, magnitudes and samples in coarse steps."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from adaspec.tasks.spoofing.resynthesis.arithmetic import (
    FLOOR,
    chance,
    istft,
    linear_prediction,
    random_frame,
    random_real,
    random_whole,
    response,
    running_level,
    stft,
)
from adaspec.tasks.spoofing.resynthesis.vocoders import prediction_frame

__all__ = ["code_excitation", "quantise_magnitudes", "quantise_samples"]


def code_excitation(waveforms: Tensor, sample_rate: int) -> Tensor:
    """Keep of what linear prediction leaves its large pulses, every few samples, or coarse steps.

    References
    ----------
    P. Kroon, E. Deprettere and R. Sluyter, "Regular-Pulse Excitation: A Novel Approach to Effective and Efficient
    Multipulse Coding of Speech", IEEE TASSP 34(5), 1986
    """
    n_fft, hop, order = prediction_frame(sample_rate)
    spectra = stft(waveforms, n_fft, hop)
    whitening = response(linear_prediction(spectra, order)[0], n_fft)
    residual = istft(spectra * whitening, n_fft, hop, waveforms.shape[1])
    level = running_level(residual, 2 * (sample_rate // 100) + 1)
    pulses = residual / level
    way = random_whole(0, 2)
    if way == 0:
        least = random_real(0.6, 1.5)
        coded = torch.where(pulses.abs() > least, pulses.sign() * (least + 0.6), 0.0)
    elif way == 1:
        step = random_whole(2, 4)
        coded = torch.zeros_like(pulses)
        coded[:, ::step] = pulses[:, ::step] * math.sqrt(step)
    else:
        size = random_real(0.8, 2.0)
        coded = (pulses / size).round() * size
    return istft(stft(coded * level, n_fft, hop) / (whitening + 1e-3), n_fft, hop, waveforms.shape[1])


def quantise_magnitudes(waveforms: Tensor, sample_rate: int) -> Tensor:
    """Round magnitudes to steps of some dB, drop weak ones or put noise there, and round some phases."""
    n_fft, hop = random_frame(sample_rate)
    spectra = stft(waveforms, n_fft, hop)
    magnitudes, phases = spectra.abs(), spectra.angle()
    step = random_real(2, 8) * math.log(10) / 20
    coarse = (((magnitudes + FLOOR).log() / step).round() * step).exp()
    floor = magnitudes.amax(dim=1, keepdim=True) * 10 ** (-random_real(15, 35) / 20)
    filling = 0.0 if chance(0.5) else 0.5 * floor * torch.rand_like(coarse)
    coarse = torch.where(magnitudes < floor, filling, coarse)
    if chance(0.5):
        turn = 2 * math.pi / random_whole(4, 12)
        phases = (phases / turn).round() * turn
    return istft(torch.polar(coarse, phases), n_fft, hop, waveforms.shape[1])


def quantise_samples(waveforms: Tensor, sample_rate: int) -> Tensor:
    """Round samples to a few steps that follow the level, finer ones near zero."""
    level = running_level(waveforms, 2 * int(sample_rate * random_real(0.0025, 0.015)) + 1)
    mu, n_steps = random_real(5, 60), random_real(2, 6)
    compressed = torch.log1p(mu * (waveforms / level).abs() / 4) / math.log1p(mu)
    coarse = (compressed * n_steps).round() / n_steps
    return waveforms.sign() * 4 / mu * torch.expm1(coarse * math.log1p(mu)) * level
