"""What every learned form of parts keeps, alone and together: start, gradients, fresh values, baking and export."""

from pathlib import Path
from typing import Any

import pytest
import torch
from stft_forms import build, deviation, gradients, noise, perturb
from test_export import CLIPS, compare_steps, dynamic, onnx_of, worst
from test_portions import step
from torch import Tensor

from adaspec.frontends import AdaptiveSTFT

MEL: dict[str, Any] = {"learn_mel": True, "mel_form": "parametric"}
PARAMETRIC: dict[str, Any] = {"learn_kernels": True, "kernel_form": "parametric"}
FORMS: dict[str, dict[str, Any]] = {
    "bands": MEL,
    "smooth bands": MEL | {"mel_smooth": 4},
    "bands, area 1": MEL | {"mel_smooth": 1, "mel_norm": "slaney", "mel_scale": "slaney"},
    "length": {"learn_length": True},
    "two groups": {"learn_length": True, "length_groups": 2},
    "five groups": {"learn_length": True, "length_groups": 5, **MEL},
    "kernels": PARAMETRIC,
    "smooth kernels": PARAMETRIC | {"kernel_smooth": 8} | MEL,
    "banded, groups": {"learn_kernels": True, "kernel_form": "banded", "learn_length": True, "length_groups": 3},
    "all of three": {"learn_window": True, "n_transforms": 3, "window_ratio": 0.7, "learn_length": True, **MEL},
    "dense, groups": {"learn_kernels": True, "learn_window": True, "learn_length": True, "length_groups": 2, **MEL},
}
SMALL: dict[str, Any] = {"n_fft": 128, "win_length": 100, "hop_length": 50, "n_mels": 12}
EVERY = pytest.mark.parametrize("form", FORMS)


def layer_of(form: str, **settings: Any) -> AdaptiveSTFT:
    return build("fft", **(SMALL | FORMS[form] | settings))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"center": False, "power": 1},
        {"n_fft": 127, "n_transforms": 3, "window_ratio": 1.0},
        {"n_fft": 2048, "win_length": 2048, "hop_length": 512, "n_mels": 64, "mel_norm": "slaney"},
    ],
    ids=str,
)
@EVERY
def test_form_starts_as_the_fixed_transform(form: str, settings: dict[str, Any]) -> None:
    shared = {"compression": "none"} | settings
    waveform = noise(2, 3000)
    fixed = {name: value for name, value in FORMS[form].items() if not name.startswith("learn_")}
    expected = build("fft", **(SMALL | fixed | {"length_groups": 1, "mel_form": "free"} | shared))(waveform)
    assert deviation(layer_of(form, **shared)(waveform).detach(), expected) < 1e-5


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("norm", [None, "slaney"])
@pytest.mark.parametrize("scale", ["htk", "slaney", "erb", "bark", "linear", "log"])
def test_parametric_bands_start_as_the_fixed_ones_on_every_scale(scale: Any, norm: Any, power: Any) -> None:
    settings: dict[str, Any] = {"mel_scale": scale, "mel_norm": norm, "power": power, "f_min": 300.0}
    settings |= {"n_fft": 512, "win_length": 512, "compression": "none", "n_transforms": 3, "window_ratio": 0.5}
    waveform = noise(1, 2000)
    expected = build("fft", **(SMALL | settings), mel_form="free")(waveform).detach()
    assert deviation(layer_of("smooth bands", **settings)(waveform).detach(), expected) < 1e-5


