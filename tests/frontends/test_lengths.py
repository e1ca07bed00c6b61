"""Window lengths: what stretching is, its limits, and groups of bands with a length each."""

import math
from typing import Any

import pytest
import scipy.signal
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from stft_forms import build, deviation, noise
from torch import Tensor

from adaspec.frontends import AdaptiveSTFT
from adaspec.frontends.stft.window import Length, stretched

N_FFT = 256


def layer_of(win_length: int, length: float, /, **settings: Any) -> AdaptiveSTFT:
    """A layer whose window was learned to be `length` samples long."""
    layer = build("length", **({"n_fft": N_FFT, "win_length": win_length, "n_mels": None} | settings))
    assert layer.length is not None
    with torch.no_grad():
        layer.length.log_ratio.fill_(math.log(length / win_length))
    return layer


@pytest.mark.parametrize("win_length", [128, 101])
@pytest.mark.parametrize("length", [40, 64, 100, 127, 160, 256])
def test_stretched_window_is_that_window_of_another_length(win_length: int, length: int) -> None:
    (found,) = layer_of(win_length, length).windows().detach()[:, 0]
    centre = (N_FFT - win_length) // 2 + win_length / 2
    position = (torch.arange(N_FFT) - centre) / length
    expected = torch.where(position.abs() <= 0.5, (math.pi * position).cos().square(), 0)  # hann about its centre
    if length % 2 == win_length % 2:  # then they lie on the same samples
        start = int(centre - length / 2)
        torch.testing.assert_close(
            expected[start : start + length].double(), torch.from_numpy(scipy.signal.get_window("hann", length))
        )
    # At its ends the window has a kink, where a spline overshoots.
    torch.testing.assert_close(found * math.sqrt(length / win_length), expected, rtol=0, atol=1e-3)


@given(ratio=st.floats(0.2, 3.0), name=st.sampled_from(["hann", "blackman", ("kaiser", 14.0)]))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_stretched_window_keeps_its_energy_and_its_centre(ratio: float, name: Any) -> None:
    window = torch.zeros(512, dtype=torch.float64)
    window[192:320] = torch.from_numpy(scipy.signal.get_window(name, 128))
    (found,) = stretched(window, torch.tensor([ratio], dtype=torch.float64), 256.0)
    assert found.square().sum().item() == pytest.approx(window.square().sum().item(), rel=1e-3)
    torch.testing.assert_close(found[1:], found[1:].flip(0), rtol=0, atol=1e-4)


def test_length_of_the_start_leaves_the_window_to_the_last_bit() -> None:
    window = noise(1, 100)[0]
    assert torch.equal(stretched(window, torch.ones(1), 50.0)[0], window)


@pytest.mark.parametrize(("lengths", "n_fft"), [([128], 256), ([256, 128, 64], 256), ([5], 5), ([6], 64)])
@pytest.mark.parametrize("parameter", [-100.0, -3.0, 0.0, 2.0, 100.0])
def test_length_stays_between_8_samples_and_the_frame(lengths: list[int], n_fft: int, parameter: float) -> None:
    part = Length(lengths, n_fft, 2, 16_000)
    with torch.no_grad():
        part.log_ratio.fill_(parameter)
    found = part.ratio() * torch.tensor(lengths)[:, None]
    shortest = torch.tensor([min(8, length) for length in lengths])[:, None]
    assert (found >= shortest * (1 - 1e-6)).all()
    assert (found <= n_fft * (1 + 1e-6)).all()
    if parameter == 0:
        torch.testing.assert_close(found, torch.tensor(lengths)[:, None].expand(-1, 2).float())


@pytest.mark.parametrize("beyond", [-20.0, 20.0])
def test_length_beyond_its_limit_comes_back_and_goes_no_further(beyond: float) -> None:
    part = Length([64], 256, 1, 16_000)
    with torch.no_grad():
        part.log_ratio.fill_(beyond)
    for sign, expected in ((1.0, 1.0), (-1.0, 0.0)):
        part.zero_grad()
        (sign * math.copysign(1.0, beyond) * part.ratio().sum()).backward()
        assert isinstance(part.log_ratio.grad, Tensor)
        assert float(part.log_ratio.grad.abs() > 0) == expected


@pytest.mark.parametrize("n_transforms", [1, 3])
@pytest.mark.parametrize("n_groups", [2, 3, 5])
def test_each_group_of_bands_has_the_window_of_its_length(n_groups: int, n_transforms: int) -> None:
    shared: dict[str, Any] = {"n_fft": N_FFT, "win_length": 128, "hop_length": 50, "n_mels": 13}
    shared |= {"n_transforms": n_transforms, "compression": "none"}
    layer = build("length", **shared, length_groups=n_groups)
    assert layer.length is not None
    ratio = torch.linspace(-0.5, 0.5, n_transforms * n_groups).view(n_transforms, n_groups)
    with torch.no_grad():
        layer.length.log_ratio.copy_(ratio)
        found = layer(noise(2, 2000)).tensor_split(n_groups, 2)
        assert sum(group.shape[2] for group in found) == 13
        for transform in range(n_transforms):
            for position, group in enumerate(found):
                alone = layer_of(128, 128 * ratio[transform, position].exp().item(), **(shared | {"n_transforms": 1}))
                expected = alone(noise(2, 2000)).tensor_split(n_groups, 2)[position]
                torch.testing.assert_close(group[:, transform], expected[:, 0], rtol=1e-4, atol=1e-5)


def test_level_of_noise_does_not_depend_on_the_length() -> None:
    clip = noise(1, 60_000)
    with torch.no_grad():
        short, long = (layer_of(128, length, compression="none")(clip).mean() for length in (64, 256))
    assert short.item() == pytest.approx(long.item(), rel=0.03)


def test_longer_window_tells_closer_tones_apart() -> None:
    time = torch.arange(4000) / 16_000
    tones = (2 * math.pi * 2000 * time).sin() + (2 * math.pi * 2250 * time).sin()
    dips = []
    for length in (64, 256):
        with torch.no_grad():
            spectrum = layer_of(128, length, compression="none")(tones[None])[0, 0].mean(-1)
        dips.append(float(spectrum[34] / spectrum[32]))  # between the tones, at bins 32 and 36
    assert dips[1] < 0.1 < dips[0]


def test_waveform_of_lengths_at_the_start_is_that_of_the_fixed_layer() -> None:
    shared: dict[str, Any] = {"n_fft": 255, "win_length": 200, "hop_length": 33, "n_mels": 10}
    for n_groups in (1, 2, 5):
        layer = build("length", **shared, length_groups=n_groups)
        assert deviation(layer(noise(2, 1000)).detach(), build("fft", **shared)(noise(2, 1000))) < 1e-6
