"""What the channels of a phase tell: how late within a frame the energy of a band lies."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from stft_forms import FORMS, build, noise, perturb
from torch import Tensor

from adaspec.errors import SettingError
from adaspec.frontends import AdaptiveSTFT
from adaspec.frontends.stft.phase import EnergyAndDelay

FRAME: dict[str, Any] = {"n_fft": 128, "hop_length": 32, "n_mels": 12, "phase": "group_delay"}


def click(place: int, n_samples: int = 128) -> Tensor:
    return torch.zeros(1, n_samples, dtype=torch.float64).index_fill(1, torch.tensor([place]), 1)


def delays(layer: AdaptiveSTFT, waveform: Tensor) -> Tensor:
    """(batch, n_transforms, n_features, n_frames)."""
    return layer(waveform).detach()[:, 1::2]


@pytest.mark.parametrize("n_mels", [None, 12])
@settings(max_examples=20, deadline=None)
@given(place=st.integers(16, 112))
def test_delay_of_a_click_tells_its_place(n_mels: int | None, place: int) -> None:
    """Golden: 2 t / (1 + t^2) for a click at t, from -1 to 1 over the window; 0 in the middle, early ones below it."""
    frame = FRAME | {"n_mels": n_mels, "center": False, "gamma": 1e12}
    found = delays(build("fft", **frame).double(), click(place))
    time = 2 * place / 128 - 1
    bands = slice(None) if n_mels is None else slice(1, None)
    torch.testing.assert_close(found[0, 0, bands, 0], torch.full_like(found[0, 0, bands, 0], 2 * time / (1 + time**2)))


def test_delay_of_early_and_late_clicks_have_opposite_signs_where_power_knows_no_difference() -> None:
    early, late = click(40), click(88)
    layer = build("fft", **FRAME, center=False).double()
    assert (delays(layer, early)[..., 1:, :] < -0.5).all()
    assert (delays(layer, late)[..., 1:, :] > 0.5).all()
    torch.testing.assert_close(layer(early)[:, 0], layer(late)[:, 0])


@pytest.mark.parametrize("form", FORMS)
def test_delay_is_the_local_group_delay_weighted_by_power(form: str) -> None:
    """Golden: 2 sum Re(X conj(X_t)) / sum (|X|^2 + |X_t|^2), from filters with and without a factor of t."""
    layer = perturb(build(form, **FRAME, center=False, learn_window=True, gamma=1e12), 0.03).double()
    waveform = noise(2, 400).double()
    found = delays(layer, waveform)
    frames = waveform.unfold(1, 128, 32).to(torch.complex128)
    late, early = (torch.einsum("bfn,ckn->bckf", frames, filters(layer, slope).detach()) for slope in (1.0, -1.0))
    plain, timed = (late + early) / 2, (late - early) / 2
    assert layer.mel is not None
    mel = layer.mel().detach().double()
    product = torch.einsum("bckf,ckm->bcmf", (plain * timed.conj()).real, mel)
    energy = torch.einsum("bckf,ckm->bcmf", plain.abs().square() + timed.abs().square(), mel)
    torch.testing.assert_close(found, 2 * product / energy, rtol=1e-5, atol=1e-6)
    if layer.kernels is None or "parametric" not in form:
        torch.testing.assert_close(plain, layer.spectrum(waveform).detach(), rtol=1e-5, atol=1e-6)


def filters(layer: AdaptiveSTFT, slope: float) -> Tensor:
    windows = layer.windows(slope)
    if layer.kernels is None:
        base = build("fft", **FRAME).double().filters(windowed=False)
        return base * windows[:, 0, None]
    return layer.kernels.rows(windows)[:, 0]


@pytest.mark.parametrize("form", FORMS)
def test_phase_doubles_the_channels(form: str) -> None:
    layer, plain = build(form, **FRAME), build(form, **(FRAME | {"phase": "none"}))
    assert layer.n_channels == 2 * plain.n_channels
    output = layer(noise(2, 500))
    assert output.shape == (2, layer.n_channels, 12, layer.n_frames(500))
    assert (layer.spectrogram(noise(2, 500)) >= 0).all()
    assert output[:, 1::2].abs().max() <= 1
    assert dict(layer.named_parameters()).keys() == dict(plain.named_parameters()).keys()


@pytest.mark.parametrize("form", FORMS)
def test_phase_is_baked_as_it_is(form: str) -> None:
    layer = perturb(build(form, **FRAME, learn_window=True, learn_mel=True))
    waveform = noise(2, 500)
    torch.testing.assert_close(layer.bake()(waveform), layer(waveform).detach(), rtol=1e-4, atol=1e-4)


def test_phase_with_groups_of_window_lengths_is_baked_as_it_is() -> None:
    layer = perturb(build("length", **FRAME, length_groups=3))
    waveform = noise(2, 500)
    torch.testing.assert_close(layer.bake()(waveform), layer(waveform).detach(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("form", FORMS)
def test_phase_reaches_all_that_is_learned(form: str) -> None:
    layer = build(form, **FRAME, win_length=100, learn_window=True, learn_mel=True)
    delay = layer(noise(2, 500))[:, 1::2]
    delay.square().sum().backward()
    for name, parameter in layer.named_parameters():
        if parameter.requires_grad:
            assert isinstance(parameter.grad, Tensor), name
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.any(), name


def test_phase_of_silence_is_none_and_has_a_gradient() -> None:
    layer = build("fft", **FRAME, learn_window=True)
    waveform = torch.zeros(1, 500, requires_grad=True)
    output = layer(waveform)
    assert not output.detach().any()
    output.sum().backward()
    assert waveform.grad is not None
    assert waveform.grad.isfinite().all()


def test_delay_fades_where_the_compression_bends() -> None:
    module = EnergyAndDelay(torch.nn.Identity(), 0.5)
    spectrogram = torch.tensor([1.0, 0.0]).view(1, 2, 1, 1)  # mean 0.5: as much as the floor
    assert module(spectrogram).flatten().tolist() == [0.5, 0.5]
    assert module(1e6 * spectrogram)[0, 1].item() == pytest.approx(1, abs=1e-5)


def test_phase_levels_are_compressed_as_configured() -> None:
    """PCEN has a gain of its own for each transform, not for each channel; its rates are those of its parameters."""
    layer = build("fft", **FRAME, compression="pcen", learn_compression=True)
    assert layer.learned == ("compression",)
    learned = {name for name, parameter in layer.named_parameters() if parameter.requires_grad}
    assert learned
    assert learned <= layer.rates.keys()
    waveform = noise(1, 500)
    mean = layer.spectrogram(waveform).unflatten(1, (1, 2)).mean(2)
    torch.testing.assert_close(layer(waveform)[:, :1], layer.compression.level(mean))


def test_phase_is_none_unless_asked_for() -> None:
    assert build("fft", n_fft=128, n_mels=12).n_channels == 1


def test_phase_needs_powers() -> None:
    for unusable, told in (
        ({"power": 1}, "phase=group_delay compares powers, but power=1; set power to 2, or phase to none"),
        ({"phase": "delay"}, "phase=delay must be none or group_delay"),
    ):
        with pytest.raises(SettingError) as refusal:
            build("fft", **(FRAME | unusable))
        assert str(refusal.value) == told
