"""Learned bands that are placed by how sensitive the loss is to them."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from stft_forms import RATE, noise
from torch import Tensor

from adaspec.frontends import AdaptiveSTFT
from adaspec.frontends.mel import ParametricBands
from adaspec.frontends.mel.sensitivity import limited

LOW_HZ, HIGH_HZ = 2500.0, 4000.0


def build(**settings: object) -> AdaptiveSTFT:
    return AdaptiveSTFT(sample_rate=RATE, n_mels=40, learn_mel=True, mel_placement="sensitivity", **settings)  # type: ignore[arg-type]


def bands_of(layer: AdaptiveSTFT) -> ParametricBands:
    assert isinstance(layer.mel, ParametricBands)
    return layer.mel


def n_inside(layer: AdaptiveSTFT) -> int:
    """Bands of the first transform whose centre lies in the range."""
    centre = bands_of(layer).edges()[1][0]
    return int(((centre > LOW_HZ) & (centre < HIGH_HZ)).sum())


def train(layer: AdaptiveSTFT, loss_of: Callable[[Tensor, Tensor], Tensor], steps: int = 60) -> None:
    """Adam at the layer's own rates; the loss is of the compressed bands and of their centres in Hz."""
    groups = [{"params": [layer.get_parameter(name)], "lr": rate} for name, rate in layer.rates.items()]
    optimizer = torch.optim.Adam([group for group in groups if group["params"][0].requires_grad])  # type: ignore[index]
    for step in range(steps):
        optimizer.zero_grad()
        loss_of(layer(noise(2, 4000, seed=step)), bands_of(layer).edges()[1].detach()).backward()
        optimizer.step()


def of_the_range(output: Tensor, centre: Tensor) -> Tensor:
    inside = ((centre > LOW_HZ) & (centre < HIGH_HZ))[None, :, :, None]
    return torch.where(inside, output, 0.05 * output).square().mean()


@pytest.mark.parametrize("settings", [{}, {"phase": "group_delay"}, {"n_transforms": 2}, {"mel_scale": "linear"}])
def test_bands_crowd_where_the_loss_is_sensitive(settings: dict[str, object]) -> None:
    layer = build(**settings)
    before = n_inside(layer)
    train(layer, of_the_range if "phase" not in settings else lambda output, c: of_the_range(output[:, ::2], c))
    centre = bands_of(layer).edges()[1]
    assert n_inside(layer) >= 1.5 * before
    assert (centre.diff(dim=-1) > 0).all()


def test_bands_stay_where_the_loss_is_equally_sensitive_to_all() -> None:
    layer = build()
    before = n_inside(layer)
    random = torch.Generator().manual_seed(0)
    train(layer, lambda output, centre: (output * torch.randn(output.shape, generator=random)).sum())
    assert 0.75 * before <= n_inside(layer) <= 1.25 * before


@given(
    wanted=arrays(np.float64, 9, elements=st.floats(-30, 30)),
    most=arrays(np.float64, 9, elements=st.floats(1, 20)),
)
def test_limited_density_keeps_its_limits_its_sum_and_the_proportions_below_them(
    wanted: np.ndarray, most: np.ndarray
) -> None:
    density, limit = torch.from_numpy(wanted), torch.from_numpy(most) / len(most)
    share = limited(density, torch.from_numpy(most)).exp()
    assert (share <= limit * (1 + 1e-9)).all()
    assert float(share.sum()) == pytest.approx(1, rel=1e-9)
    free = share < limit * (1 - 1e-9)
    ratio = (share.log() - density)[free]
    assert ratio.numel() == 0 or float(ratio.max() - ratio.min()) < 1e-6


def test_bands_come_no_nearer_than_bins_or_than_at_the_start() -> None:
    """A narrow band of a low voice: 64 bands in 129 bins are a third of a bin apart there, were there no limit."""
    layer = AdaptiveSTFT(sample_rate=8000, n_fft=256, n_mels=64, learn_mel=True, mel_placement="sensitivity")
    before = bands_of(layer).edges()[1][0].detach()

    def of_low_bands(output: Tensor, centre: Tensor) -> Tensor:
        return torch.where((centre < 500)[None, :, :, None], output, 0.01 * output).square().mean()

    train(layer, of_low_bands, steps=120)
    centre = bands_of(layer).edges()[1][0].detach()
    assert int((centre < 500).sum()) <= 1.3 * int((before < 500).sum())
    assert centre.diff().min() >= 0.8 * before.diff().min()


def test_spectrogram_and_its_gradient_are_those_of_fixed_bands() -> None:
    waveform = noise(2, 4000)
    found = []
    for layer in (build(), AdaptiveSTFT(sample_rate=RATE, n_mels=40)):
        clips = waveform.clone().requires_grad_()
        output = layer(clips)
        output.square().sum().backward()
        found.append((output.detach(), clips.grad))
    torch.testing.assert_close(found[0], found[1], rtol=1e-5, atol=1e-6)


def test_silence_gives_bands_no_direction_and_no_numbers_that_are_not_finite() -> None:
    layer = build()
    layer(torch.zeros(2, 4000)).square().sum().backward()
    gradient = bands_of(layer).density.grad
    assert gradient is not None
    assert gradient.isfinite().all()
    assert gradient.abs().max() < 1e-6


def test_direction_does_not_depend_on_the_scale_of_the_loss() -> None:
    gradients = []
    for factor in (1e-12, 1.0, 1e12):
        layer = build()
        (factor * layer(noise(2, 4000)).square().sum()).backward()
        gradients.append(bands_of(layer).density.grad)
    for gradient in gradients[1:]:
        torch.testing.assert_close(gradient, gradients[0], rtol=1e-3, atol=1e-5)
