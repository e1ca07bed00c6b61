"""Gradients of the written-out backward pass, its portions of frames, and what it keeps in memory."""

from typing import Any

import pytest
import torch
from grids import pairs
from stft_forms import FORMS, LEARN_ALL, build, deviation, gradients, noise, perturb
from torch import Tensor

from adaspec.frontends import AdaptiveSTFT
from adaspec.frontends.stft import portions
from adaspec.frontends.stft.portions import magnitude_or_power

# Small enough for finite differences; the hop leaves samples at the end over, the window is not centred evenly.
TINY: dict[str, Any] = {"win_length": 7, "hop_length": 3, "window": "hamming"}
COMPRESSIONS = [("none", 10.0), ("log10", 10.0), ("log1p", 10.0), ("db", 1e6)]
SMALL: dict[str, Any] = {"n_fft": 64, "win_length": 60, "hop_length": 25, "window": "hamming", "n_mels": 8}


def tiny(form: str, **settings: Any) -> AdaptiveSTFT:
    return perturb(build(form, **(TINY | {"n_mels": 2} | LEARN_ALL | settings)).double())


def set_rows(monkeypatch: pytest.MonkeyPatch, n_fft: int, rows: int) -> None:
    """Let a portion have so many frames."""
    monkeypatch.setattr(portions, "CACHED", rows * n_fft)
    monkeypatch.setattr(portions, "MULTIPLIED", rows * n_fft)


def check_gradients(layer: AdaptiveSTFT, waveform: Tensor, to_waveform: bool = False) -> None:
    names = [name for name, value in layer.named_parameters() if value.requires_grad]

    def function(waveform: Tensor, *values: Tensor) -> Tensor:
        return torch.func.functional_call(layer, dict(zip(names, values, strict=True)), (waveform,))

    values = [layer.get_parameter(name).detach().clone().requires_grad_() for name in names]
    assert torch.autograd.gradcheck(function, [waveform.requires_grad_(to_waveform), *values])


@pytest.mark.parametrize(
    ("form", "n_fft", "power", "center", "compressed"), pairs(FORMS, [8, 9], [1, 2], [False, True], COMPRESSIONS)
)
def test_portions_gradients_are_those_of_the_function(
    form: str, n_fft: int, power: int, center: bool, compressed: tuple[str, float]
) -> None:
    compression, gamma = compressed
    layer = tiny(form, n_fft=n_fft, power=power, center=center, compression=compression, gamma=gamma)
    check_gradients(layer, noise(2, 14).double())


@pytest.mark.parametrize("n_fft", [2, 3, 4, 5])
@pytest.mark.parametrize("form", FORMS)
def test_portions_gradients_of_the_smallest_transforms(form: str, n_fft: int) -> None:
    settings: dict[str, Any] = {"n_fft": n_fft, "win_length": n_fft, "n_mels": None, "learn_mel": False}
    layer = tiny(form, **settings, gamma=1.0)
    for name, parameter in layer.named_parameters():
        parameter.requires_grad_(not name.endswith("log_ratio"))  # windows this short stay as long as they are
    check_gradients(layer, noise(2, 7).double())


@pytest.mark.parametrize("constraint", ["window_nonnegative", "window_symmetric"])
@pytest.mark.parametrize("form", ["fft", "banded"])
def test_portions_gradients_through_the_window_constraints(form: str, constraint: str) -> None:
    check_gradients(tiny(form, n_fft=8, compression="none", **{constraint: True}), noise(2, 14).double())


