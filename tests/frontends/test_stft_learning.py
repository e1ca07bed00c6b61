"""What is learned moves and keeps its constraints; what is not stays; learning is switched on and off; saving."""

import itertools
from typing import Any

import pytest
import torch
from stft_forms import FORMS, LEARN_ALL, build, gradients, noise, perturb
from torch import Tensor

from adaspec.frontends import AdaptiveSTFT
from adaspec.frontends.mel import FreeBands
from adaspec.frontends.stft.dft import dft_norms
from adaspec.frontends.stft.kernels import BandedKernels, DenseKernels, constrain_kernels

SMALL: dict[str, Any] = {"n_fft": 64, "win_length": 60, "hop_length": 25, "n_mels": 8}
ALL = LEARN_ALL | {"learn_kernels": True}
NAMES = {"window": "window.values", "kernels": "kernels.values", "mel": "mel.weights"}  # part -> its parameter
CONSTRAINTS: dict[str, dict[str, Any]] = {
    "free": {},
    "unit_norm": {"kernel_constraint": "unit_norm"},
    "orthonormal": {"kernel_constraint": "orthonormal"},
    "banded": {"kernel_form": "banded"},
    "nonnegative": {"window_nonnegative": True},
    "symmetric": {"window_symmetric": True},
    "both": {"window_nonnegative": True, "window_symmetric": True},
    "all": {"kernel_constraint": "orthonormal", "window_nonnegative": True, "window_symmetric": True},
    "three": {"n_transforms": 3, "window_ratio": 0.7},
    "bf16": {"precision": "bf16"},
}


def train(layer: AdaptiveSTFT, steps: int = 15, lr: float = 1e-2) -> list[float]:
    """Losses of a fit of a random spectrogram by Adam."""
    waveform = noise(3, 400)
    target = perturb(build("dense", **SMALL, learn_mel=True, mel_form="free"), amount=0.3)(waveform).detach()
    optimizer = torch.optim.Adam([value for value in layer.parameters() if value.requires_grad], lr)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = (layer(waveform) - target).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def values(layer: AdaptiveSTFT) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in layer.named_parameters()}


def assert_constraints(layer: AdaptiveSTFT) -> None:
    window, mel = layer.window(), layer.mel()
    assert mel is not None
    assert (mel >= 0).all()
    assert not layer.window.nonnegative or (window >= 0).all()
    if layer.window.symmetric:
        torch.testing.assert_close(window[:, 1:], window[:, 1:].flip(-1))
    constraint = layer.kernels.constraint if isinstance(layer.kernels, DenseKernels) else "free"
    filters = layer.filters(windowed=False)
    basis = torch.cat([filters.real, filters.imag[:, 1:-1]], 1) / dft_norms(64)  # n_fft is even
    if constraint == "unit_norm":
        torch.testing.assert_close(basis.norm(dim=-1), torch.ones(layer.n_channels, 64), rtol=1e-5, atol=0)
    if constraint == "orthonormal":
        gram = basis @ basis.mT
        torch.testing.assert_close(gram, torch.eye(64).expand_as(gram), rtol=0, atol=1e-4)


@pytest.mark.parametrize("constraint", CONSTRAINTS)
def test_learning_moves_every_tensor_lowers_the_loss_and_keeps_the_constraints(constraint: str) -> None:
    layer = build("fft", **SMALL, **ALL, **CONSTRAINTS[constraint])
    before = values(layer)
    assert set(before) == set(NAMES.values())
    losses = train(layer)
    assert losses[-1] < 0.8 * losses[0]
    for name, value in values(layer).items():
        for channel in range(layer.n_channels):
            assert (value[channel] - before[name][channel]).abs().max() > 1e-2, name
    assert_constraints(layer)


