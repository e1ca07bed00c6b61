import copy
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import safetensors.torch
import timm
import torch

from adaspec.backbones.timm_model import TimmModel, check_timm_name
from adaspec.errors import InputError

SIZES: dict[str, Any] = {"n_channels": 1, "n_features": 64, "n_frames": 70, "n_classes": 4, "dropout": 0.1}
SMALL = "timm:resnet10t"


def build(name: str = SMALL, **changes: Any) -> TimmModel:
    settings = {"pretrained": False, "weights": None, "freeze": False}
    torch.manual_seed(0)
    return TimmModel(**(SIZES | settings | changes), name=name)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a model on RGB images with 1000 classes."""
    path = tmp_path_factory.mktemp("weights") / "resnet10t.safetensors"
    torch.manual_seed(5)
    safetensors.torch.save_file(timm.create_model("resnet10t").state_dict(), path)
    return path


@pytest.mark.parametrize("name", ["timm:resnet10t", "timm:mobilenetv3_small_050", "timm:vit_tiny_patch16_224"])
@pytest.mark.parametrize("n_frames", [20, 70, 150])
def test_model_takes_spectrograms_of_any_width(name: str, n_frames: int) -> None:
    with torch.no_grad():
        assert build(name).eval()(torch.randn(2, 1, 64, n_frames)).shape == (2, 4)


@pytest.mark.parametrize("name", ["timm:swinv2_tiny_window8_256", "timm:dla46_c"])
@pytest.mark.parametrize("n_frames", [20, 70, 150])
def test_model_that_needs_multiples_is_given_them(name: str, n_frames: int) -> None:
    model = build(name).eval()
    inputs = torch.randn(2, 1, 64, n_frames)
    with torch.no_grad():
        logits = model(inputs)
        torch.testing.assert_close(logits[1:], model(inputs[1:]), rtol=1e-4, atol=1e-5)
    assert logits.shape == (2, 4)


def test_model_of_one_size_takes_the_trained_one_and_refuses_others_in_one_line() -> None:
    model = build("timm:pit_ti_224").eval()
    with torch.no_grad():
        assert model(torch.randn(2, 1, 64, 70)).shape == (2, 4)
    with pytest.raises(InputError, match="takes spectrograms of 64 x 70 but not 64 x 150") as caught:
        model(torch.randn(2, 1, 64, 150))
    assert "\n" not in str(caught.value)


def test_model_that_cannot_take_the_size_is_refused_in_one_line() -> None:
    with pytest.raises(InputError, match="inception_v3 cannot be built for spectrograms of 64 x 70") as caught:
        build("timm:inception_v3")
    assert "\n" not in str(caught.value)


def test_models_begin_alike_whatever_was_tried_before(weights: Path) -> None:
    torch.manual_seed(0)
    plain = timm.create_model("resnet10t", in_chans=1, num_classes=4, drop_rate=0.1)
    assert torch.equal(build().model.fc.weight, plain.fc.weight)
    first, second = (build(pretrained=True, weights=str(weights)).model.fc.weight for _ in range(2))
    assert torch.equal(first, second)


def test_weights_of_the_hub_are_safetensors_alone(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def download(repo_id: str, filename: str, **_: Any) -> str:
        asked.append(f"{repo_id}/{filename}")
        return str(weights)

    monkeypatch.setattr("timm.models._hub.hf_hub_download", download)
    stored = safetensors.torch.load_file(weights)
    model = build(pretrained=True).model
    assert torch.equal(model.layer1[0].conv1.weight, stored["layer1.0.conv1.weight"])
    assert asked == ["timm/resnet10t.c3_in1k/model.safetensors"]


def test_pickled_weights_are_never_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def download(repo_id: str, filename: str, **_: Any) -> str:
        assert filename == "model.safetensors"
        raise huggingface_hub.errors.EntryNotFoundError("404: no such file")

    monkeypatch.setattr("timm.models._hub.hf_hub_download", download)
    with pytest.raises(InputError, match="cannot begin with these weights"):
        build(pretrained=True)


def test_weights_of_a_file_are_taken_over_for_one_channel_and_other_classes(weights: Path) -> None:
    stored = safetensors.torch.load_file(weights)
    model = build(pretrained=True, weights=str(weights)).model
    assert torch.equal(model.layer1[0].conv1.weight, stored["layer1.0.conv1.weight"])
    assert model.fc.weight.shape == (4, 512)
    first = stored["conv1.0.weight"].sum(dim=1, keepdim=True)  # a grey image is the same in all three channels
    torch.testing.assert_close(model.conv1[0].weight, first)
    assert not torch.equal(build().model.layer1[0].conv1.weight, stored["layer1.0.conv1.weight"])


def test_freeze_trains_first_convolution_and_head_alone(weights: Path) -> None:
    model = build(pretrained=True, weights=str(weights), freeze=True).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    torch.nn.functional.cross_entropy(model(torch.randn(6, 1, 64, 70)), torch.arange(6) % 4).backward()
    optimizer.step()
    moved = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    learned = {"model.conv1.0.weight", "model.fc.weight", "model.fc.bias"}
    statistics = {"normalize.running_mean", "normalize.running_var", "normalize.num_batches_tracked"}
    assert moved == learned | statistics


@pytest.mark.parametrize(
    ("name", "heads"),
    [("timm:levit_128s", {"head", "head_dist"}), ("timm:efficientformerv2_s0", {"head", "head_dist"})],
)
def test_freeze_trains_both_heads_of_a_distilled_model(name: str, heads: set[str]) -> None:
    model = build(name, freeze=True).train()
    learned = {key.split(".")[1] for key, p in model.named_parameters() if p.requires_grad and "model." in key}
    assert learned == heads | {"stem"}
    for key, module in model.model.named_modules():
        if isinstance(module, torch.nn.BatchNorm2d | torch.nn.BatchNorm1d):
            assert module.training is key.startswith("head"), key


def test_freeze_survives_a_deep_copy() -> None:
    twin = copy.deepcopy(build(freeze=True)).train()
    norms = [module for module in twin.model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert norms
    assert not any(norm.training for norm in norms)
    assert twin.normalize.training


@pytest.mark.parametrize("name", ["timm:resnet10", "timm:nothing_like_it", "timm:resnet18.of_mine"])
def test_unknown_model_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(InputError) as caught:
        check_timm_name(name)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)
    assert ("did you mean" in str(caught.value)) is (name != "timm:nothing_like_it")


def test_weights_that_cannot_be_had_are_refused_in_one_line(weights: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"not safetensors")
    for path, name in (
        (tmp_path / "none.safetensors", SMALL),
        (broken, SMALL),
        (weights, "timm:mobilenetv3_small_050"),
    ):
        with pytest.raises(InputError, match="backbone") as caught:
            build(name, pretrained=True, weights=str(path))
        assert "\n" not in str(caught.value)


def test_missing_timm_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "timm", None)
    with pytest.raises(InputError, match=r"pip install '\.\[pipeline\]'"):
        build()
