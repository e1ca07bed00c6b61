"""Every knob of the front end reaches it."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from toydata import changed, small_config

from adaspec.config import FrontendConfig
from adaspec.frontends import AdaptiveSTFT, build_frontend

BASE = small_config(Path("raw"))
LEARNED = {"frontend.learn_window": True, "frontend.learn_kernels": True, "frontend.learn_mel": True}
THREE = {"frontend.n_transforms": 3, "frontend.window_ratio": 0.8}

# knob -> (another value, what must be set for it to matter)
KNOBS: dict[str, tuple[Any, dict[str, Any]]] = {
    "n_fft": (256, {}),
    "win_length": (100, {}),
    "hop_length": (32, {}),
    "window": ("hamming", {}),
    "center": (False, {}),
    "power": (1, {}),
    "n_mels": (None, {}),
    "f_min": (50.0, {}),
    "f_max": (3000.0, {}),
    "mel_scale": ("slaney", {}),
    "mel_norm": ("slaney", {}),
    "compression": ("db", {}),
    "log_base": (None, {}),
    "n_transforms": (3, LEARNED),
    "window_ratio": (0.5, THREE),
    "learn_window": (True, {}),
    "learn_kernels": (True, {}),
    "learn_mel": (True, {}),
    "kernel_form": ("banded", LEARNED),
    "band_width": (3, LEARNED | {"frontend.kernels.form": "banded"}),
    "kernel_constraint": ("orthonormal", LEARNED),
    "window_nonnegative": (True, LEARNED),
    "window_symmetric": (True, LEARNED),
    "precision": ("bf16", LEARNED),
}


def outcome(**knobs: Any) -> tuple[list[str], Tensor]:
    """What can be learned, and the output once all of it has moved."""
    layer = build_frontend(changed(BASE, **knobs))
    random = torch.Generator().manual_seed(0)
    learned = [name for name, parameter in layer.named_parameters() if parameter.requires_grad]
    with torch.no_grad():
        for parameter in layer.parameters():
            if parameter.requires_grad:
                parameter += 0.1 * torch.randn(parameter.shape, generator=random)
        return learned, layer(torch.randn(2, 1600, generator=random))


def test_knobs_are_all_tried() -> None:
    assert set(KNOBS) == set(FrontendConfig.model_fields) - {"name", "cached"}


@pytest.mark.parametrize("knob", KNOBS)
def test_knob_changes_the_front_end(knob: str) -> None:
    value, needed = KNOBS[knob]
    before, after = outcome(**needed), outcome(**needed | {f"frontend.{knob}": value})
    same = before[0] == after[0] and before[1].shape == after[1].shape and torch.equal(before[1], after[1])
    assert not same


def test_three_transforms_are_three_channels() -> None:
    layer = build_frontend(changed(BASE, **THREE))
    assert isinstance(layer, AdaptiveSTFT)
    assert layer(torch.randn(2, 1600)).shape[:2] == (2, layer.n_channels) == (2, 3)
