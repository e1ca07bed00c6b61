"""Parametric kernels: their formula, and that they tell rising from falling sweeps."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from stft_forms import build, cut_frames, deviation, noise
from torch import Tensor

from adaspec.frontends import AdaptiveSTFT
from adaspec.frontends.stft.kernels import ParametricKernels

RATE, N_FFT = 16_000, 128


def kernels_of(layer: AdaptiveSTFT) -> ParametricKernels:
    assert isinstance(layer.kernels, ParametricKernels)
    return layer.kernels


def layer_of(**settings: Any) -> AdaptiveSTFT:
    shared = {"n_fft": N_FFT, "hop_length": 40, "n_mels": None, "compression": "none"}
    return build("parametric", **(shared | settings))


@pytest.mark.parametrize(("n_fft", "win_length"), [(64, 50), (65, 50), (64, 51)])
def test_parametric_kernels_equal_their_formula(n_fft: int, win_length: int) -> None:
    layer = layer_of(n_fft=n_fft, win_length=win_length).double()
    generator = torch.Generator().manual_seed(0)
    n_freqs, left = n_fft // 2 + 1, (n_fft - win_length) // 2
    centre = left + win_length / 2
    shift, chirp, log_ratio = (
        size * torch.randn(1, n_freqs, generator=generator, dtype=torch.float64) for size in (0.4, 5.0, 0.1)
    )
    with torch.no_grad():
        for name, values in {"shift": shift, "chirp": chirp, "log_ratio": log_ratio}.items():
            getattr(kernels_of(layer), name).copy_(values)
    n = np.arange(n_fft)
    time = (n - centre) / n_fft
    waveform = noise(2, 500).double()
    frames = cut_frames(waveform, n_fft, 40, center=True).numpy()
    expected = np.empty((2, n_freqs, frames.shape[1]))
    for k in range(n_freqs):
        ratio = np.clip(np.exp(log_ratio[0, k].item()), 8 / win_length, n_fft / win_length)
        place = (n - centre) / (ratio * win_length)
        window = np.where(np.abs(place) < 0.5, np.cos(np.pi * place) ** 2, 0) / np.sqrt(ratio)  # hann
        phase = k * n / n_fft + shift[0, k].item() * time + chirp[0, k].item() * time**2 / 2
        kernel = window * np.exp(-2j * np.pi * phase)
        expected[:, k] = np.abs(frames @ kernel) ** 2
    # The window is interpolated, which is exact to 1e-3 of its height.
    assert deviation(layer(waveform).detach()[:, 0], torch.from_numpy(expected)) < 3e-3


@pytest.mark.parametrize("smooth", [1, 8, 1000])
def test_parametric_kernels_are_interpolated_between_learned_numbers(smooth: int) -> None:
    kernels = kernels_of(layer_of(kernel_smooth=smooth))
    n_points = 65 if smooth == 1 else 9 if smooth == 8 else 2
    assert {name: tuple(value.shape) for name, value in kernels.named_parameters()} == dict.fromkeys(
        ("shift", "chirp", "log_ratio"), (1, n_points)
    )
    with torch.no_grad():
        kernels.chirp[0] = torch.arange(n_points) * smooth
    torch.testing.assert_close(kernels.per_bin()[1][0].detach(), torch.arange(65.0).double(), rtol=1e-5, atol=1e-5)


def sweep(rate: float, n_fft: int = N_FFT) -> Tensor:
    """A frame whose frequency goes through bin n_fft / 4 in its middle, at `rate` cycles per n_fft squared."""
    time = (torch.arange(n_fft) - n_fft / 2) / n_fft
    return (2 * math.pi * (n_fft / 4 * time + rate * time**2 / 2)).cos()[None]


@pytest.mark.parametrize("rate", [10.0, 30.0, -10.0, -30.0])
def test_matching_chirp_rate_gathers_the_power_of_a_sweep(rate: float) -> None:
    layer = layer_of(center=False)
    powers = {}
    for chirp in (rate, 0.0, -rate):
        with torch.no_grad():
            kernels_of(layer).chirp.fill_(chirp)
            powers[chirp] = float(layer(sweep(rate))[0, 0, N_FFT // 4, 0])
    assert powers[rate] > 1.5 * powers[0.0] > 1.5 * powers[-rate]
    # As much as a tone has without chirps.
    with torch.no_grad():
        kernels_of(layer).chirp.zero_()
        tone = float(layer(sweep(0.0))[0, 0, N_FFT // 4, 0])
    assert powers[rate] == pytest.approx(tone, rel=0.01)


def test_without_chirps_rising_and_falling_sweeps_look_the_same() -> None:
    layer = layer_of(center=False)
    up, down = (layer(sweep(rate)).detach() for rate in (20.0, -20.0))
    assert deviation(down[:, :, N_FFT // 4], up[:, :, N_FFT // 4]) < 1e-4
    with torch.no_grad():
        kernels_of(layer).chirp.fill_(20.0)
    up, down = (layer(sweep(rate)).detach() for rate in (20.0, -20.0))
    assert deviation(down[:, :, N_FFT // 4], up[:, :, N_FFT // 4]) > 0.5


@pytest.mark.parametrize("shift", [0.5, -0.25, 1.0])
def test_shift_moves_a_bin(shift: float) -> None:
    layer = layer_of(center=False)
    with torch.no_grad():
        kernels_of(layer).shift.fill_(shift)
    time = torch.arange(N_FFT) / N_FFT
    spectrum = [
        float(layer((2 * math.pi * (20 + offset) * time).cos()[None])[0, 0, 20, 0].detach())
        for offset in (shift, shift + 0.3, shift - 0.3)
    ]
    assert spectrum[0] > max(spectrum[1:])
    assert spectrum[1] == pytest.approx(spectrum[2], rel=0.01)


@pytest.mark.parametrize("n_transforms", [1, 3])
def test_length_of_each_kernel_stays_between_8_samples_and_the_frame(n_transforms: int) -> None:
    layer = layer_of(win_length=100, n_transforms=n_transforms, window_ratio=0.7)
    kernels = kernels_of(layer)
    for value in (-50.0, 50.0):
        with torch.no_grad():
            kernels.log_ratio.fill_(value)
        lengths = kernels.per_bin()[2] * torch.tensor([100, 70, 50][:n_transforms])[:, None]
        expected = 8.0 if value < 0 else float(N_FFT)
        torch.testing.assert_close(lengths, torch.full_like(lengths, expected), rtol=0.05, atol=0)
        assert layer(noise(1, 500)).isfinite().all()