@pytest.mark.parametrize("form", FORMS)
def test_portions_gradients_in_portions(monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    # Of 3 clips of 5 frames: a part of a clip, or two clips.
    set_rows(monkeypatch, 8, (2, 11)[list(FORMS).index(form) % 2])
    layer = tiny(form, n_fft=8, gamma=1.0)
    assert layer(noise(3, 14).double()).shape[3] == 5
    check_gradients(layer, noise(3, 14).double())


@pytest.mark.parametrize(("form", "n_fft", "power"), pairs(FORMS, [8, 9], [1, 2]))
def test_portions_gradients_of_the_waveform(form: str, n_fft: int, power: int) -> None:
    check_gradients(tiny(form, n_fft=n_fft, power=power, gamma=1.0), noise(2, 14).double(), to_waveform=True)


def step(layer: AdaptiveSTFT, waveform: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Output and gradients of a loss that weighs every number of the output differently."""
    layer.zero_grad()
    output = layer(waveform)
    (output * torch.linspace(-1, 2, output.numel(), dtype=output.dtype).view(output.shape)).sum().backward()
    return output.detach(), gradients(layer)


@pytest.mark.parametrize("rows", [1, 3, 7, 8, 20])  # of 4 clips of 7 frames
@pytest.mark.parametrize("form", FORMS)
def test_spectrograms_do_not_depend_on_the_portions(monkeypatch: pytest.MonkeyPatch, form: str, rows: int) -> None:
    layer = perturb(build(form, **SMALL, **LEARN_ALL).double())
    waveform = noise(4, 160).double()
    whole, whole_gradients = step(layer, waveform)
    assert whole.shape[3] == 7
    set_rows(monkeypatch, 64, rows)
    found, found_gradients = step(layer, waveform)
    torch.testing.assert_close(found, whole, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(found_gradients, whole_gradients, rtol=1e-9, atol=1e-9)


LEARNED = [("window",), ("mel",), ("kernels",), ("window", "mel"), ("window", "kernels")]


@pytest.mark.parametrize(("form", "learned", "n_fft", "power"), pairs(FORMS, LEARNED, [64, 65], [1, 2]))
def test_portions_written_out_backward_equals_autograd(
    form: str, learned: tuple[str, ...], n_fft: int, power: int
) -> None:
    layer = perturb(build(form, **(SMALL | {"n_fft": n_fft, "power": power})).double())
    if layer.kernels is None and "kernels" in learned:
        layer.learn_kernels = True
        perturb(layer)
    for name, parameter in layer.named_parameters():
        parameter.requires_grad_(name.split(".")[0] in learned)
    waveform = noise(3, 300).double()
    output, written_out = step(layer, waveform)
    same, plain = step(layer, waveform.clone().requires_grad_())
    assert {name.split(".")[0] for name in written_out} == set(learned)
    torch.testing.assert_close(output, same, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(written_out, plain, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize(
    ("form", "hop_length", "power", "in_hardware"),
    pairs(["dense", "unit_norm", "orthonormal", "parametric"], [25, 16], [1, 2], [portions.BF16_ON_CPU, False]),
)
def test_spectrograms_in_bf16_are_close_to_float32(
    form: str, hop_length: int, power: int, in_hardware: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a hop of 16 frames are multiplied in pairs, with one of 25 they cannot be."""
    monkeypatch.setattr(portions, "BF16_ON_CPU", in_hardware)
    waveform = noise(4, 2000)
    settings: dict[str, Any] = {**SMALL, **LEARN_ALL, "gamma": 1.0, "hop_length": hop_length, "power": power}
    full, half = (perturb(build(form, **settings, precision=precision)) for precision in (32, "bf16"))
    (exact, exact_gradients), (rounded, rounded_gradients) = step(full, waveform), step(half, waveform)
    assert rounded.dtype == torch.float32
    assert 1e-6 < deviation(rounded, exact) < 2e-2  # bf16 keeps 8 bits, and was it used at all?
    for name, gradient in rounded_gradients.items():
        assert gradient.dtype == torch.float32
        expected = exact_gradients[name]
        assert (gradient - expected).norm() < 3e-2 * expected.norm(), name
    plain = step(half, waveform.clone().requires_grad_())[1]
    for name, gradient in plain.items():
        assert (gradient - rounded_gradients[name]).norm() < 2e-2 * gradient.norm(), name


def test_spectrograms_of_an_fft_know_no_bf16() -> None:
    waveform = noise(2, 500)
    outputs = [build("fft", **SMALL, precision=precision)(waveform) for precision in (32, "bf16")]
    torch.testing.assert_close(*outputs, rtol=0, atol=0)


def saved(layer: AdaptiveSTFT, waveform: Tensor) -> list[tuple[int, ...]]:
    """Shapes of all that autograd keeps besides the parameters, each memory once."""
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept.setdefault(tensor.untyped_storage().data_ptr(), tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        layer(waveform)
    parameters = {parameter.untyped_storage().data_ptr() for parameter in layer.parameters()}
    return sorted(tuple(tensor.shape) for place, tensor in kept.items() if place not in parameters)


@pytest.mark.parametrize("rows", [10, 100_000])
@pytest.mark.parametrize(
    ("form", "numbers_per_frame"), [("fft", 0), ("banded", 0), ("dense", 64), ("unit_norm", 64), ("orthonormal", 64)]
)
def test_spectrograms_keep_the_waveform_and_one_projection(
    monkeypatch: pytest.MonkeyPatch, form: str, numbers_per_frame: int, rows: int
) -> None:
    set_rows(monkeypatch, 64, rows)
    layer = build(form, **(SMALL | {"compression": "none"}), **LEARN_ALL)
    short, long = noise(3, 5000), noise(3, 50_000)
    kept = [sum(torch.Size(shape).numel() for shape in saved(layer, waveform)) for waveform in (short, long)]
    n_frames = [3 * layer(waveform).shape[3] for waveform in (short, long)]
    # What is left is of the layer alone: its window, kernels or blocks, bands, and their constraints.
    assert kept[1] - kept[0] == 3 * 45_000 + numbers_per_frame * (n_frames[1] - n_frames[0])


def test_spectrograms_keep_nothing_where_nothing_is_learned() -> None:
    assert saved(build("fft", **SMALL), noise(2, 1000)) == []


def test_portions_second_backward_through_one_graph_gives_the_same() -> None:
    for form in FORMS:
        layer = perturb(build(form, **SMALL, **LEARN_ALL))
        loss = layer(noise(2, 500)).square().sum()
        loss.backward(retain_graph=True)
        once = gradients(layer)
        loss.backward()
        torch.testing.assert_close(gradients(layer), {name: 2 * value for name, value in once.items()})


@pytest.mark.parametrize("form", FORMS)
def test_portions_refuse_a_second_derivative(form: str) -> None:
    layer = build(form, **SMALL, learn_window=True)
    (gradient,) = torch.autograd.grad(layer(noise(2, 500)).square().sum(), layer.window.values, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.square().sum().backward()


@pytest.mark.parametrize("form", FORMS)
def test_portions_gradients_are_the_same_where_backward_is_called_under_autocast(form: str) -> None:
    layer = perturb(build(form, **SMALL, **LEARN_ALL))
    output, expected = step(layer, noise(2, 500))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        same, found = step(layer, noise(2, 500))
    torch.testing.assert_close(same, output, rtol=0, atol=0)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("n_freqs", "n_imaginary", "first"), [(5, 5, 0), (5, 4, 1), (5, 3, 1)])
def test_magnitude_or_power_places_the_bins_that_are_real(n_freqs: int, n_imaginary: int, first: int) -> None:
    real, imag = noise(7, n_freqs), noise(7, n_imaginary, seed=1)
    full = torch.zeros_like(real)
    full[:, first : first + n_imaginary] = imag
    expected = torch.complex(real, full).abs()
    before = real.clone()
    torch.testing.assert_close(magnitude_or_power(real, imag, False), expected.square())
    torch.testing.assert_close(magnitude_or_power(real, imag, True), expected)
    assert torch.equal(real, before)
