"""Layers that are built or moved without their values, and waveforms that are none."""

import copy
import itertools
from typing import Any

import pytest
import torch
from stft_forms import FORMS, build, deviation, noise, perturb

from adaspec.frontends import AdaptiveSTFT, Fbank

SMALL: dict[str, Any] = {"n_fft": 64, "hop_length": 32, "n_mels": 8}
LEARNED: dict[str, dict[str, Any]] = {
    **{form: settings for form, settings in FORMS.items() if form != "fft"},
    "bands": {"learn_mel": True},
    "free bands": {"learn_mel": True, "mel_form": "free", "mel_norm": "slaney"},
    "PCEN": {"compression": "pcen", "learn_compression": True},
}


@pytest.mark.parametrize("form", LEARNED)
@torch.no_grad()
def test_layer_without_values_is_complete_once_loaded(form: str) -> None:
    layer = perturb(build("fft", **SMALL, **LEARNED[form]), 0.02)
    waveform, saved = noise(2, 300), layer.state_dict()
    moved, assigned = copy.deepcopy(layer).to("meta"), copy.deepcopy(layer).to("meta")
    with torch.device("meta"):
        built = build("fft", **SMALL, **LEARNED[form])
    assert all(tensor.is_meta for tensor in itertools.chain(built.parameters(), built.buffers()))
    assigned.load_state_dict(saved, assign=True)
    for other in (moved, built):
        other.to_empty(device="cpu")
        for buffer in other.buffers():  # what was not initialised may happen to be right
            buffer.fill_(7)
        other.load_state_dict(saved)
    expected = layer(waveform)
    for other in (moved, assigned, built):
        torch.testing.assert_close(other(waveform), expected, rtol=0, atol=0)


@pytest.mark.parametrize(
    "make",
    [
        lambda: AdaptiveSTFT(sample_rate=8000, **SMALL),
        lambda: AdaptiveSTFT(sample_rate=8000, **SMALL, learn_kernels=True),
        lambda: AdaptiveSTFT(sample_rate=8000, **SMALL).bake(),
        lambda: Fbank(sample_rate=8000, frame_length_ms=8, frame_shift_ms=4, n_mels=8),
    ],
)
@pytest.mark.parametrize(
    ("dtype", "remedy"),
    [
        (torch.int16, "divide integer samples by their full scale"),
        (torch.int64, "divide integer samples by their full scale"),
        (torch.bool, "divide integer samples by their full scale"),
        (torch.complex64, "take its real part"),
    ],
)
def test_waveforms_of_integers_or_complex_numbers_are_refused(make: Any, dtype: torch.dtype, remedy: str) -> None:
    with pytest.raises(ValueError, match="floating-point") as refusal:
        make()(torch.zeros(2, 300, dtype=dtype))
    assert str(refusal.value) == f"waveform must be floating-point, +-1, got {dtype}; {remedy}"


# What sits at a limit at the start has one-sided derivatives, which differ from direction to direction.
SMOOTH: dict[str, dict[str, Any]] = {
    "fixed": {},
    "window": {"learn_window": True, "window_symmetric": True, "power": 1},
    "length": {"learn_length": True, "win_length": 48},
    "dense": {"learn_kernels": True, "learn_window": True},
    "banded": {"learn_kernels": True, "kernel_form": "banded"},
    "orthonormal": {"learn_kernels": True, "kernel_constraint": "orthonormal"},
    "parametric": {"learn_kernels": True, "kernel_form": "parametric", "win_length": 48},
    "sensitivity": {
        "learn_window": True,
        "learn_mel": True,
        "mel_placement": "sensitivity",
        "window_nonnegative": True,
    },
    "PCEN": {"compression": "pcen", "learn_compression": True},
}


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:FutureWarning")  # torch's own, in forward mode
@pytest.mark.parametrize("form", SMOOTH)
def test_torch_func_differentiates_and_maps_the_layer(form: str) -> None:
    layer, waveform = build("fft", **SMALL, **SMOOTH[form]), noise(3, 300)
    parameters = {name: each.detach() for name, each in layer.named_parameters()}
    learned = {name: parameters[name] for name, each in layer.named_parameters() if each.requires_grad}
    weights = torch.linspace(-1, 1, layer(waveform).numel()).view(layer(waveform).shape)

    def loss(values: dict[str, torch.Tensor], clips: torch.Tensor, weight: torch.Tensor = weights) -> torch.Tensor:
        return (torch.func.functional_call(layer, parameters | values, (clips,)) * weight).sum()

    gradients, of_waveform = torch.func.grad(loss, argnums=(0, 1))(learned, waveform)
    peer = waveform.clone().requires_grad_()
    (layer(peer) * weights).sum().backward()
    assert deviation(of_waveform, peer.grad) <= 1e-4
    layer.zero_grad()
    if learned:
        (layer(waveform) * weights).sum().backward()
    for name in learned:
        assert deviation(gradients[name], layer.get_parameter(name).grad) <= 1e-4, name
    tangent = noise(3, 300, seed=1)
    _, along = torch.func.jvp(lambda clips: loss(learned, clips), (waveform,), (tangent,))
    assert along == pytest.approx(float((of_waveform * tangent).sum()), rel=1e-3, abs=1e-3)
    each = torch.func.vmap(lambda clip: layer(clip[None])[0])(waveform)
    assert deviation(each.detach(), layer(waveform).detach()) <= 1e-5
    per_clip = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0))(
        learned, waveform[:, None], weights[:, None]
    )
    if form != "sensitivity":  # which is no sum over clips
        for name, gradient in per_clip.items():
            assert deviation(gradient.sum(0), gradients[name]) <= 1e-4, name


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:FutureWarning")  # torch's own, in forward mode
def test_forward_mode_differentiates_what_is_learned() -> None:
    layer, waveform = build("fft", **SMALL, learn_kernels=True, kernel_constraint="orthonormal"), noise(2, 300)
    name, start = "kernels.values", layer.get_parameter("kernels.values").detach()
    direction = 0.1 * noise(64, 64)[None]
    with torch.autograd.forward_ad.dual_level():
        moving = torch.autograd.forward_ad.make_dual(start, direction)
        found = torch.autograd.forward_ad.unpack_dual(torch.func.functional_call(layer, {name: moving}, (waveform,)))
    step = 1e-4
    ahead, behind = (
        torch.func.functional_call(layer.double(), {name: (start + sign * step * direction).double()}, (waveform,))
        for sign in (1, -1)
    )
    assert found.tangent is not None
    assert deviation(found.tangent, ((ahead - behind) / (2 * step)).detach()) <= 1e-2
