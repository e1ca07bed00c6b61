"""Training time beside a plain float32 loop of the same model.

    python benchmarks/train_speed.py step [--rounds N] [--record NAME]
    python benchmarks/train_speed.py recipe [RECIPE] [--root DIR] [--epochs N] [--record NAME]

`step`: one training step of ResNet-18, batch 16, 128 bands x 216 frames, on one core: the project's (Lightning module
and trainer, its optimiser, averaged weights, bf16 where the processor has it) against forward, backward and AdamW step
in float32 on the same spectrograms. Both in turn; the figure is the ratio of the medians.

`recipe`: the wall time of a whole recipe, from recordings to scores, against a script that trains its folds one after
the other in float32 with all cores, with a data set that makes each item's log-mel spectrogram and its changes when it
is asked for, and a loader that collates the items. Model, optimiser, schedule and changes are the same (Muon's own
arithmetic is in bf16 in both).
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import math
import os
import statistics
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import numpy.typing as npt
import pandas as pd
import record
import soundfile
import torch
import torchaudio
from accuracy import SHARED, clone_last_commit, keep, run_recipe
from timm.optim.muon import Muon
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Dataset

from adaspec.audio import trim_silence
from adaspec.backbones import build_backbone
from adaspec.config import AugmentConfig, Config, TrainConfig, flatten, load_config
from adaspec.experiments.recipes import read_recipe
from adaspec.features.representation import LogSpectrogram
from adaspec.models.classifier import AudioClassifier
from adaspec.runtime.engine import keep_freed_memory
from adaspec.tasks import build_task
from adaspec.tasks.losses import LOSSES
from adaspec.training.callbacks import AverageWeights
from adaspec.training.fit import lightning_precision
from adaspec.training.module import FoldModule
from adaspec.training.optimisers import learning_rate_factor

ROOT = Path(__file__).parents[1]
BATCH, N_BANDS, N_FRAMES = 16, 128, 216
N_STEPS, N_WARM = 6, 2  # per round
LABELS = [f"{index}" for index in range(10)]
PLAIN_CHANGES = {"enabled", "equalizer_db", "gain_db", "mix.name", "mix.probability", "mix.alpha"}
PLAIN_CHANGES |= {"time_stretch", "freq_shift"}
N_GAINS = 8  # of the equaliser


def changed(config: Config, **sections: dict[str, Any]) -> Config:
    return Config.model_validate(merged(config.model_dump(), sections))


def merged(content: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Content with changes, section by section."""
    nested = {key: merged(content[key], value) for key, value in changes.items() if isinstance(value, dict)}
    return content | changes | nested


