"""Each row of the table in docs/music.md does what it says."""

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from toydata import Toy, changed, make_toy

from adaspec.config.resolve import resolve
from adaspec.features.extract import extract
from adaspec.features.representation import Waveform, feature_contract
from adaspec.features.store import FeatureStore
from adaspec.frontends import AdaptiveSTFT, Fbank, build_frontend
from adaspec.models.classifier import AudioClassifier
from adaspec.models.history import read_history
from adaspec.models.saved import load
from adaspec.runtime.engine import torch_device
from adaspec.tables.splits import make_folds
from adaspec.tasks import build_task
from adaspec.training.checkpoints import read_checkpoint
from adaspec.training.fit import _training_data, fit_fold
from adaspec.training.module import FoldModule
from adaspec.training.optimisers import learning_rate_factor

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    return make_toy(tmp_path_factory.mktemp("toy"), {"high": 10, "low": 10})


class BrokenOffError(Exception):
    """A break in the third epoch."""


class BreakOff(pl.Callback):
    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.current_epoch == 2:
            raise BrokenOffError


class Look(pl.Callback):
    """At the beginning of each epoch, note that of the checkpoint; -1 where there is none."""

    def __init__(self, checkpoint: Path) -> None:
        self.checkpoint = checkpoint
        self.epochs: list[int] = []

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        exists = self.checkpoint.exists()
        self.epochs.append(read_checkpoint(self.checkpoint)["epoch"] if exists else -1)


def model(toy: Toy, **knobs: Any) -> AudioClassifier:
    return AudioClassifier(changed(toy.config, **knobs), toy.labels)


def fitted(toy: Toy, folder: Path, **knobs: Any) -> list[dict[str, float]]:
    config = changed(toy.config, **knobs)
    fit_fold(1, toy.rows(), toy.labels, config, toy.features, folder, folder / "finished")
    return read_history(folder / "finished")


def optimizer(toy: Toy, **knobs: Any) -> torch.optim.Optimizer:
    config = changed(toy.config, **knobs)
    targets = torch.zeros(1, dtype=torch.int64)
    held = {"representation": Waveform(), "validation_representation": Waveform()}
    module = FoldModule(model(toy, **knobs), build_task(toy.labels, config), config, 1, torch.ones(2), targets, **held)

    class Trainer:
        estimated_stepping_batches = 10

    module.__dict__["_trainer"] = Trainer()
    found = module.configure_optimizers()["optimizer"]
    assert isinstance(found, torch.optim.Optimizer)
    return found


def frontend(toy: Toy, **knobs: Any) -> AdaptiveSTFT | Fbank:
    return build_frontend(changed(toy.config, **knobs).frontend, 8000)


def learned(toy: Toy, **knobs: Any) -> set[str]:
    return set(frontend(toy, **knobs).learned)


def sample_rate(toy: Toy, folder: Path) -> None:
    config = changed(toy.config, **{"audio.sample_rate": 4000})
    extract(toy.clips, config, folder)
    clip_id = toy.clips["clip_id"][0]
    halved = len(FeatureStore(folder, feature_contract(config)).tensor(clip_id))
    whole = len(FeatureStore(toy.features, feature_contract(toy.config)).tensor(clip_id))
    assert abs(2 * halved - whole) <= 2
    assert model(toy, **{"audio.sample_rate": 4000}).sample_rate == 4000


def n_fft(toy: Toy, folder: Path) -> None:
    layer = frontend(toy, **{"frontend.n_fft": 256, "frontend.mel.n_mels": None})
    assert layer(torch.randn(1, 1600)).shape[2] == 129


def hop_length(toy: Toy, folder: Path) -> None:
    layer = frontend(toy, **{"frontend.hop_length": 100})
    assert layer(torch.randn(1, 1600)).shape[3] == 17


def n_mels(toy: Toy, folder: Path) -> None:
    layer = frontend(toy, **{"frontend.mel.n_mels": 11})
    assert layer(torch.randn(1, 1600)).shape[2] == 11


def trainable_window(toy: Toy, folder: Path) -> None:
    fitted(toy, folder, **{"frontend.learn_window": True})
    assert load(folder / "finished").frontend.window().sub(torch.hann_window(128)).abs().max() > 1e-6
    assert learned(toy, **{"frontend.learn_window": True}) - learned(toy)


def trainable_kernels(toy: Toy, folder: Path) -> None:
    both = learned(toy, **{"frontend.learn_window": True, "frontend.learn_kernels": True})
    assert both - learned(toy, **{"frontend.learn_window": True})


def three_channels(toy: Toy, folder: Path) -> None:
    layer = frontend(toy, **{"frontend.n_transforms": 3, "frontend.learn_kernels": True})
    assert layer(torch.randn(2, 1600)).shape[:2] == (2, 3)


def split_parts(toy: Toy, folder: Path) -> None:
    whole, half = (
        resolve(
            changed(toy.config, **{"features.window.length_s": None, "features.window.n_parts": n_parts}), toy.clips
        ).features.window.length_s
        for n_parts in (1, 2)
    )
    assert whole is not None
    assert half == pytest.approx(whole / 2, abs=1e-3)


def dropout(toy: Toy, folder: Path) -> None:
    knobs = {"backbone.name": "resnet18", "backbone.dropout": 0.7}
    rates = [module.p for module in model(toy, **knobs).modules() if isinstance(module, torch.nn.Dropout)]
    assert rates == [0.7]


def n_splits(toy: Toy, folder: Path) -> None:
    config = changed(toy.config, **{"split.n_folds": 4})
    assert make_folds(toy.clips, config.split, config.seed)["fold"].nunique() == 4


