"""What every backbone keeps: any spectrogram in, finite logits out, gradients everywhere.

Each is built from params.yaml, as it is; besides, some in other settings, and one of timm's.
"""

import copy
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from grids import pairs
from precision import check_bf16
from torch import Tensor, nn
from toydata import PARAMS

from adaspec.backbones import BACKBONES, HEADS, Backbone, TimmModel, build_backbone, check_backbone
from adaspec.config import BackboneConfig, load_config
from adaspec.errors import InputError

N_CLASSES = 3
SMALL_AST = {"embed_dim": 32, "depth": 2, "num_heads": 2, "patch_size": 8, "patch_stride": 5}
CASES: dict[str, dict[str, Any]] = {name: {"name": name} for name in BACKBONES} | {
    "ast": {"name": "ast", "ast": SMALL_AST},  # 768 wide it would take minutes
    "ast, convolutions, mean": {"name": "ast", "ast": SMALL_AST | {"stem": "convolutions", "pooling": "mean"}},
    "resnet without its first block": {"name": "resnet", "resnet": {"stem_block": False}},
    "timm": {"name": "timm:resnet10t"},
}
EVERY = pytest.mark.parametrize("name", CASES)


def configure(name: str, dropout: float = 0.0, **further: Any) -> BackboneConfig:
    content = PARAMS["backbone"] | {"dropout": dropout} | further
    for key, value in CASES[name].items():
        content[key] = content[key] | value if isinstance(value, dict) else value
    return BackboneConfig.model_validate(content)


def build(name: str, n_features: int = 16, dropout: float = 0.0, n_channels: int = 1, **further: Any) -> nn.Module:
    torch.manual_seed(0)
    sizes = {"n_channels": n_channels, "n_features": n_features, "n_frames": 20, "n_classes": N_CLASSES}
    return build_backbone(configure(name, dropout, **further), **sizes)


def spectrogram(batch: int, n_features: int, n_frames: int, n_channels: int = 1) -> Tensor:
    return 5 * torch.rand(batch, n_channels, n_features, n_frames, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("name", "n_features", "n_frames"), pairs(CASES, [1, 2, 5, 64, 129], [1, 2, 3, 17, 100]))
def test_backbone_takes_any_height_and_width(name: str, n_features: int, n_frames: int) -> None:
    backbone = build(name, n_features).eval()
    logits = backbone(spectrogram(2, n_features, n_frames))
    assert logits.shape == (2, N_CLASSES)
    assert logits.isfinite().all()


@EVERY
def test_backbone_sees_every_channel(name: str) -> None:
    backbone = build(name, n_channels=3).eval()
    inputs = spectrogram(2, 16, 40, n_channels=3)
    logits = backbone(inputs)
    assert logits.shape == (2, N_CLASSES)
    for channel in range(3):
        other = inputs.clone()
        other[:, channel] += 1 + other[:, channel].flip(-1)
        assert not torch.allclose(backbone(other), logits)


@EVERY
def test_backbone_does_not_see_level_and_range(name: str) -> None:
    backbone = build(name).train()
    inputs = spectrogram(4, 16, 20)
    with torch.no_grad():
        torch.testing.assert_close(backbone(3 * inputs - 40), backbone(inputs), rtol=1e-3, atol=1e-3)


@EVERY
def test_backbone_trains_on_a_batch_of_one(name: str) -> None:
    backbone = build(name).train()
    backbone(spectrogram(1, 16, 20)).sum().backward()
    for parameter in backbone.parameters():
        assert isinstance(parameter.grad, Tensor)
        assert parameter.grad.isfinite().all()


@EVERY
def test_backbone_gradient_reaches_each_parameter(name: str) -> None:
    backbone = build(name).train()
    optimizer = torch.optim.SGD(backbone.parameters(), lr=0.1)
    inputs, targets = spectrogram(6, 16, 20), torch.arange(6) % N_CLASSES
    # Some norms start at zero, so that what lies before them gets its first gradient at the second step.
    for _ in range(2):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(backbone(inputs), targets).backward()
        optimizer.step()
    for parameter_name, parameter in backbone.named_parameters():
        assert isinstance(parameter.grad, Tensor), parameter_name
        assert parameter.grad.isfinite().all(), parameter_name
        assert parameter.grad.any(), parameter_name


@EVERY
def test_backbone_gradient_reaches_the_spectrogram(name: str) -> None:
    inputs = spectrogram(2, 16, 20).requires_grad_()
    build(name).eval()(inputs).square().sum().backward()
    assert isinstance(inputs.grad, Tensor)
    assert inputs.grad.isfinite().all()
    assert inputs.grad.any()


@EVERY
def test_backbone_batch_of_one_equals_batch_of_many(name: str) -> None:
    backbone = build(name, dropout=0.5).eval()
    inputs = spectrogram(5, 16, 33)
    with torch.no_grad():
        together = backbone(inputs)
        alone = torch.cat([backbone(one[None]) for one in inputs])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)
    assert (together - together[0]).abs().max() > 1e-4  # the clips do differ


