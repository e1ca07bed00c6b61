"""Gradients that an attack follows through the adaptive STFT, against finite differences, in every learned form."""

import itertools
from pathlib import Path
from typing import Any

import pytest
import stft_forms
import test_learned_forms
import torch
from stft_forms import build, noise, perturb
from torch import nn
from toydata import small_config

from adaspec.models.attacks import cross_entropy_of
from adaspec.models.classifier import AudioClassifier

FORMS: dict[str, dict[str, Any]] = stft_forms.FORMS | test_learned_forms.FORMS
FORMS |= {
    "everything that can be learned": {**stft_forms.LEARN_ALL, "learn_kernels": True, "learn_length": True},
    "pcen": {"compression": "pcen", "learn_compression": True},
    "decibels": {"compression": "db", "gamma": 1e9},
    "sensitivity": {"learn_mel": True, "mel_placement": "sensitivity"},
    "group delay": {"phase": "group_delay", "learn_window": True},
}


# A phase needs powers.
CASES = [(form, power) for form, power in itertools.product(FORMS, (1, 2)) if power == 2 or "phase" not in FORMS[form]]


@pytest.mark.parametrize(("form", "power"), CASES)
def test_gradient_of_the_objective_is_that_of_finite_differences(form: str, power: int) -> None:
    layer = perturb(build("fft", **(test_learned_forms.SMALL | FORMS[form]), power=power))
    model = AudioClassifier(small_config(Path("raw"), **{"backbone.name": "cnn"}), ["a", "b"])
    torch.manual_seed(0)
    n_values = layer.n_channels * layer.n_features * layer.n_frames(400)
    model.frontend, model.backbone = layer, nn.Sequential(nn.Flatten(), nn.Linear(n_values, 2))
    objective = cross_entropy_of(model.double(), torch.tensor([0, 1]))
    waveforms, direction = noise(2, 400).double().requires_grad_(), noise(2, 400, seed=1).double()
    (gradient,) = torch.autograd.grad(objective(waveforms).sum(), waveforms)
    step = 1e-6 * direction
    with torch.no_grad():
        difference = (objective(waveforms + step) - objective(waveforms - step)) / 2e-6
    torch.testing.assert_close((gradient * direction).sum(dim=1), difference, rtol=1e-5, atol=1e-8)