class StepTimes(pl.Callback):
    """Wall time of each training step, from batch to updated weights."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.start = 0.0

    def on_train_batch_start(self, *_: Any) -> None:  # noqa: D102
        self.start = time.perf_counter()

    def on_train_batch_end(self, *_: Any) -> None:  # noqa: D102
        self.times.append(time.perf_counter() - self.start)


def project_steps(config: Config, stored: Tensor, labels: Tensor) -> list[float]:
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    model = AudioClassifier(config, LABELS)
    model.backbone.to(memory_format=torch.channels_last)
    cached = LogSpectrogram(model.frontend)
    task, weights, none = build_task(LABELS, config), torch.ones(len(LABELS)), torch.zeros(0)
    module = FoldModule(model, task, config, 1, weights, none, representation=cached, validation_representation=cached)
    times = StepTimes()
    trainer = pl.Trainer(
        max_epochs=1,
        accelerator="auto",
        devices=1,
        precision=lightning_precision(config.train),
        callbacks=[AverageWeights(0.99), times],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    claimed = torch.zeros(len(stored), 0)  # of no speaker
    trainer.fit(module, DataLoader([(stored, labels, claimed)] * N_STEPS, batch_size=None))  # type: ignore[arg-type]
    return times.times[N_WARM:]


def plain_steps(config: Config, stored: Tensor, labels: Tensor) -> list[float]:
    model = AudioClassifier(config, LABELS).train()
    cached = LogSpectrogram(model.frontend)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    times = []
    for _ in range(N_STEPS):
        start = time.perf_counter()
        optimizer.zero_grad()
        [logits] = model.logits(stored, cached)
        nn.functional.cross_entropy(logits, labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        times.append(time.perf_counter() - start)
    return times[N_WARM:]


def step_config() -> Config:
    """Of `step`: params.yaml with a ResNet-18 on cached spectrograms."""
    return changed(
        load_config(ROOT / "params.yaml"),
        audio={"sample_rate": 22050},
        features={"window": {"length_s": (N_FRAMES - 1) * 512 / 22050}},
        frontend={"n_fft": 2048, "hop_length": 512, "mel": {"n_mels": N_BANDS}, "cached": True},
        backbone={"name": "resnet18"},
        train={"epochs": 1},
    )


def batch() -> tuple[Tensor, Tensor]:
    """Stored spectrograms and labels of `step`."""
    torch.manual_seed(0)
    return torch.randn(BATCH, N_FRAMES, N_BANDS).half(), torch.randint(len(LABELS), (BATCH,))


def compare_steps(n_rounds: int) -> dict[str, Any]:
    torch.set_num_threads(1)
    keep_freed_memory()
    config = step_config()
    stored, labels = batch()
    ours: list[float] = []
    plain: list[float] = []
    for _ in range(n_rounds):
        ours += project_steps(config, stored, labels)
        plain += plain_steps(config, stored, labels)
    medians = [statistics.median(times) for times in (plain, ours)]
    print(f"step of ResNet-18, batch {BATCH}, {N_BANDS} x {N_FRAMES}, one core, {lightning_precision(config.train)}")
    told = "plain {:.0f} ms, adaspec {:.0f} ms".format(*(1e3 * median for median in medians))
    print(f"{told}: {medians[0] / medians[1]:.2f} times faster")
    return {
        "rounds": n_rounds,
        "precision": str(lightning_precision(config.train)),
        "measurements": [
            {"plain_ms": 1e3 * medians[0], "adaspec_ms": 1e3 * medians[1], "ratio": medians[0] / medians[1]}
        ],
    }


class PlainClips(Dataset[tuple[Tensor, Tensor]]):
    """One random crop per clip, changed and mixed item by item, as log-mel spectrogram."""

    def __init__(self, waveforms: list[npt.NDArray[np.float32]], labels: list[int], config: Config) -> None:
        self.waveforms, self.labels, self.config = waveforms, labels, config
        frontend, rate = config.frontend, config.audio.sample_rate
        assert rate is not None
        length_s = config.features.window.length_s
        assert length_s is not None
        self.n_window, self.n_classes = round(length_s * rate), max(labels) + 1
        self.mel = torchaudio.transforms.MelSpectrogram(
            rate, frontend.n_fft, hop_length=frontend.hop_length, n_mels=frontend.mel.n_mels or 64, power=frontend.power
        )

    def __len__(self) -> int:
        return len(self.waveforms)

    def crop(self, index: int, n: int) -> npt.NDArray[np.float32]:
        """A random window, louder or softer."""
        clip = self.waveforms[index]
        gain_db = np.random.uniform(-1, 1) * self.config.augment.gain_db
        return np.take(clip, np.arange(n) + np.random.randint(len(clip)), mode="wrap") * np.float32(
            10 ** (gain_db / 20)
        )

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        augment = self.config.augment
        n_long = math.ceil(self.n_window * (1 + augment.time_stretch))
        target = nn.functional.one_hot(torch.tensor(self.labels[index]), self.n_classes).float()
        waveform = self.crop(index, n_long)
        if augment.mix.name == "between_class" and np.random.random() < augment.mix.probability:
            others = [other for other, label in enumerate(self.labels) if label != self.labels[index]]
            other = others[np.random.randint(len(others))]
            second, share = self.crop(other, n_long), np.random.beta(augment.mix.alpha, augment.mix.alpha)
            levels = [float(np.sqrt(np.mean(sound**2))) + 1e-9 for sound in (waveform, second)]
            heard = share * levels[1] / (share * levels[1] + (1 - share) * levels[0])
            norm = math.hypot(heard, 1 - heard)
            waveform = np.float32(heard / norm) * waveform + np.float32((1 - heard) / norm) * second
            target = share * target + (1 - share) * nn.functional.one_hot(
                torch.tensor(self.labels[other]), self.n_classes
            )
        return self.change(self.mel(torch.from_numpy(waveform))), target.float()

    def change(self, power: Tensor) -> Tensor:
        """Through an equaliser, at another speed, shifted in frequency."""
        drawn = self.config.augment.equalizer_db * np.random.standard_normal(N_GAINS)
        gains_db = np.interp(np.linspace(0, N_GAINS - 1, len(power)), np.arange(N_GAINS), drawn)
        power = power * torch.from_numpy(10 ** (gains_db / 10)).float()[:, None]
        augment, n_frames = self.config.augment, 1 + self.n_window // self.config.frontend.hop_length
        place = torch.arange(n_frames) * (1 + np.random.uniform(-1, 1) * augment.time_stretch)
        place = place.clamp_max(power.shape[1] - 1)
        before = place.long()
        after = (before + 1).clamp_max(power.shape[1] - 1)
        power = torch.lerp(power[:, before], power[:, after], place - before)
        shift = np.random.randint(-augment.freq_shift, augment.freq_shift + 1)
        power = power[(torch.arange(len(power)) + shift).clamp(0, len(power) - 1)]
        return self.log(power)

    def log(self, power: Tensor) -> Tensor:
        """Decibels, with a channel axis."""
        return (10 * power.clamp_min(1 / self.config.frontend.compression.gamma).log10()).unsqueeze(0)


def plain_recipe(config: Config, root: Path) -> list[float]:
    """Train and test fold after fold; return the accuracy of each."""
    table = pd.read_csv(root / "meta/esc50.csv")
    table = table[table["esc10"]] if config.dataset.variant == "esc10" else table
    names = sorted(table["category"].unique())
    waveforms = []
    for name in table["filename"]:
        waveform, rate = soundfile.read(root / "audio" / name, dtype="float32")
        assert rate == config.audio.sample_rate, "the script does not resample"
        waveforms.append(trim_silence(waveform, config.audio.trim_db))
    labels = [names.index(category) for category in table["category"]]
    return [
        plain_fold(config, waveforms, labels, (table["fold"] == fold).to_numpy()) for fold in sorted(set(table["fold"]))
    ]


def plain_fold(
    config: Config, waveforms: list[npt.NDArray[np.float32]], labels: list[int], is_test: npt.NDArray[np.bool_]
) -> float:
    train = config.train
    inside = np.flatnonzero(~is_test)
    clips = PlainClips([waveforms[index] for index in inside], [labels[index] for index in inside], config)
    loader = DataLoader(clips, batch_size=train.batch_size, shuffle=True)
    n_frames = 1 + clips.n_window // config.frontend.hop_length
    model = build_backbone(
        config.backbone, n_channels=1, n_features=clips.mel.n_mels, n_frames=n_frames, n_classes=clips.n_classes
    )
    average = AveragedModel(
        model,
        multi_avg_fn=get_ema_multi_avg_fn(train.ema_decay or 0.0),  # type: ignore[no-untyped-call]
        use_buffers=True,
    )
    optimizer = plain_optimizer(model, train)
    n_steps = train.epochs * len(loader)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: learning_rate_factor(step, n_steps, len(loader), train)
    )
    equal = torch.ones(clips.n_classes)
    for _ in range(train.epochs):
        for spectrograms, targets in loader:
            optimizer.zero_grad()
            logits = model(spectrograms)
            loss = LOSSES[train.loss.name](logits, targets, equal, train.loss)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(model.parameters(), train.gradient_clip or math.inf)
            optimizer.step()
            schedule.step()
            average.update_parameters(model)
    average.eval()
    hits = 0
    with torch.inference_mode():
        for index in np.flatnonzero(is_test):
            clip = waveforms[index]
            starts = np.linspace(0, max(0, len(clip) - clips.n_window), 3).astype(int)
            windows = [np.take(clip, np.arange(clips.n_window) + start, mode="wrap") for start in starts]
            spectrograms = torch.stack([clips.log(clips.mel(torch.from_numpy(window))) for window in windows])
            hits += int(average(spectrograms).softmax(dim=1).mean(dim=0).argmax() == labels[index])
    return hits / int(is_test.sum())


def plain_optimizer(model: nn.Module, train: TrainConfig) -> torch.optim.Optimizer:
    groups: list[dict[str, Any]] = [
        {"params": [parameter for parameter in model.parameters() if parameter.ndim > 1]},
        {"params": [parameter for parameter in model.parameters() if parameter.ndim <= 1], "weight_decay": 0.0},
    ]
    chosen = train.optimizer
    rate, decay = chosen.learning_rate, chosen.weight_decay
    if chosen.name == "muon":
        return Muon(groups, lr=rate, weight_decay=decay, momentum=chosen.momentum, nesterov=True, ns_steps=3)
    assert chosen.name == "adamw", "the script knows no other"
    return torch.optim.AdamW(groups, lr=rate, weight_decay=decay)


def check_changes(augment: AugmentConfig) -> None:
    """Refuse a recipe whose clips the plain script would change less than the project does."""
    off = AugmentConfig.off()
    if not augment.attributes.names:  # how copies would be made that are not
        off = off.model_copy(update={"attributes": augment.attributes})
    before, chosen = flatten(off), flatten(augment)
    others = {key for key, value in chosen.items() if value != before[key]}
    if unknown := sorted(others - PLAIN_CHANGES):
        sys.exit(f"error: the plain script does not know augment.{', augment.'.join(unknown)}; take esc10-fast")


def compare_recipe(name: str, root: Path, epochs: int | None) -> dict[str, Any]:
    settings = [] if epochs is None else [f"train.epochs={epochs}"]
    with tempfile.TemporaryDirectory() as scratch:
        repository = Path(scratch) / "adaspec"
        clone_last_commit(repository)
        trained_at = record.head(repository)
        with contextlib.chdir(repository):
            _, config = read_recipe(name, root, settings)
        check_changes(config.augment)
        if config.backbone.members > 1:
            sys.exit("error: the plain script trains one network, not backbone.members of them; take esc10-fast")
        cost = run_recipe(name, root, settings, repository)
        folds = [scores["accuracy"] for scores in keep(repository, Path(scratch) / "kept")]
    print(
        f"{name}: {cost['wall_s']:.0f} s wall, {cost['cpu_s']:.0f} s CPU, accuracy {statistics.mean(folds):.4f}",
        flush=True,
    )
    start = time.perf_counter()
    plain = plain_recipe(config, root)
    wall_s = time.perf_counter() - start
    print(f"plain, fold after fold: {wall_s:.0f} s wall, accuracy {statistics.mean(plain):.4f}")
    print(f"{wall_s / cost['wall_s']:.2f} times faster")
    measured = {"plain_s": wall_s, "adaspec_s": cost["wall_s"], "ratio": wall_s / cost["wall_s"]}
    accuracies = {"plain_accuracy": statistics.mean(plain), "adaspec_accuracy": statistics.mean(folds)}
    return {"trained_at": trained_at, "recipe": name, "measurements": [measured | accuracies]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["step", "recipe"])
    parser.add_argument("recipe", nargs="?", default="esc10-fast")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--root", type=Path, default=Path(os.path.abspath(SHARED / "data/esc10")))
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--record", type=record.check_name, metavar="NAME")
    arguments = parser.parse_args()
    if arguments.what == "step":
        measured = compare_steps(arguments.rounds)
    elif arguments.root.is_dir():
        measured = compare_recipe(arguments.recipe, arguments.root, arguments.epochs)
    else:
        sys.exit(f"{arguments.root} not found; give --root, or set ADASPEC_SHARED")
    if arguments.record:
        record.write(arguments.record, measured)


if __name__ == "__main__":
    main()