@EVERY
def test_backbone_drops_units_in_training_only(name: str) -> None:
    backbone = build(name, dropout=0.5)
    inputs = spectrogram(4, 16, 20)
    with torch.no_grad():
        assert not torch.equal(backbone.train()(inputs), backbone(inputs))
        backbone.eval()
        torch.testing.assert_close(backbone(inputs), backbone(inputs), rtol=0, atol=0)


@EVERY
def test_backbone_learns_to_tell_high_from_low(name: str) -> None:
    torch.manual_seed(0)
    backbone = build(name).train()
    targets = torch.arange(8) % 2
    inputs = 0.1 * torch.rand(8, 1, 16, 20)
    inputs[targets == 0, :, :8] += 1
    inputs[targets == 1, :, 8:] += 1
    optimizer = torch.optim.Adam(backbone.parameters(), lr=1e-2)
    for _ in range(15):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(backbone(inputs), targets).backward()
        optimizer.step()
    assert torch.equal(backbone(inputs).argmax(dim=1), targets)


@EVERY
def test_backbone_save_and_load(name: str, tmp_path: Path) -> None:
    trained = build(name).train()
    trained(spectrogram(4, 16, 20))  # moves the running statistics
    torch.save(trained.state_dict(), tmp_path / "weights.pt")
    torch.manual_seed(99)
    fresh = build(name)
    inputs = spectrogram(3, 16, 25)
    assert not torch.equal(fresh.eval()(inputs), trained.eval()(inputs))
    fresh.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    torch.testing.assert_close(fresh(inputs), trained(inputs), rtol=0, atol=0)


@EVERY
def test_backbone_is_decided_by_the_seed(name: str) -> None:
    first, second = build(name), build(name)
    inputs = spectrogram(3, 16, 20)
    torch.testing.assert_close(first.eval()(inputs), second.eval()(inputs), rtol=0, atol=0)


@EVERY
def test_deep_copy_is_a_backbone_of_its_own(name: str) -> None:
    backbone = build(name).train()
    twin = copy.deepcopy(backbone)
    before = {key: tensor.clone() for key, tensor in backbone.state_dict().items()}
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.add_(1)
    twin(spectrogram(4, 16, 20))
    assert all(torch.equal(tensor, before[key]) for key, tensor in backbone.state_dict().items())


def test_backbone_registries_match_the_configuration() -> None:
    """Each is known by its name, others are refused with the known ones; heads are those that the section grants."""
    section = load_config(Path(__file__).parents[2] / "params.yaml").backbone
    for name in BACKBONES:
        check_backbone(section.model_copy(update={"name": name}))
    with pytest.raises(InputError, match=rf"backbone\.name=zzz is no backbone; known: {', '.join(BACKBONES)} and timm"):
        check_backbone(section.model_copy(update={"name": "zzz"}))
    assert list(HEADS) == list(get_args(BackboneConfig.model_fields["head"].annotation))


@EVERY
def test_build_backbone_takes_the_configured_settings(name: str) -> None:
    backbone = build_backbone(configure(name, 0.37), n_channels=1, n_features=10, n_frames=12, n_classes=7)
    assert type(backbone) is BACKBONES.get(CASES[name]["name"], TimmModel)
    dropped = [module.p for module in backbone.modules() if isinstance(module, nn.Dropout)]
    assert set(dropped or [backbone.model.drop_rate]) == {0.37}
    assert backbone(spectrogram(2, 10, 12)).shape == (2, 7)


@EVERY
def test_backbone_can_be_checked_before_it_is_built(name: str) -> None:
    check_backbone(configure(name))


@EVERY
def test_backbone_has_features_and_a_head_of_its_own(name: str) -> None:
    backbone = build(name, dropout=0.5).eval()
    inputs = spectrogram(3, 16, 25)
    with torch.no_grad():
        features = backbone.forward_features(inputs)
        assert features.shape == (3, backbone.num_features)
        torch.testing.assert_close(backbone.head(features), backbone(inputs), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", BACKBONES)
@pytest.mark.parametrize("head", HEADS)
def test_backbone_takes_every_head(name: str, head: str) -> None:
    backbone = build_backbone(configure(name, head=head), n_channels=1, n_features=16, n_frames=20, n_classes=2)
    assert isinstance(backbone, Backbone)
    assert type(backbone.head) is HEADS[head]
    inputs = spectrogram(4, 16, 25)
    with torch.no_grad():
        backbone.eval()
        logits = backbone(inputs)
        assert logits.shape == (4, 2)
        assert logits.isfinite().all()
        assert torch.equal(logits, backbone.head(backbone.dropout(backbone.forward_features(inputs))))
    backbone.train()(inputs).square().sum().backward()
    assert all(isinstance(each.grad, Tensor) and each.grad.isfinite().all() for each in backbone.head.parameters())


@pytest.mark.parametrize("n_frames", [1, 2, 16, 31])
@EVERY
def test_backbone_is_finite_in_bf16_on_narrow_spectrograms(name: str, n_frames: int) -> None:
    check_bf16(build(name), n_frames)