def seed(toy: Toy, folder: Path) -> None:
    first, again, other = (fitted(toy, folder / name, seed=n) for name, n in (("a", 1), ("b", 1), ("c", 2)))
    assert first == again != other


def batch_size(toy: Toy, folder: Path) -> None:
    store, rows = FeatureStore(toy.features, feature_contract(toy.config)), toy.rows()
    train = rows[rows["role"] == "train"]
    for largest in (2, 5):
        config = changed(toy.config, **{"train.batch_size": largest})
        sizes = [len(labels) for _, labels, _ in _training_data(store, train, model(toy), config, 1)]
        assert sum(sizes) == len(train)
        assert len(sizes) == math.ceil(len(train) / largest)
        assert max(sizes) <= largest


def num_workers(toy: Toy, folder: Path) -> None:
    for n_workers in (1, 2):
        extract(toy.clips, changed(toy.config, **{"engine.workers": n_workers}), folder / str(n_workers))
    one, two = ({path.name: path.read_bytes() for path in (folder / n).iterdir()} for n in ("1", "2"))
    assert one == two


def epochs(toy: Toy, folder: Path) -> None:
    assert len(fitted(toy, folder, **{"train.epochs": 2})) == 2


def learning_rate(toy: Toy, folder: Path) -> None:
    knobs = {"frontend.learn_window": True, "train.optimizer.learning_rate": 0.004, "train.frontend.lr_multiplier": 0.5}
    rates = [group["initial_lr"] for group in optimizer(toy, **knobs).param_groups]
    assert rates == [0.004, 0.004, 0.001]  # half of the window's own


def gamma(toy: Toy, folder: Path) -> None:
    knobs = {"train.schedule.name": "exponential", "train.schedule.gamma": 0.5, "train.schedule.warmup_fraction": 0.0}
    train = changed(toy.config, **knobs).train
    factors = [learning_rate_factor(epoch * 7, 21, 7, train) for epoch in range(3)]
    assert factors == pytest.approx([1, 0.5, 0.25])


def optimizers(toy: Toy, folder: Path) -> None:
    sgd = optimizer(toy, **{"train.optimizer.name": "sgd"})
    assert isinstance(sgd, torch.optim.SGD)
    assert {group["momentum"] for group in sgd.param_groups} == {0.9}
    assert isinstance(optimizer(toy, **{"train.optimizer.name": "adamw"}), torch.optim.AdamW)


def weight_decay(toy: Toy, folder: Path) -> None:
    groups = optimizer(toy, **{"frontend.learn_window": True, "train.optimizer.weight_decay": 0.03}).param_groups
    assert [group["weight_decay"] for group in groups] == [0.03, 0.0, 0.0]


def augmentation(toy: Toy, folder: Path) -> None:
    off = resolve(changed(toy.config, **{"augment.enabled": False}), toy.clips)
    assert off.augment.mix.name == "none"
    assert fitted(Toy(toy.clips, toy.folds, off, toy.features), folder / "off") != fitted(toy, folder / "on")


def device(toy: Toy, folder: Path) -> None:
    assert torch_device("cpu") == "cpu"
    assert torch_device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")


def resume(toy: Toy, folder: Path) -> None:
    def fit(name: str, *callbacks: pl.Callback) -> bytes:
        target = folder / name / "finished"
        config = changed(toy.config, **{"engine.checkpoint_interval_s": 0.0})
        fit_fold(1, toy.rows(), toy.labels, config, toy.features, folder / name, target, callbacks=callbacks)
        return (target / "model.safetensors").read_bytes()

    with pytest.raises(BrokenOffError):
        fit("broken", BreakOff())
    assert [path.name for path in (folder / "broken").glob("*.ckpt")] == ["last.ckpt"]
    assert fit("broken") == fit("whole")
    assert len(read_history(folder / "broken" / "finished")) == 3


def checkpoint_interval(toy: Toy, folder: Path) -> None:
    for interval_s, seen in ((0.0, [-1, 0, 1, 2]), (3600.0, [-1, 0, 0, 0])):
        target = folder / str(interval_s)
        look = Look(target / "last.ckpt")
        config = changed(toy.config, **{"train.epochs": 4, "engine.checkpoint_interval_s": interval_s})
        fit_fold(1, toy.rows(), toy.labels, config, toy.features, target, target / "finished", callbacks=[look])
        assert look.epochs == seen


CHECKS: dict[str, Callable[[Toy, Path], None]] = {
    check.__name__: check
    for check in (
        *(sample_rate, n_fft, hop_length, n_mels, trainable_window, trainable_kernels, three_channels, split_parts),
        *(dropout, n_splits, seed, batch_size, num_workers, epochs, learning_rate, gamma, weight_decay),
        *(augmentation, device, resume, checkpoint_interval),
    )
} | {"optimizer": optimizers}


@pytest.mark.parametrize("option", CHECKS)
def test_option_of_the_original_does_what_it_says(option: str, two: Toy, tmp_path: Path) -> None:
    CHECKS[option](two, tmp_path)


def test_table_of_the_page_names_knobs_that_exist_and_options_that_are_tested(two: Toy) -> None:
    page = (ROOT / "docs/music.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \|", page.partition("Names of the original's options")[2], re.MULTILINE)
    assert {option for option, _ in rows} == set(CHECKS)
    for _, knob in rows:
        if knob != "always":
            key = knob.strip("`").partition("=")[0]
            section: Any = two.config
            for part in key.split("."):
                assert hasattr(section, part), key
                section = getattr(section, part)
