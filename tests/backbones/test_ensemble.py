from pathlib import Path

import torch
from toydata import small_config

from adaspec.backbones import Ensemble, build_backbone, combined
from adaspec.config import BackboneConfig

SIZES = {"n_channels": 1, "n_features": 16, "n_frames": 40, "n_classes": 3}


def config(**changes: object) -> BackboneConfig:
    return small_config(Path("raw")).backbone.model_copy(update=changes)


def test_ensemble_averages_the_probabilities_of_different_networks() -> None:
    torch.manual_seed(0)
    ensemble, spectrogram = build_backbone(config(members=3), **SIZES).eval(), torch.randn(5, 1, 16, 40)
    assert isinstance(ensemble, Ensemble)
    each = torch.stack([member(spectrogram).softmax(dim=1) for member in ensemble.members])
    assert (each[0] - each[1]).abs().max() > 0.01
    logits = ensemble(spectrogram)
    assert logits.shape == (3, 5, 3)  # members, batch, classes
    torch.testing.assert_close(logits.softmax(dim=2), each)
    torch.testing.assert_close(combined(logits).softmax(dim=1), each.mean(dim=0))


def test_ensemble_gives_each_network_the_gradient_of_its_own_loss() -> None:
    torch.manual_seed(0)
    ensemble = build_backbone(config(members=2, dropout=0.0), **SIZES).train()
    spectrogram, labels = torch.randn(5, 1, 16, 40), torch.tensor([0, 1, 2, 0, 1])
    logits = ensemble(spectrogram)
    assert logits.shape == (2, 5, 3)
    torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.repeat(2)).backward()
    together = [parameter.grad.clone() for parameter in ensemble.members[1].parameters()]
    ensemble.zero_grad()
    torch.nn.functional.cross_entropy(ensemble.members[1](spectrogram), labels).backward()
    for parameter, gradient in zip(ensemble.members[1].parameters(), together, strict=True):
        torch.testing.assert_close(gradient, parameter.grad / 2, rtol=1e-4, atol=1e-6)


def test_one_member_is_the_network_itself() -> None:
    assert not isinstance(build_backbone(config(), **SIZES), Ensemble)


def test_logits_of_one_member_stay_as_they_are() -> None:
    logits = torch.randn(1, 5, 3)
    assert torch.equal(combined(logits), logits[0])