@pytest.mark.parametrize("power", [1, 2])
@EVERY
def test_gradients_written_out_are_those_of_autograd(form: str, power: int) -> None:
    layer = perturb(layer_of(form, power=power)).double()
    waveform = noise(2, 400).double()
    output, written_out = step(layer, waveform)
    same, plain = step(layer, waveform.clone().requires_grad_())
    torch.testing.assert_close(output, same, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(written_out, plain, rtol=1e-7, atol=1e-8)
    assert all(gradient.any() for gradient in written_out.values())


@pytest.mark.parametrize("sign", [1, -1])
@EVERY
def test_gradients_are_those_of_the_function(form: str, sign: int) -> None:
    """Of one direction in which all that is learned moves, by differences; longer and shorter windows.

    Bands get narrower: the gradient of an edge that is kept within the range is that of projected descent.
    """
    layer = perturb(layer_of(form, n_fft=64, win_length=50, n_mels=6, gamma=10.0)).double()
    names = list(gradients(step_of(layer)))
    values = [layer.get_parameter(name).detach().clone() for name in names]
    for name, value in zip(names, values, strict=True):
        if name.endswith("log_ratio"):
            value *= sign
        if name.endswith("widths"):
            value.copy_(-0.05 - value.abs())
        value.requires_grad_()

    def function(*values: Tensor) -> Tensor:
        return torch.func.functional_call(layer, dict(zip(names, values, strict=True)), (noise(1, 150).double(),))

    assert torch.autograd.gradcheck(function, values, fast_mode=True)


def step_of(layer: AdaptiveSTFT, clip: Tensor | None = None) -> AdaptiveSTFT:
    layer.zero_grad()
    layer(noise(2, 300) if clip is None else clip).square().mean().backward()
    return layer


CLIP = {
    "silence": torch.zeros(1, 500),
    "dc": torch.ones(1, 500),
    "impulse": torch.nn.functional.one_hot(torch.tensor([250]), 500).float(),
    "square": torch.tensor([1.0, -1.0]).repeat_interleave(10).repeat(25)[None],
}


@pytest.mark.parametrize("clip", CLIP)
@EVERY
def test_gradients_are_finite_on_hard_clips(form: str, clip: str) -> None:
    for power in (1, 2):
        layer = layer_of(form, power=power)
        for each in (layer, perturb(layer, 0.5)):
            assert layer(CLIP[clip]).isfinite().all()
            for name, gradient in gradients(step_of(each, CLIP[clip])).items():
                assert gradient.isfinite().all(), name


@EVERY
def test_each_parameter_that_changes_changes_the_output(form: str) -> None:
    layer = layer_of(form)
    waveform = noise(1, 500)
    for name, parameter in layer.named_parameters():
        if not parameter.requires_grad:
            continue
        with torch.no_grad():
            before = layer(waveform)
            parameter += 0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
            assert deviation(layer(waveform), before) > 1e-4, name


@EVERY
def test_what_was_learned_elsewhere_is_taken_over_by_a_layer_that_learns_nothing(form: str) -> None:
    trained = perturb(layer_of(form))
    fixed = {name: value for name, value in FORMS[form].items() if not name.startswith("learn_")}
    fresh = build("fft", **(SMALL | fixed))
    fresh.load_state_dict(trained.state_dict())
    waveform = noise(2, 500)
    assert fresh.learned == ()
    assert not fresh(waveform).requires_grad
    torch.testing.assert_close(fresh(waveform), trained(waveform).detach(), rtol=0, atol=0)


@EVERY
def test_rates_name_the_parameters_of_the_parts(form: str) -> None:
    layer = layer_of(form)
    assert layer.rates.keys() == dict(layer.named_parameters()).keys()
    assert all(0 < rate <= 1 for rate in layer.rates.values())


@pytest.mark.parametrize("power", [1, 2])
@EVERY
def test_form_baked_gives_the_same(form: str, power: int) -> None:
    layer = perturb(layer_of(form, power=power))
    baked = layer.bake()
    for n_samples in (1000, 127, 20):
        expected = layer(noise(2, n_samples)).detach()
        torch.testing.assert_close(baked(noise(2, n_samples)), expected, rtol=1e-4, atol=1e-4)


@EVERY
def test_form_exported_by_torch_gives_the_same(form: str) -> None:
    layer = perturb(layer_of(form))
    program = torch.export.export(layer, (noise(*CLIPS[0]),), dynamic_shapes=dynamic()).module()
    assert worst(program, layer) <= 1e-5


@pytest.mark.parametrize("form", ["five groups"])
def test_form_exported_to_onnx_gives_the_same(form: str, tmp_path: Path) -> None:
    layer = perturb(layer_of(form))
    assert worst(onnx_of(layer.for_export(), tmp_path / "layer.onnx", noise(*CLIPS[0])), layer) <= 1e-5


@pytest.mark.parametrize("form", ["five groups", "all of three"])
def test_form_compiled_trains_in_one_graph(form: str) -> None:
    compare_steps(perturb(layer_of(form)), "aot_eager", CLIPS[:1])
