"""Several transforms side by side; filters() and bake() after learning."""

from typing import Any

import pytest
import scipy.signal
import torch
from grids import pairs
from stft_forms import FORMS, LEARN_ALL, build, cut_frames, deviation, gradients, noise, perturb
from torch import nn

from adaspec.frontends import AdaptiveSTFT, BakedSTFT

SMALL: dict[str, Any] = {"n_fft": 64, "win_length": 60, "hop_length": 25, "n_mels": 8}


def channel_alone(layer: AdaptiveSTFT, channel: int, **settings: Any) -> AdaptiveSTFT:
    """A layer of one transform, with the tensors of one channel of another."""
    single = build("fft", **(settings | {"n_transforms": 1, "window_ratio": 1.0}))
    for part in ("length", "kernels"):
        single.switch(part, getattr(layer, part) is not None)
    single.load_state_dict({name: value[channel : channel + 1] for name, value in layer.state_dict().items()})
    return single


@pytest.mark.parametrize("ratio", [0.5, 0.8, 1.0])
@pytest.mark.parametrize("form", [form for form in FORMS if form != "three"])
def test_each_channel_equals_a_layer_of_its_own(form: str, ratio: float) -> None:
    settings: dict[str, Any] = {**SMALL, **FORMS[form], "n_transforms": 3, "window_ratio": ratio, "mel_form": "free"}
    layer = build("fft", **(settings | LEARN_ALL))
    waveform = noise(2, 300)
    for learned in (False, True):
        if learned:
            perturb(layer)
        output = layer(waveform)
        assert output.shape[:2] == (2, 3)
        for channel in range(3):
            single = channel_alone(layer, channel, **settings)
            torch.testing.assert_close(output[:, channel], single(waveform)[:, 0].detach(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(layer.bake()(waveform), output, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("win_length", "ratio", "lengths"),
    [
        (400, 0.5, [400, 200, 100]),
        (400, 0.75, [400, 300, 224]),  # 225 is not of the parity of 400
        (401, 0.5, [401, 201, 101]),
        (60, 0.8, [60, 48, 38]),
        (400, 1.0, [400, 400, 400]),
        (5, 0.1, [5, 1, 1]),
        (4, 0.01, [4, 2, 2]),
    ],
)
def test_window_ratio_shortens_each_window_about_the_same_centre(
    win_length: int, ratio: float, lengths: list[int]
) -> None:
    layer = build("fft", n_fft=512, win_length=win_length, window="hamming", n_transforms=3, window_ratio=ratio)
    for window, length in zip(layer.window(), lengths, strict=True):
        edge = (win_length - length) // 2
        expected = torch.from_numpy(scipy.signal.get_window("hamming", length)).float()
        torch.testing.assert_close(window[edge : win_length - edge], expected, rtol=0, atol=0)
        assert not window[:edge].any()
        assert not window[win_length - edge :].any()
    assert layer.window.values.shape == (3, win_length)


@pytest.mark.parametrize("length", [2, 15, 16, 400, 1023, 1024, 2048, 8192])
def test_hann_window_is_that_of_scipy(length: int) -> None:
    (window,) = build("fft", n_fft=length, win_length=length, window="hann", n_mels=None).window()
    expected = torch.from_numpy(scipy.signal.get_window("hann", length)).float()
    torch.testing.assert_close(window, expected, rtol=0, atol=0)


@pytest.mark.parametrize("form", [form for form in FORMS if form != "three"])
def test_alike_transforms_give_equal_channels_and_learn_apart(form: str) -> None:
    layer = build(form, **SMALL, **LEARN_ALL, n_transforms=3)
    output = layer(noise(2, 300))
    torch.testing.assert_close(output, output[:, :1].expand(-1, 3, -1, -1), rtol=0, atol=0)
    output[:, 1].sum().backward()
    for name, gradient in gradients(layer).items():
        assert gradient[1].any(), name
        assert not gradient[0].any(), name
        assert not gradient[2].any(), name


def test_shorter_windows_come_in_order() -> None:
    """A click is seen by the frames whose window reaches it: by fewer, the shorter the window."""
    layer = build("fft", n_fft=256, hop_length=8, n_mels=None, compression="none", n_transforms=3, window_ratio=0.5)
    click = torch.zeros(1, 2000)
    click[0, 1000] = 1
    seen = (layer(click)[0].sum(1) > 1e-9).sum(1)  # frames of each channel
    torch.testing.assert_close(seen, torch.tensor([31, 15, 7]), rtol=0, atol=1)


@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize("n_fft", [64, 65, 5])
@pytest.mark.parametrize("form", FORMS)
def test_filters_times_frames_are_the_spectrum(form: str, n_fft: int, center: bool) -> None:
    frame: dict[str, Any] = {"n_fft": n_fft, "win_length": n_fft - 2, "hop_length": 25, "center": center}
    layer = perturb(build(form, **frame, window="hamming", n_mels=None, compression="none", learn_window=True))
    waveform = noise(2, 300)
    frames = cut_frames(waveform, n_fft, 25, center).to(torch.complex64)
    filters = layer.filters()
    assert filters.shape == (layer.n_channels, n_fft // 2 + 1, n_fft)
    power = torch.einsum("bfn,tkn->btkf", frames, filters).abs().square()
    assert deviation(layer(waveform).detach(), power.detach()) < 1e-5
    if form != "parametric":  # whose bins have a window each
        torch.testing.assert_close(layer.filters(windowed=False) * layer.windows(), filters)


@pytest.mark.parametrize("form", FORMS)
def test_filters_pass_gradients_on(form: str) -> None:
    layer = perturb(build(form, **SMALL, learn_window=True))
    layer.filters().abs().square().sum().backward()
    assert all(gradient.isfinite().all() and gradient.any() for gradient in gradients(layer).values())


COMPRESSIONS = [("none", 1e3), ("log10", 1e3), ("log1p", 1e3), ("db", 1e6)]


@pytest.mark.parametrize(
    ("form", "center", "power", "compressed", "n_mels"), pairs(FORMS, [False, True], [1, 2], COMPRESSIONS, [None, 8])
)
def test_baked_layer_gives_the_same_output(
    form: str, center: bool, power: Any, compressed: tuple[Any, float], n_mels: int | None
) -> None:
    compression, gamma = compressed
    settings = SMALL | {"center": center, "power": power, "compression": compression, "gamma": gamma}
    layer = perturb(build(form, **(settings | {"n_mels": n_mels}), learn_window=True, window_symmetric=True))
    baked = layer.bake()
    for n_samples in (300, 63, 20, 1):
        waveform = noise(2, n_samples)
        expected = layer(waveform).detach()
        torch.testing.assert_close(baked(waveform), expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize("n_fft", [64, 65, 5, 2])
@pytest.mark.parametrize("form", FORMS)
def test_baked_layer_is_one_convolution_without_learning(form: str, n_fft: int) -> None:
    layer = perturb(build(form, n_fft=n_fft, hop_length=25, window="boxcar", n_mels=None, learn_window=True))
    baked = layer.bake()
    assert isinstance(baked, BakedSTFT)
    assert [name for name, _ in baked.named_parameters()] == ["conv.weight"]
    assert type(baked.conv) is nn.Conv1d
    assert baked.conv.weight.shape == (2 * layer.n_channels * (n_fft // 2 + 1), 1, n_fft)
    assert not any(parameter.requires_grad for parameter in baked.parameters())
    waveform = noise(2, 300)
    output = baked(waveform)
    assert not output.requires_grad
    torch.testing.assert_close(output, layer(waveform), rtol=1e-4, atol=1e-4)


def test_baked_layer_stays_as_it_was_and_saves() -> None:
    layer = perturb(build("banded", **SMALL, **LEARN_ALL))
    waveform = noise(2, 300)
    random_state = torch.get_rng_state()
    baked = layer.bake()
    assert torch.equal(torch.get_rng_state(), random_state)
    before = baked(waveform)
    other = perturb(layer, seed=7).bake()
    torch.testing.assert_close(baked(waveform), before, rtol=0, atol=0)
    assert not torch.allclose(other(waveform), before)
    other.load_state_dict(baked.state_dict())
    torch.testing.assert_close(other(waveform), before, rtol=0, atol=0)
    assert layer.learn_window
    assert layer.learn_kernels


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_baked_layer_takes_waveforms_of_other_types(dtype: torch.dtype) -> None:
    baked = build("fft", **SMALL).bake()
    waveform = (10 * noise(2, 300)).to(dtype)
    torch.testing.assert_close(baked(waveform), baked(waveform.float()), rtol=0, atol=0)


def test_baked_layer_passes_gradients_to_the_waveform() -> None:
    layer = perturb(build("dense", **SMALL, **LEARN_ALL))
    found = []
    for module in (layer, layer.bake()):
        waveform = noise(2, 300).requires_grad_()
        module(waveform).sum().backward()
        found.append(waveform.grad)
    torch.testing.assert_close(found[1], found[0], rtol=1e-3, atol=1e-4)
