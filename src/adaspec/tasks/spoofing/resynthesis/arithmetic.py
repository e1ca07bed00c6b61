"""What ways to take speech apart and put it together again have in common."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

__all__ = [
    "FLOOR",
    "Method",
    "chance",
    "envelope",
    "envelope_frame",
    "excitation",
    "istft",
    "linear_prediction",
    "overlap_add",
    "random_frame",
    "random_phase",
    "random_real",
    "random_whole",
    "response",
    "running_level",
    "same_level",
    "shortest",
    "smoothed",
    "speech_frame",
    "stft",
    "with_phases",
]

Method = Callable[[Tensor, int], Tensor]  # waveforms (batch, n_samples), sample rate -> waveforms
FLOOR = 1e-5  # of magnitudes, before their logarithm


def random_real(low: float, high: float) -> float:
    """A number from low to high."""
    return low + (high - low) * float(torch.rand(()))


def random_whole(low: int, high: int) -> int:
    """A whole number from low to high, both included."""
    return int(torch.randint(low, high + 1, ()))


def chance(share: float) -> bool:
    """True with this probability."""
    return float(torch.rand(())) < share


def _window(n_fft: int, like: Tensor) -> Tensor:
    return torch.hann_window(n_fft, device=like.device)


def stft(waveforms: Tensor, n_fft: int, hop: int) -> Tensor:
    """Complex spectra (batch, n_freqs, n_frames) of waveforms (batch, n_samples)."""
    return torch.stft(waveforms, n_fft, hop, window=_window(n_fft, waveforms), return_complex=True)


def istft(spectra: Tensor, n_fft: int, hop: int, n_samples: int | None) -> Tensor:
    """Waveforms of spectra."""
    return torch.istft(spectra, n_fft, hop, window=_window(n_fft, spectra.real), length=n_samples)


def speech_frame(sample_rate: int, milliseconds: float) -> int:
    """Power of two nearest to a duration, in samples."""
    return 2 ** max(5, round(math.log2(sample_rate * milliseconds / 1000)))


def random_frame(sample_rate: int) -> tuple[int, int]:
    """Length and hop of frames of 16, 32 or 64 ms that overlap by a half or three quarters."""
    n_fft = speech_frame(sample_rate, 16.0 * 2 ** random_whole(0, 2))
    return n_fft, n_fft // 2 ** random_whole(1, 2)


def shortest(sample_rate: int) -> int:
    """Samples that a waveform must have: the longest frame, half of which is reflected at its ends."""
    return speech_frame(sample_rate, 64.0)


def random_phase(magnitudes: Tensor) -> Tensor:
    """Phases of this shape, evenly distributed."""
    return 2 * math.pi * torch.rand_like(magnitudes)


def with_phases(magnitudes: Tensor, phases: Tensor, n_fft: int, hop: int, n_samples: int, n_rounds: int) -> Tensor:
    """Waveforms of magnitudes and first phases, which rounds of Griffin and Lim bring nearer to each other.

    References
    ----------
    D. Griffin and J. Lim, "Signal Estimation from Modified Short-Time Fourier Transform", IEEE TASSP 32(2), 1984
    """
    waveforms = istft(torch.polar(magnitudes, phases), n_fft, hop, n_samples)
    for _ in range(n_rounds):
        phases = stft(waveforms, n_fft, hop).angle()
        waveforms = istft(torch.polar(magnitudes, phases), n_fft, hop, n_samples)
    return waveforms


def envelope_frame(sample_rate: int) -> tuple[int, int, int]:
    """Length and hop of frames of 32 ms, and how many cepstra make the envelope."""
    n_fft = speech_frame(sample_rate, 32.0)
    return n_fft, n_fft // 4, random_whole(8, 30)


def envelope(magnitudes: Tensor, n_cepstra: int) -> Tensor:
    """Logarithm of magnitudes (batch, n_freqs, n_frames), smoothed to their first cepstra."""
    cepstra = torch.fft.irfft((magnitudes + FLOOR).log(), dim=1)
    cepstra[:, n_cepstra : cepstra.shape[1] - n_cepstra + 1] = 0
    return torch.fft.rfft(cepstra, dim=1).real


def linear_prediction(spectra: Tensor, order: int) -> tuple[Tensor, Tensor]:
    """Whitening filters of frames by the autocorrelation method.

    Parameters
    ----------
    spectra : Tensor of shape (batch, n_freqs, n_frames)
        Complex.
    order : int
        Of the prediction, below n_freqs.

    Returns
    -------
    filters : Tensor of shape (batch, order + 1, n_frames)
        Their first value is 1.
    levels : Tensor of shape (batch, n_frames)
        Root of the energy that the prediction leaves.

    References
    ----------
    N. Levinson, "The Wiener RMS Error Criterion in Filter Design and Prediction", J. Math. Phys. 25, 1946, in the form
    of J. Durbin, 1960
    """
    correlation = torch.fft.irfft(spectra.abs().square(), dim=1)[:, : order + 1]
    # A little white noise, and resonances no narrower than speech has: filters that can be inverted.
    lags = torch.arange(order + 1, device=spectra.device)
    correlation = correlation * torch.exp(-0.5 * (0.012 * lags).square())[:, None]
    correlation = torch.cat([correlation[:, :1] * 1.0001 + FLOOR**2, correlation[:, 1:]], dim=1)
    filters = torch.zeros_like(correlation)
    filters[:, 0] = 1
    left = correlation[:, 0]
    for lag in range(1, order + 1):
        reflection = -(filters[:, :lag] * correlation[:, 1 : lag + 1].flip(1)).sum(dim=1) / left
        turned = filters[:, :lag].flip(1)
        filters = filters.clone()
        filters[:, 1 : lag + 1] += reflection[:, None] * turned
        left = (left * (1 - reflection.square())).clamp_min(FLOOR**2)
    return filters, left.sqrt()


def response(filters: Tensor, n_fft: int) -> Tensor:
    """Complex frequency responses (batch, n_fft / 2 + 1, n_frames) of filters (batch, n_taps, n_frames)."""
    return torch.fft.rfft(filters, n=n_fft, dim=1)


def excitation(waveforms: Tensor, spectra: Tensor, n_fft: int, sample_rate: int) -> Tensor:
    """Pulses at about the pitch where speech is voiced, noise elsewhere.

    Parameters
    ----------
    waveforms : Tensor of shape (batch, n_samples)
    spectra : Tensor of shape (batch, n_fft / 2 + 1, n_frames)
        Of these, which tell the pitch.
    n_fft : int
    sample_rate : int
        In Hz.

    Returns
    -------
    Tensor of shape (batch, n_samples)
        Of level 1.
    """
    correlation = torch.fft.irfft(spectra.abs().square(), dim=1)[:, : n_fft // 2]
    shortest = sample_rate // 400  # samples between pulses
    strength, lag = (correlation[:, shortest:] / (correlation[:, :1] + FLOOR**2)).max(dim=1)
    pitch = sample_rate / (lag + shortest).float() * random_real(0.9, 1.1)
    if chance(0.3):  # monotonous
        pitch = pitch.median(dim=1, keepdim=True).values.expand_as(pitch)
    tracks = torch.stack([pitch, strength], dim=1)
    pitch, strength = nn.functional.interpolate(tracks, size=waveforms.shape[1], mode="linear").unbind(dim=1)
    phase = (pitch / sample_rate).cumsum(dim=1)
    pulses = nn.functional.pad(phase.floor().diff(dim=1), (1, 0)) * (sample_rate / pitch).sqrt()
    voiced = (strength > random_real(0.25, 0.45)).float()
    breath = random_real(0, 0.4)
    noise = torch.randn_like(waveforms)
    return voiced * ((1 - breath) * pulses + breath * noise) + (1 - voiced) * noise


def smoothed(values: Tensor, n_averaged: int) -> Tensor:
    """Running mean over an odd number of neighbours along the last axis; at the ends, over fewer."""
    flat = values.reshape(-1, 1, values.shape[-1])
    mean = nn.functional.avg_pool1d(flat, n_averaged, 1, n_averaged // 2, count_include_pad=False)
    return mean.reshape(values.shape)


def running_level(waveforms: Tensor, n_averaged: int) -> Tensor:
    """Root mean square around each sample, and a little more."""
    return smoothed(waveforms.square(), n_averaged).sqrt() + FLOOR / 10


def same_level(waveforms: Tensor, originals: Tensor) -> Tensor:
    """Bring each waveform to the root mean square of its original."""
    wanted, own = (each.square().mean(dim=1, keepdim=True).sqrt() for each in (originals, waveforms))
    return waveforms * wanted / (own + 1e-9)


def overlap_add(frames: Tensor, hop: int, n_samples: int) -> Tensor:
    """Waveforms (batch, n_samples) of windowed frames (batch, n_frames, 2 * hop), the first of which begins at -hop."""
    n_frames, length = frames.shape[1:]
    size = (1, (n_frames - 1) * hop + length)
    folded = nn.functional.fold(frames.transpose(1, 2), size, (1, length), stride=(1, hop))[:, 0, 0]
    return folded[:, hop : hop + n_samples]