@pytest.mark.parametrize("constraint", CONSTRAINTS)
def test_constraints_hold_far_from_the_start(constraint: str) -> None:
    layer = perturb(build("fft", **SMALL, **ALL, **CONSTRAINTS[constraint]), amount=1.0)
    assert isinstance(layer.mel, FreeBands)
    assert isinstance(layer.kernels, DenseKernels | BandedKernels)
    assert (layer.mel.weights < 0).any()
    assert (layer.window.values < 0).any()
    with torch.no_grad():
        assert_constraints(layer)
    # ... and they are what the output is made of.
    waveform = noise(2, 300)
    expected = layer(waveform).detach()
    plain = build("fft", **SMALL, **ALL, **CONSTRAINTS[constraint])
    assert isinstance(plain.mel, FreeBands)
    assert isinstance(plain.kernels, DenseKernels | BandedKernels)
    plain.window.nonnegative = plain.window.symmetric = False
    if isinstance(plain.kernels, DenseKernels):
        plain.kernels.constraint = "free"
    with torch.no_grad():
        plain.window.values.copy_(layer.window())
        plain.mel.weights.copy_(layer.mel())
        plain.kernels.values.copy_(
            constrain_kernels(layer.kernels.values, layer.kernels.constraint)
            if isinstance(layer.kernels, DenseKernels)
            else layer.kernels.values
        )
        torch.testing.assert_close(plain(waveform), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["window", "kernels", "mel"])
@pytest.mark.parametrize("kernel_form", ["dense", "banded"])
def test_learning_of_one_tensor_leaves_the_others(name: str, kernel_form: str) -> None:
    layer = build("fft", **SMALL, **{f"learn_{name}": True}, kernel_form=kernel_form, mel_form="free")
    before = values(layer)
    losses = train(layer)
    assert losses[-1] < losses[0]
    assert set(gradients(layer)) == {NAMES[name]}
    for other, value in values(layer).items():
        parameter = layer.get_parameter(other)
        if other == NAMES[name]:
            assert not torch.equal(value, before[other])
        else:
            assert torch.equal(value, before[other])
            assert parameter.grad is None


@pytest.mark.parametrize("name", ["window", "kernels", "mel"])
@pytest.mark.parametrize("kernel_form", ["dense", "banded"])
def test_learning_is_switched_on_off_and_on_again(name: str, kernel_form: str) -> None:
    switch = f"learn_{name}"
    layer = build("fft", **SMALL, kernel_form=kernel_form, mel_form="free")
    waveform = noise(2, 300)
    start = layer(waveform)
    assert not start.requires_grad
    assert (getattr(layer, switch), layer.learned) == (False, ())

    setattr(layer, switch, True)
    assert layer.learned == (name,)
    assert f"learned={layer.learned}" in repr(layer)
    torch.testing.assert_close(layer(waveform).detach(), start, rtol=1e-4, atol=1e-4)
    train(layer)
    learned, value = layer(waveform).detach(), layer.get_parameter(NAMES[name]).detach().clone()
    assert not torch.allclose(learned, start, rtol=1e-3)

    setattr(layer, switch, False)
    assert not getattr(layer, switch)
    frozen = layer(waveform)
    assert not frozen.requires_grad
    torch.testing.assert_close(frozen, learned, rtol=0, atol=0)

    setattr(layer, switch, True)
    torch.testing.assert_close(layer.get_parameter(NAMES[name]).detach(), value, rtol=0, atol=0)
    losses = train(layer)
    assert losses[-1] < losses[0]
    assert not torch.equal(layer.get_parameter(NAMES[name]), value)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_kernels_learned_later_start_as_the_transform_in_the_layers_type(dtype: torch.dtype) -> None:
    layer = build("three", **SMALL).to(dtype)
    assert set(dict(layer.named_parameters())) == {"window.values", "mel.density", "mel.widths"}
    layer.learn_kernels = False
    assert layer.kernels is None
    layer.learn_kernels = True
    assert layer.get_parameter("kernels.values").dtype == dtype
    assert layer.get_parameter("kernels.values").shape == (3, 64, 64)


def test_learn_mel_is_refused_without_bands() -> None:
    layer = build("fft", **(SMALL | {"n_mels": None}))
    layer.learn_mel = False
    with pytest.raises(ValueError, match=r"^learn_mel=True needs mel bands, but there are none; set n_mels$"):
        layer.learn_mel = True
    assert layer.learn_mel is False


