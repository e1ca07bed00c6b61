from typing import Any

import pytest
import timm
import torch
from precision import check_bf16

from adaspec.backbones import ResNet, ResNet18

SIZES: dict[str, Any] = {"n_channels": 1, "n_features": 16, "n_frames": 20, "n_classes": 3, "dropout": 0.0}
WIDTHS = (16, 32, 64, 128)


def build(**changes: Any) -> ResNet:
    torch.manual_seed(0)
    return ResNet(**(SIZES | {"widths": WIDTHS} | changes))


def test_resnet_has_a_block_for_each_width() -> None:
    model = build(widths=(8, 24, 12))
    normal = torch.zeros(1, 1, 16, 40)
    maps = [model.stem(normal)]
    for block in model.blocks:
        maps.append(block(maps[-1]))
    assert [tuple(each.shape[1:]) for each in maps] == [(8, 8, 20), (8, 8, 20), (24, 4, 10), (12, 2, 5)]


def test_resnet_without_the_block_of_the_stem() -> None:
    with_it, without = build(widths=(8, 24, 12)), build(widths=(8, 24, 12), stem_block=False)
    assert [block.residual[0].out_channels for block in with_it.blocks] == [8, 24, 12]
    assert [block.residual[0].out_channels for block in without.blocks] == [24, 12]
    spectrogram = torch.randn(2, 1, 16, 40)
    assert without(spectrogram).shape == with_it(spectrogram).shape == (2, 3)
    assert without.blocks(without.stem(spectrogram)).shape == with_it.blocks(with_it.stem(spectrogram)).shape


def test_resnet_keeps_the_names_and_the_size_of_its_weights() -> None:
    """Saved models depend on them."""
    model = build(n_classes=10)
    assert sum(p.numel() for p in model.parameters()) == 308_794
    names = list(model.state_dict())
    assert len(names) == 77
    assert [name for name in names if not name.startswith(("normalize", "stem", "blocks"))] == [
        "head.weight",
        "head.bias",
    ]
    assert {"blocks.1.residual.4.running_var", "blocks.3.shortcut.1.weight", "stem.0.weight"} <= set(names)


def test_resnet_starts_as_its_shortcuts() -> None:
    """The last norm of each residual branch starts at zero, so that its weights do not yet matter."""
    backbone = build().eval()
    inputs = torch.randn(2, 1, 16, 20)
    before = backbone(inputs)
    with torch.no_grad():
        for block in backbone.blocks:
            block.residual[0].weight.normal_()
    torch.testing.assert_close(backbone(inputs), before, rtol=0, atol=0)


@pytest.mark.parametrize("n_frames", [1, 40, 70])
@pytest.mark.parametrize("n_blocks", [1, 6, 8])
def test_resnet_of_many_widths_is_finite_in_bf16_on_narrow_spectrograms(n_blocks: int, n_frames: int) -> None:
    check_bf16(build(widths=(8,) * n_blocks), n_frames)


def test_resnet18_is_resnet_18_behind_a_norm() -> None:
    model = ResNet18(**(SIZES | {"n_channels": 3, "n_classes": 1000}))
    assert sum(p.numel() for p in model.parameters()) == 11_689_512


def test_resnet18_computes_what_timm_computes_with_its_weights() -> None:
    """timm's ResNet-18 with averaging shortcuts; both list their weights in the same order."""
    torch.manual_seed(0)
    peer = timm.create_model("resnet18", in_chans=3, num_classes=7, avg_down=True).eval()
    for module in peer.modules():
        if isinstance(module, torch.nn.BatchNorm2d):  # at other values than those it starts with
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
    model = ResNet18(**(SIZES | {"n_channels": 3, "n_classes": 7})).eval()
    names = [name for name in model.state_dict() if not name.startswith("normalize")]
    model.load_state_dict(dict(zip(names, peer.state_dict().values(), strict=True)), strict=False)
    model.normalize.eps = 0.0
    with torch.no_grad():
        for size in ((64, 64), (65, 101), (128, 77)):
            spectrogram = torch.randn(2, 3, *size)
            torch.testing.assert_close(model(spectrogram), peer(spectrogram), rtol=1e-4, atol=1e-4)
