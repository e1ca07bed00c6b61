"""Lengths, bands and chirp rates that start off by a factor of 2 find the best value, with the layer's own rates."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from stft_forms import RATE, build, noise
from torch import Tensor

from adaspec.frontends import AdaptiveSTFT
from adaspec.frontends.mel import ParametricBands
from adaspec.frontends.stft.kernels import ParametricKernels

N_FFT = 128
SEEDS = pytest.mark.parametrize("seed", range(2))


def fit(layer: AdaptiveSTFT, loss_of: Callable[[int], Tensor], n_steps: int) -> None:
    """Adam, each parameter at its own rate, which falls to nothing as in a training."""
    learned = {name: value for name, value in layer.named_parameters() if value.requires_grad}
    groups: list[dict[str, Any]] = [{"params": [value], "lr": layer.rates[name]} for name, value in learned.items()]
    optimizer = torch.optim.Adam(groups)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_steps)
    for number in range(n_steps):
        optimizer.zero_grad()
        loss_of(number).backward()
        optimizer.step()
        schedule.step()


@pytest.mark.parametrize("true_ms", [4.0, 1.0])
@SEEDS
def test_window_length_is_recovered(true_ms: float, seed: int) -> None:
    """From twice the length and from half of it, by the log spectrogram that the true one gives."""
    shared: dict[str, Any] = {"n_fft": N_FFT, "win_length": 32, "hop_length": 32, "n_mels": 10}
    layer, target = build("length", **shared), build("length", **shared)
    true = true_ms / 1000 * RATE
    assert layer.length is not None
    assert target.length is not None
    with torch.no_grad():
        target.length.log_ratio.fill_(math.log(true / 32))

    def loss(number: int) -> Tensor:
        waveform = noise(4, 1000, seed=1000 * seed + number)
        return (layer(waveform) - target(waveform).detach()).square().mean()

    fit(layer, loss, 120)
    assert 32 * layer.length.ratio().item() == pytest.approx(true, rel=0.1)


@pytest.mark.parametrize("factor", [0.5, 2.0])
@SEEDS
def test_place_of_bands_is_recovered(factor: float, seed: int) -> None:
    """Of two bands on a linear scale, whose lower one starts at half or at twice the frequency that it should have."""
    shared: dict[str, Any] = {"n_fft": N_FFT, "hop_length": 64, "n_mels": 2, "mel_scale": "linear", "mel_smooth": 1}
    layer, target = (build("fft", **shared, learn_mel=True) for _ in range(2))
    assert isinstance(layer.mel, ParametricBands)
    assert isinstance(target.mel, ParametricBands)

    def place(bands: ParametricBands, hz: float) -> None:
        """The lower centre has a third of the density below it, in the first of three even cells or past it."""
        third = RATE / 6
        share = third / (3 * hz) if hz <= third else (1 / 3 - (hz / third - 1) / 2) / (1 - (hz / third - 1) / 2)
        with torch.no_grad():
            bands.density.copy_(torch.tensor([[share, (1 - share) / 2, (1 - share) / 2]]).log())
        assert bands.edges()[1][0, 0].item() == pytest.approx(hz)

    place(target.mel, 2000.0)
    place(layer.mel, factor * 2000.0)
    layer.mel.widths.requires_grad_(False)

    def loss(number: int) -> Tensor:
        waveform = noise(4, 1000, seed=1000 * seed + number)
        return (layer(waveform) - target(waveform).detach()).square().mean()

    fit(layer, loss, 150)
    assert layer.mel.edges()[1][0, 0].item() == pytest.approx(2000.0, rel=0.1)


def sweeps(batch: int, rate: float, generator: torch.Generator) -> Tensor:
    """Frames of sweeps at `rate` cycles per frame squared through any frequency, in noise of the same power."""
    time = torch.arange(N_FFT) / N_FFT - 0.5
    through, phase = torch.rand(2, batch, 1, generator=generator)
    frequency = N_FFT * (0.15 + 0.2 * through)
    clean = (2 * math.pi * (frequency * time + rate * time**2 / 2 + phase)).cos()
    return clean + math.sqrt(0.5) * torch.randn(batch, N_FFT, generator=generator)


# Beyond 32 a start at twice the rate, whose kernels are flat, stays where it is.
@pytest.mark.parametrize(("rate", "factor"), [(4.0, 2.0), (16.0, 0.5), (32.0, 2.0), (64.0, 0.5)])
@SEEDS
def test_chirp_rate_is_recovered(rate: float, factor: float, seed: int) -> None:
    """By how much of the power the spectrum gathers in few bins."""
    settings: dict[str, Any] = {"n_fft": N_FFT, "n_mels": None, "compression": "none", "center": False}
    layer = build("parametric", **settings, kernel_smooth=N_FFT)
    assert isinstance(layer.kernels, ParametricKernels)
    layer.kernels.shift.requires_grad_(False)
    layer.kernels.log_ratio.requires_grad_(False)
    with torch.no_grad():
        layer.kernels.chirp.fill_(factor * rate)
    generator = torch.Generator().manual_seed(seed)

    def loss(number: int) -> Tensor:
        power = layer(sweeps(8, rate, generator))
        return -(power / power.sum(2, keepdim=True)).square().sum(2).mean()

    fit(layer, loss, 150)
    assert layer.kernels.per_bin()[1][:, 20:44].mean().item() == pytest.approx(rate, rel=0.1)
