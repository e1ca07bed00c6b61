"""Training that starts from trained models, and that trains their compression alone."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor
from toydata import Toy, changed

from adaspec.config import Config
from adaspec.errors import InputError
from adaspec.models.saved import load
from adaspec.models.start import check_start, models_digest
from adaspec.training.crossvalidate import check_training
from adaspec.training.fit import fit_fold
from adaspec.training.spectrograms import cache_spectrograms

PCEN = {"frontend.compression.name": "pcen"}
BASE = PCEN | {"train.epochs": 2}
ADAPT = BASE | {"frontend.learn_compression": True, "train.only_frontend": True}


@pytest.fixture(scope="module")
def models(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models of both folds, with a fixed PCEN."""
    folder = tmp_path_factory.mktemp("start")
    config = changed(toy.config, **BASE)
    for fold in (1, 2):
        fit_fold(fold, toy.rows(fold), toy.labels, config, toy.features, folder / "scratch", folder / f"fold-{fold}")
        shutil.rmtree(folder / "scratch")
    return folder


def started(toy: Toy, models: Path, **knobs: Any) -> Config:
    return changed(toy.config, **({"train.start": f"{models}@{models_digest(models)}"} | ADAPT | knobs))


def weights(folder: Path) -> dict[str, Tensor]:
    return safetensors.torch.load_file(folder / "model.safetensors")


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_adapting_moves_the_compression_and_nothing_else(
    toy: Toy, models: Path, tmp_path: Path, cached: bool, optimizer: str
) -> None:
    config = started(toy, models, **{"frontend.cached": cached, "train.optimizer.name": optimizer})
    stores = cache_spectrograms(config, toy.labels, [2], toy.features, tmp_path)
    task = (2, toy.rows(2), toy.labels, config, toy.features, tmp_path, tmp_path / "fold-2")
    fit_fold(*task, spectrograms=stores.get(2))
    before, now = weights(models / "fold-2"), weights(tmp_path / "fold-2")
    assert before.keys() == now.keys()
    moved = {name for name in before if not torch.equal(before[name], now[name])}
    assert moved == {f"frontend.compression.log_{name}" for name in ("time_constant", "gain", "bias", "power")}
    assert any("running_mean" in name for name in before)
    clips = torch.randn(2, 1600, generator=torch.Generator().manual_seed(0))
    assert not torch.equal(load(tmp_path / "fold-2")(clips), load(models / "fold-2")(clips))


def test_fold_starts_from_the_model_of_its_own_number(toy: Toy, models: Path, tmp_path: Path) -> None:
    config = started(toy, models, **{"train.frontend.lr_multiplier": 0.0})
    for fold in (1, 2):
        fit_fold(fold, toy.rows(fold), toy.labels, config, toy.features, tmp_path, tmp_path / f"fold-{fold}")
        before, now = weights(models / f"fold-{fold}"), weights(tmp_path / f"fold-{fold}")
        assert all(torch.equal(before[name], now[name]) for name in before)


def test_training_may_go_on_with_all_weights(toy: Toy, models: Path, tmp_path: Path) -> None:
    knobs = {"train.only_frontend": False, "frontend.learn_compression": False}
    config = started(toy, models, **knobs, **{"train.optimizer.learning_rate": 1e-6})
    fit_fold(1, toy.rows(), toy.labels, config, toy.features, tmp_path, tmp_path / "fold-1")
    before, now = weights(models / "fold-1"), weights(tmp_path / "fold-1")
    head = "backbone.head.weight"
    assert not torch.equal(before[head], now[head])
    torch.testing.assert_close(before[head], now[head], rtol=0, atol=1e-4)


def test_digest_of_models_is_of_their_content(models: Path, tmp_path: Path) -> None:
    copied = tmp_path / "copied"
    shutil.copytree(models, copied)
    assert models_digest(copied) == models_digest(models)
    (copied / "fold-1" / "history.jsonl").unlink()
    (copied / "notes.txt").write_text("a")
    assert models_digest(copied) == models_digest(models)
    (copied / "fold-2").rename(copied / "fold-3")
    assert models_digest(copied) != models_digest(models)


def refusal(config: Config, labels: list[str], folds: tuple[int, ...] = (1, 2)) -> str:
    with pytest.raises(InputError) as refused:
        check_training(config, labels, folds)
    return str(refused.value)


def test_start_must_name_the_models_that_are_there(toy: Toy, models: Path, tmp_path: Path) -> None:
    check_training(started(toy, models), toy.labels, (1, 2))
    digest = models_digest(models)
    told = refusal(started(toy, models, **{"train.start": str(models)}), toy.labels)
    assert told == (
        f"params.yaml train.start={models} must tell the models by their digest, so that others in their place are "
        f"another training; set train.start={models}@{digest}"
    )
    other = f"{models}@{'0' * len(digest)}"
    with pytest.raises(InputError) as refused:
        check_start(started(toy, models, **{"train.start": other}))
    assert str(refused.value) == (
        f"params.yaml train.start={other}: the models there are others by now; set train.start={models}@{digest} to "
        "start from them"
    )
    assert refusal(started(toy, models, **{"train.start": str(tmp_path)}), toy.labels) == (
        f"params.yaml train.start={tmp_path} holds no models; give a folder with fold-1, fold-2 and so on, such as a "
        "copy of models/"
    )
    assert refusal(started(toy, models), toy.labels, (3,)).startswith(f"{models}/fold-3/model.json not found")


@pytest.mark.parametrize(
    ("knobs", "told"),
    [
        ({"frontend.mel.n_mels": 12}, "frontend.mel.n_mels=12, but train.start names {}, which was trained with 16"),
        ({"frontend.compression.pcen.gain": 0.5}, "frontend.compression.pcen.gain=0.5, but"),
        ({"frontend.learn_window": True, "frontend.window_symmetric": True}, "frontend.window_symmetric=True, but"),
        ({"backbone.name": "cnn"}, "backbone.name=cnn, but train.start names {}, which was trained with resnet"),
        ({"backbone.resnet.stem_block": False}, "backbone.resnet.stem_block=False, but"),
        ({"backbone.members": 2}, "backbone.members=2, but"),
    ],
)
def test_start_from_other_models_is_refused(toy: Toy, models: Path, knobs: dict[str, Any], told: str) -> None:
    found = refusal(started(toy, models, **knobs), toy.labels)
    assert found.startswith(f"params.yaml {told.format(models / 'fold-1')}")
    assert "\n" not in found


def test_start_from_models_of_other_labels_is_refused(toy: Toy, models: Path) -> None:
    assert refusal(started(toy, models), ["high", "low", "noise"]) == (
        f"params.yaml train.start: {models}/fold-1 knows 3 labels, the data set has 3 (middle, noise in one of the two "
        "only); start from models of the same labels"
    )


def test_start_takes_what_does_not_touch_the_weights(toy: Toy, models: Path) -> None:
    knobs = {"backbone.dropout": 0.5, "features.window.length_s": 0.25, "frontend.cached": True, "train.epochs": 9}
    check_training(started(toy, models, **knobs), toy.labels, (1, 2))