@pytest.mark.parametrize("change", ["optimiser step", "load_state_dict", "in place", "by .data", "replaced"])
@pytest.mark.parametrize("form", FORMS)
def test_output_is_never_out_of_date(form: str, change: str) -> None:
    layer = build(form, **SMALL, **LEARN_ALL)
    waveform = noise(2, 300)
    with torch.no_grad():
        layer(waveform)
        layer.filters()
    other = perturb(build(form, **SMALL, **LEARN_ALL))
    if change == "optimiser step":
        optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)
        for parameter, wanted in zip(layer.parameters(), other.parameters(), strict=True):
            parameter.grad = parameter.detach() - wanted.detach()
        optimizer.step()
    elif change == "load_state_dict":
        layer.load_state_dict(other.state_dict())
    elif change == "replaced":
        for name, parameter in other.named_parameters():
            part, own = name.split(".")
            setattr(getattr(layer, part), own, torch.nn.Parameter(parameter.detach().clone()))
    else:
        for parameter, wanted in zip(layer.parameters(), other.parameters(), strict=True):
            if change == "by .data":
                parameter.data = wanted.detach().clone()
            else:
                with torch.no_grad():
                    parameter.copy_(wanted)
    torch.testing.assert_close(layer(waveform), other(waveform), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(layer.filters(), other.filters(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("form", FORMS)
def test_state_dict_round_trip_leaves_the_output(form: str) -> None:
    trained, fresh = perturb(build(form, **SMALL, **LEARN_ALL)), build(form, **SMALL, mel_form="free", window="hamming")
    waveform = noise(2, 300)
    assert not torch.allclose(fresh(waveform), trained(waveform))
    fresh.load_state_dict(trained.state_dict())
    # Parametric kernels are computed in portions where the window does not learn.
    atol = 2e-6 if form == "parametric" else 0
    torch.testing.assert_close(fresh(waveform), trained(waveform), rtol=0, atol=atol)


def test_state_dict_of_a_learned_window_and_bands_loads_into_a_layer_without_learning() -> None:
    trained, fresh = perturb(build("fft", **SMALL, **LEARN_ALL)), build("fft", **SMALL, mel_form="free")
    fresh.load_state_dict(trained.state_dict())
    waveform = noise(2, 300)
    assert not fresh(waveform).requires_grad
    torch.testing.assert_close(fresh(waveform), trained(waveform), rtol=0, atol=0)


@pytest.mark.parametrize("mel_norm", [None, "slaney"])
def test_learned_mel_bands_only_ever_lower_a_loss_that_wants_them_lower(mel_norm: Any) -> None:
    """Most weights start at 0: none may rise against its gradient."""
    layer = build("fft", n_fft=256, n_mels=20, mel_norm=mel_norm, learn_mel=True, mel_form="free")
    waveform = noise(4, 4000)
    optimizer = torch.optim.AdamW(layer.parameters(), lr=2e-3, weight_decay=0.0)
    losses = []
    for _ in range(10):
        loss = layer(waveform).mean()
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert all(later < earlier for earlier, later in itertools.pairwise(losses))
    assert losses[0] - losses[-1] < 1  # the steps are small ones for either norm


@pytest.mark.parametrize("form", ["dense", "banded", "orthonormal"])
def test_state_dict_with_kernels_loads_into_a_layer_that_learns_none(form: str) -> None:
    trained = perturb(build(form, **SMALL))
    fresh = build(form, **SMALL, learn_kernels=False)
    fresh.load_state_dict(trained.state_dict())
    waveform = noise(2, 300)
    assert not fresh.learn_kernels
    assert not fresh(waveform).requires_grad
    torch.testing.assert_close(fresh(waveform), trained(waveform), rtol=0, atol=0)
    with pytest.raises(RuntimeError, match=r'Missing key.*"kernels\.values"'):
        trained.load_state_dict(build("fft", **SMALL).state_dict())
