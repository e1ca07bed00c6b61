from typing import Any

import pytest
import torch
from precision import check_bf16
from torch import Tensor

from adaspec.backbones import AST
from adaspec.backbones import ast as module

SIZES: dict[str, Any] = {"n_channels": 1, "n_features": 32, "n_frames": 60, "n_classes": 5, "dropout": 0.0}
SETTINGS: dict[str, Any] = {
    "stem": "patches",
    "patch_size": 8,
    "patch_stride": 4,
    "embed_dim": 24,
    "depth": 2,
    "num_heads": 3,
    "pooling": "cls",
    "patch_dropout": 0.0,
}


def build(**changes: Any) -> AST:
    torch.manual_seed(0)
    return AST(**(SIZES | SETTINGS | changes))


def spectrogram(n_frames: int = 60) -> Tensor:
    return torch.randn(3, 1, 32, n_frames, generator=torch.Generator().manual_seed(2))


def test_model_of_the_original_study_has_its_size() -> None:
    """Three blocks of 12 d^2 + 13 d weights, 16x16 patches with stride 10 on 128 bands and 498 frames."""
    d, n_patches = 768, 12 * 49
    sizes = SIZES | {"n_features": 128, "n_frames": 498, "n_classes": 50}
    study = {"patch_size": 16, "patch_stride": 10, "embed_dim": d, "depth": 3, "num_heads": 6}
    model = AST(**(sizes | SETTINGS | study))
    stem, head, norms = 256 * d + d, 50 * d + 50, 2 * d
    assert (
        sum(p.numel() for p in model.parameters())
        == 3 * (12 * d * d + 13 * d) + n_patches * d + d + stem + head + norms
    )


@pytest.mark.parametrize(
    ("size", "stride", "grid"), [(8, 8, (4, 7)), (8, 4, (7, 14)), (16, 10, (2, 5)), (4, 1, (29, 57))]
)
def test_patches_overlap_by_size_less_stride(size: int, stride: int, grid: tuple[int, int]) -> None:
    assert build(patch_size=size, patch_stride=stride).places.shape[2:] == grid


def test_places_of_the_trained_window_are_taken_as_they_are() -> None:
    model = build().eval()
    with torch.no_grad():
        expected = model(spectrogram())
        interpolated = torch.nn.functional.interpolate(model.places, model.places.shape[2:], mode="bilinear")
        model.places.copy_(interpolated)
        assert torch.equal(model(spectrogram()), expected)


@pytest.mark.parametrize("stem", ["patches", "convolutions"])
def test_places_stretch_with_the_spectrogram(stem: str) -> None:
    """Places that grow steadily along time do so from end to end of a longer grid too."""
    model = build(stem=stem)
    with torch.no_grad():
        model.places.copy_(torch.linspace(0, 1, model.places.shape[3]).expand_as(model.places))
    grid = torch.zeros(1, 24, model.places.shape[2], 3 * model.places.shape[3])
    places = model._places(grid)
    assert places.shape == grid.shape
    assert (places.diff(dim=3) >= 0).all()
    assert places[..., 0].max() < 0.01
    assert places[..., -1].min() > 0.99


def test_order_of_patches_matters_by_their_places_alone() -> None:
    model = build(patch_stride=8, pooling="mean").eval()
    inputs = spectrogram(56)
    swapped = torch.cat([inputs[..., 24:], inputs[..., :24]], dim=3)
    with torch.no_grad():
        assert not torch.allclose(model(inputs), model(swapped), atol=1e-5)
        model.places.zero_()
        torch.testing.assert_close(model(inputs), model(swapped), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_only_cls_pooling_has_a_token(pooling: str) -> None:
    assert (build(pooling=pooling).cls is not None) is (pooling == "cls")


def test_patch_dropout_leaves_out_its_share_in_training_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    model = build(patch_dropout=0.25)
    seen: list[int] = []
    model.blocks.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].shape[1]))
    n_patches = model.places.shape[2] * model.places.shape[3]
    model.train()(spectrogram())
    model.eval()(spectrogram())
    assert seen == [1 + round(0.75 * n_patches), 1 + n_patches]


def test_patch_dropout_takes_whole_patches_and_others_for_each_clip() -> None:
    model = build(patch_dropout=0.5)
    tokens = torch.arange(40.0).reshape(1, 40, 1).repeat(6, 1, 24)
    kept = model._leave_out(tokens)
    assert kept.shape == (6, 20, 24)
    assert torch.equal(kept, kept[..., :1].expand_as(kept))
    choices = {tuple(sorted(clip[:, 0].tolist())) for clip in kept}
    assert len(choices) == 6
    assert all(len(set(choice)) == 20 for choice in choices)


def test_patch_dropout_keeps_a_patch_at_least() -> None:
    assert build(patch_dropout=0.99)._leave_out(torch.zeros(2, 10, 24)).shape == (2, 1, 24)


def test_short_and_long_sequences_attend_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short ones are computed by two products, long ones by PyTorch's fused attention."""
    query, key, value = torch.randn(3, 2, 3, 50, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    plain = module._attend(query, key, value)
    monkeypatch.setattr(module, "SHORT", 10)
    torch.testing.assert_close(module._attend(query, key, value), plain)


def test_model_can_be_exported() -> None:
    model = build().eval()
    exported = torch.export.export(model, (spectrogram(),))
    torch.testing.assert_close(exported.module()(spectrogram()), model(spectrogram()))


def test_model_can_be_compiled_without_graph_breaks() -> None:
    model = build(patch_dropout=0.5).eval()
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(spectrogram()), model(spectrogram()))


@pytest.mark.parametrize("n_frames", [1, 3, 8])
@pytest.mark.parametrize(("size", "stride"), [(2, 2), (3, 2), (4, 2), (8, 2)])
def test_narrow_spectrograms_are_finite_in_bf16(size: int, stride: int, n_frames: int) -> None:
    check_bf16(build(n_features=16, n_frames=8, patch_size=size, patch_stride=stride), n_frames)
