"""Every knob of the front end reaches it."""

import inspect
import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from toydata import PARAMS, changed, small_config

from adaspec.config import FrontendConfig, flatten
from adaspec.errors import InputError
from adaspec.frontends import FRONTENDS, AdaptiveSTFT, build_frontend, check_frontend
from adaspec.frontends.arguments import arguments as knobs_of

BASE = small_config(Path("raw"))
RATE = 8000
LEARNED = {"frontend.learn_window": True, "frontend.learn_kernels": True, "frontend.learn_mel": True}
THREE = {"frontend.n_transforms": 3, "frontend.window_ratio": 0.8}
PCEN = {"frontend.compression.name": "pcen"}

# knob of the STFT -> (another value, what must be set for it to matter)
KNOBS: dict[str, tuple[Any, dict[str, Any]]] = {
    "n_fft": (256, {}),
    "win_length": (100, {}),
    "hop_length": (32, {}),
    "window": ("hamming", {}),
    "center": (False, {}),
    "power": (1, {}),
    "phase": ("group_delay", {}),
    "mel.n_mels": (None, {}),
    "mel.f_min": (50.0, {}),
    "mel.f_max": (3000.0, {}),
    "mel.scale": ("slaney", {}),
    "mel.norm": ("slaney", {}),
    "compression.name": ("db", {}),
    "compression.gamma": (10.0, {}),
    "compression.pcen.time_constant_s": (0.02, PCEN),
    "compression.pcen.gain": (0.5, PCEN),
    "compression.pcen.bias": (1.0, PCEN),
    "compression.pcen.power": (0.3, PCEN),
    "compression.pcen.eps": (10.0, PCEN),
    "compression.pcen.initial": (1.0, PCEN),
    "compression.pcen.shared": (True, PCEN | {"frontend.learn_compression": True}),
    "n_transforms": (3, LEARNED),
    "window_ratio": (0.5, THREE),
    "learn_window": (True, {}),
    "learn_kernels": (True, {}),
    "learn_mel": (True, {}),
    "learn_length": (True, {}),
    "length_groups": (3, {"frontend.learn_length": True}),
    "mel.form": ("free", {"frontend.learn_mel": True}),
    "mel.placement": ("gradient", {"frontend.learn_mel": True}),
    "mel.smooth": (3, {"frontend.learn_mel": True}),
    "learn_compression": (True, PCEN),
    "kernels.form": ("banded", LEARNED),
    "kernels.smooth": (4, LEARNED | {"frontend.kernels.form": "parametric", "frontend.learn_window": False}),
    "kernels.band_width": (3, LEARNED | {"frontend.kernels.form": "banded"}),
    "kernels.constraint": ("orthonormal", LEARNED),
    "window_nonnegative": (True, LEARNED),
    "window_symmetric": (True, LEARNED),
    "kernels.precision": ("bf16", LEARNED),
}


def configured(name: str) -> FrontendConfig:
    return FrontendConfig.model_validate(PARAMS["frontend"] | {"name": name})


def outcome(**knobs: Any) -> tuple[list[str], list[Tensor]]:
    """What can be learned, and once all of it has moved the output and the gradients of what is learned."""
    layer = build_frontend(changed(BASE, **knobs).frontend, RATE)
    random = torch.Generator().manual_seed(0)
    learned = [name for name, parameter in layer.named_parameters() if parameter.requires_grad]
    with torch.no_grad():
        for parameter in layer.parameters():
            if parameter.requires_grad:
                parameter += 0.1 * torch.randn(parameter.shape, generator=random)
    output = layer(torch.randn(2, 1600, generator=random))
    if learned:
        output.square().sum().backward()
    gradients = [parameter.grad for parameter in layer.parameters() if parameter.grad is not None]
    return learned, [output.detach(), *gradients]


def test_knobs_are_all_tried() -> None:
    knobs = {knob for knob in flatten(BASE.frontend) if not knob.startswith("fixed.")}
    assert set(KNOBS) == knobs - {"name", "cached"}


@pytest.mark.parametrize("knob", KNOBS)
def test_knob_changes_the_front_end(knob: str) -> None:
    value, needed = KNOBS[knob]
    before, after = outcome(**needed), outcome(**needed | {f"frontend.{knob}": value})
    same_names = before[0] == after[0]
    assert not (same_names and all(itertools.starmap(torch.equal, zip(before[1], after[1], strict=True))))


@pytest.mark.parametrize("name", FRONTENDS)
def test_front_end_takes_the_arguments_that_the_configuration_has_for_it(name: str) -> None:
    taken = set(inspect.signature(FRONTENDS[name]).parameters) - {"sample_rate"}
    arguments = knobs_of(configured(name))
    assert set(arguments) <= taken
    assert set(arguments.values()) <= set(flatten(configured(name)))
    if configured(name).section is not None:  # a section of its own: all of it
        assert set(arguments) == taken


@pytest.mark.parametrize(
    ("knobs", "rate", "told"),
    [
        ({"frontend.win_length": 256}, RATE, "frontend.win_length=256 exceeds n_fft=128; raise n_fft or lower win_"),
        ({"frontend.mel.f_max": 4001.0}, RATE, "frontend.mel.f_max=4001.0 exceeds half of the sample rate, 4000.0 Hz"),
        (
            LEARNED | {"frontend.kernels.form": "banded", "frontend.kernels.band_width": 4},
            RATE,
            "frontend.kernels.band_",
        ),
        (
            {"frontend.name": "fbank", "frontend.fixed.fbank.frame_length_ms": 0.1},
            RATE,
            "frontend.fixed.fbank.frame_length_ms=0.1",
        ),
        ({}, 0, "audio.sample_rate=0 must be above 0"),
    ],
)
def test_check_frontend_names_the_knob(knobs: dict[str, Any], rate: int, told: str) -> None:
    with pytest.raises(InputError) as refusal:
        check_frontend(changed(BASE, **knobs).frontend, rate)
    assert str(refusal.value).startswith(f"params.yaml {told}")


def test_kernels_that_are_not_learned_leave_their_knobs_unread() -> None:
    knobs = {"frontend.kernels.form": "banded", "frontend.kernels.constraint": "orthonormal"}
    check_frontend(changed(BASE, **knobs).frontend, RATE)


def test_three_transforms_are_three_channels() -> None:
    layer = build_frontend(changed(BASE, **THREE).frontend, RATE)
    assert isinstance(layer, AdaptiveSTFT)
    assert layer(torch.randn(2, 1600)).shape[:2] == (2, layer.n_channels) == (2, 3)
