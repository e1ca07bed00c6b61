import dataclasses
import hashlib
import io
import multiprocessing
import signal
import time
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pandas as pd
import pytest
import safetensors.torch
import torch
from knobs import augmentations, other_values
from lightning.fabric.utilities.exceptions import MisconfigurationException
from toydata import Fit, Toy, changed, differing, make_toy, small_config

from adaspec.config import AugmentConfig, Config, flatten
from adaspec.config.resolve import resolve
from adaspec.errors import InputError
from adaspec.features.representation import LogSpectrogram, feature_contract
from adaspec.features.store import FeatureStore
from adaspec.models.classifier import AudioClassifier
from adaspec.models.history import read_history
from adaspec.models.saved import load
from adaspec.models.scoring import score_clips
from adaspec.tables.splits import make_folds
from adaspec.tasks import build_task
from adaspec.training.fit import _training_data, _training_store, _validation_data, fit_fold, lightning_precision
from adaspec.training.module import FoldModule
from adaspec.training.spectrograms import cache_spectrograms

NO_AUGMENT = {"augment.gain_db": 0.0, "augment.time_shift": 0.0, "augment.mix.name": "none"}
EASY = NO_AUGMENT | {"train.epochs": 30, "train.loss.label_smoothing": 0.0}
STOPPING = {"train.epochs": 40, "train.early_stopping_patience": 2, "train.optimizer.learning_rate": 0.02}


def validation_loss(folder: Path, toy: Toy) -> float:
    """Of a saved model, computed afresh."""
    rows = toy.rows()
    clips = rows[rows["role"] == "validation"]
    store = FeatureStore(toy.features, feature_contract(toy.config))
    scores = score_clips(load(folder), list(clips["clip_id"]), store, "mean", 0.0)
    targets = torch.tensor([toy.labels.index(label) for label in clips["label"]])
    return float(-scores.gather(1, targets[:, None]).log().mean())


def test_fit_loss_falls_on_a_learnable_task(fit: Fit, toy: Toy) -> None:
    _, history = fit(changed(toy.config, **EASY))
    assert history[-1]["train_loss"] < 0.3 * history[0]["train_loss"]
    assert history[-1]["validation_loss"] < 0.5 * history[0]["validation_loss"]
    assert history[-1]["validation_accuracy"] == 1


@pytest.mark.parametrize("backbone", ["cnn", "resnet"])
def test_fit_on_cached_features_learns(fit: Fit, toy_fbank: Toy, backbone: str) -> None:
    config = changed(toy_fbank.config, **(EASY | {"backbone.name": backbone, "augment.gain_db": 6.0}))
    _, history = fit(config, toy_fbank)
    assert history[-1]["train_loss"] < 0.5 * history[0]["train_loss"]


def test_fit_history_counts_epochs_from_one(fit: Fit, toy: Toy) -> None:
    _, history = fit()
    assert [row["epoch"] for row in history] == [1, 2, 3]
    names = {"epoch", "train_loss", "validation_loss", "validation_accuracy", "learning_rate"}
    assert all(row.keys() == names for row in history)


def test_fit_saved_model_has_the_validation_loss_of_the_last_epoch(toy: Toy, tmp_path: Path) -> None:
    # EMA is on: what was validated is what is saved.
    fit_fold(1, toy.rows(), toy.labels, toy.config, toy.features, tmp_path, tmp_path / "finished")
    last = read_history(tmp_path / "finished")[-1]
    assert validation_loss(tmp_path / "finished", toy) == pytest.approx(last["validation_loss"], rel=1e-4)


def test_fit_leaves_model_and_history_and_no_checkpoint(toy: Toy, tmp_path: Path) -> None:
    fit_fold(1, toy.rows(), toy.labels, toy.config, toy.features, tmp_path, tmp_path / "finished")
    assert sorted(path.name for path in (tmp_path / "finished").iterdir()) == [
        "digests.json",
        "history.jsonl",
        "model.json",
        "model.safetensors",
    ]
    assert not list(tmp_path.rglob("*.ckpt"))


def test_fit_twice_gives_the_same_bytes(toy: Toy, tmp_path: Path) -> None:
    strong = {"augment.time_shift": 0.2, "augment.freq_mask": 4, "augment.time_mask": 8, "frontend.learn_window": True}
    config = changed(toy.config, **strong)
    for name in ("first", "second"):
        torch.manual_seed(len(name))  # whatever the process has drawn before
        fit_fold(1, toy.rows(), toy.labels, config, toy.features, tmp_path / name, tmp_path / name / "finished")
    assert differing(tmp_path / "first" / "finished", tmp_path / "second" / "finished") == []


def test_fit_without_augmentation_is_one_switch(fit: Fit, toy: Toy) -> None:
    def weights(**knobs: Any) -> bytes:
        return fit(resolve(changed(toy.config, **({"augment.freq_mask": 4} | knobs)), toy.clips))[0]

    by_hand = {"augment.gain_db": 0.0, "augment.mix.name": "none", "augment.freq_mask": 0}
    assert weights(**{"augment.enabled": False}) == weights(**by_hand) != weights()


@pytest.mark.parametrize(("interval_s", "n_saved"), [(0.0, 3), (3600.0, 2)])
def test_fit_saves_checkpoints_no_more_often_than_asked_for(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interval_s: float, n_saved: int
) -> None:
    saved = []
    save = pl.Trainer.save_checkpoint

    def counted(trainer: pl.Trainer, *args: Any, **kwargs: Any) -> None:
        saved.append(trainer.current_epoch)
        save(trainer, *args, **kwargs)

    monkeypatch.setattr(pl.Trainer, "save_checkpoint", counted)
    config = changed(toy.config, **{"engine.checkpoint_interval_s": interval_s})
    fit_fold(1, toy.rows(), toy.labels, config, toy.features, tmp_path, tmp_path / "finished")
    assert len(saved) == n_saved  # of three epochs; the first and the last always


def test_fit_takes_the_gpu_unless_told_not_to(fit: Fit, toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    moved = []
    move = AudioClassifier.to

    def recorded(model: AudioClassifier, device: str) -> AudioClassifier:
        moved.append(device)
        return move(model, "cpu")

    monkeypatch.setattr(AudioClassifier, "to", recorded)
    fit(changed(toy.config, **{"train.device": "cpu"}))
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    with pytest.raises(MisconfigurationException, match="CUDAAccelerator"):  # there is none
        fit(toy.config)
    assert moved == ["cpu", "cuda"]


def test_fit_differs_between_folds_and_seeds(toy: Toy, tmp_path: Path) -> None:
    weights = set()
    for name, fold, seed in (("a", 1, 42), ("b", 2, 42), ("c", 1, 43)):
        config = changed(toy.config, seed=seed)
        fit_fold(fold, toy.rows(), toy.labels, config, toy.features, tmp_path / name, tmp_path / name / "finished")
        weights.add((tmp_path / name / "finished" / "model.safetensors").read_bytes())
    assert len(weights) == 3


def every_augmentation(config: Config) -> dict[str, Any]:
    """All of them at once, and none of those that are for waveforms where spectrograms are cached."""
    knobs: dict[str, Any] = {"augment.attributes.names": ("white_noise",)}
    for name in augmentations():
        if not (config.frontend.cached and name in AugmentConfig.of_waveforms):
            knobs[f"augment.{name}"] = other_values(config, f"augment.{name}")[-1 if name == "mix.name" else 0]
    return knobs


LEARNING = {"frontend.learn_window": True, "frontend.learn_kernels": True, "train.frontend.l2_sp": 0.01}
FROZEN = LEARNING | {"train.frontend.freeze_epochs": 4, "train.optimizer.name": "muon"}
CACHED = {"frontend.cached": True, "frontend.n_transforms": 3, "frontend.window_ratio": 0.5}


def test_fit_killed_and_resumed_gives_the_same_bytes(toy: Toy, tmp_path: Path) -> None:
    # Dropout, augmentation, averaged weights, the best epoch so far, and whether the front end learns: all come back.
    # So many that the kill comes a good while before the last.
    n_epochs = 12
    knobs = {"train.epochs": n_epochs, "train.early_stopping_patience": n_epochs}
    config = changed(toy.config, **knobs, **FROZEN)
    config = changed(config, **every_augmentation(config))
    task = (1, toy.rows(), toy.labels, config, toy.features)
    fit_fold(*task, tmp_path / "whole", tmp_path / "whole" / "finished")

    folder = tmp_path / "killed"
    process = multiprocessing.get_context("spawn").Process(target=fit_fold, args=(*task, folder, folder / "finished"))
    process.start()
    while len(read_history(folder)) < 2 and process.is_alive():
        time.sleep(0.005)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert not (folder / "finished").exists()
    n_before = len(read_history(folder))
    assert 2 <= n_before < n_epochs

    fit_fold(*task, folder, folder / "finished")
    assert differing(folder / "finished", tmp_path / "whole" / "finished") == []


def test_fit_on_cached_spectrograms_resumed_gives_the_same_bytes(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = changed(toy.config, **{"train.epochs": 4}, **CACHED)
    config = changed(config, **every_augmentation(config))
    task = (1, toy.rows(), toy.labels, config, toy.features)
    [spectrograms] = cache_spectrograms(config, toy.labels, [1], toy.features, tmp_path).values()
    fit_fold(*task, tmp_path / "whole", tmp_path / "whole" / "finished", spectrograms=spectrograms)

    step = FoldModule.training_step

    def interrupted(module: FoldModule, *batch: Any) -> Any:
        if module.current_epoch == 2:
            raise KeyboardInterrupt
        return step(module, *batch)

    folder = tmp_path / "interrupted"
    with monkeypatch.context() as patch:
        patch.setattr(FoldModule, "training_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fit_fold(*task, folder, folder / "finished", spectrograms=spectrograms)
    assert len(read_history(folder)) == 2
    fit_fold(*task, folder, folder / "finished", spectrograms=spectrograms)
    assert differing(folder / "finished", tmp_path / "whole" / "finished") == []


@pytest.mark.parametrize(
    "knobs",
    [{"train.ema_decay": None}, {"train.ema_decay": 0.99}, STOPPING],
    ids=["plain", "averaged", "early-stopping"],
)
def test_fit_that_failed_to_save_its_model_is_finished_by_the_next(
    toy: Toy, tmp_path: Path, knobs: dict[str, Any]
) -> None:
    config = changed(toy.config, **knobs)
    task = (1, toy.rows(), toy.labels, config, toy.features)
    fit_fold(*task, tmp_path / "whole", tmp_path / "whole" / "finished")

    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="file"):
        fit_fold(*task, tmp_path / "failed", tmp_path / "file" / "finished")
    fit_fold(*task, tmp_path / "failed", tmp_path / "failed" / "finished")
    assert differing(tmp_path / "failed" / "finished", tmp_path / "whole" / "finished") == []


def test_fit_early_stopping_stops_and_keeps_the_best_epoch(toy: Toy, tmp_path: Path) -> None:
    config = changed(toy.config, **STOPPING)
    fit_fold(1, toy.rows(), toy.labels, config, toy.features, tmp_path, tmp_path / "finished")
    losses = [row["validation_loss"] for row in read_history(tmp_path / "finished")]
    best = min(losses)
    assert len(losses) < 40
    assert losses.index(best) == len(losses) - 3  # then two epochs without a lower loss
    assert best < losses[-1] - 1e-3
    assert validation_loss(tmp_path / "finished", toy) == pytest.approx(best, rel=1e-4)


def test_fit_validates_every_few_epochs_and_trains_the_same(fit: Fit, toy: Toy) -> None:
    each, some = (fit(changed(toy.config, **{"train.epochs": 6, "train.validation_interval": n})) for n in (1, 3))
    assert some[0] == each[0]
    assert ["validation_loss" in row for row in some[1]] == [False, False, True] * 2
    assert some[1][2::3] == each[1][2::3]


def test_fit_without_validation_clips_records_no_validation(fit: Fit, toy: Toy) -> None:
    config = changed(toy.config, **{"split.validation_fraction": 0.0})
    folds = make_folds(toy.clips, config.split, config.seed)
    assert "validation" not in set(folds["role"])
    _, history = fit(config, dataclasses.replace(toy, folds=folds, config=config))
    assert [set(row) for row in history] == [{"epoch", "train_loss", "learning_rate"}] * 3


@pytest.fixture(scope="module")
def uneven(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    return make_toy(tmp_path_factory.mktemp("uneven"), {"high": 14, "low": 8, "middle": 6})


def test_fit_class_weights_change_uneven_classes(fit: Fit, uneven: Toy) -> None:
    weighted = changed(uneven.config, **{"split.balance": "class_weights"})
    assert fit(uneven.config, uneven)[0] != fit(weighted, uneven)[0]


def test_fit_class_weights_leave_even_classes_alone(fit: Fit, toy: Toy) -> None:
    rows = toy.folds.merge(toy.clips[["clip_id", "label"]], on="clip_id")
    train = rows[(rows["fold"] == 1) & (rows["role"] == "train")]
    extra = train.index[train.groupby("label").cumcount() >= train["label"].value_counts().min()]
    even = dataclasses.replace(toy, folds=toy.folds.drop(index=extra))
    counts = even.rows().query("role == 'train'")["label"].value_counts()
    assert counts.nunique() == 1
    weighted = changed(toy.config, **{"split.balance": "class_weights"})
    assert fit(toy.config, even)[0] == fit(weighted, even)[0]


def test_fit_sees_a_clip_of_weight_zero_no_more_than_a_missing_one(fit: Fit, toy: Toy) -> None:
    unused = toy.rows().query("role == 'train'")["clip_id"].iloc[0]
    weight = toy.folds["weight"].where(toy.folds["clip_id"] != unused, 0)
    without = dataclasses.replace(toy, folds=toy.folds[toy.folds["clip_id"] != unused])
    weightless = dataclasses.replace(toy, folds=toy.folds.assign(weight=weight))
    assert fit(data=weightless)[0] == fit(data=without)[0] != fit()[0]


# What must be set for a knob to matter, and values that matter more than those that are found by their types.
SGD, LEARNED = {"train.optimizer.name": "sgd"}, {"frontend.learn_window": True}
COPIED = {"augment.attributes.names": ("white_noise",)}
NEEDED: dict[str, dict[str, Any]] = {
    "train.frontend.lr_multiplier": LEARNED,
    "train.frontend.freeze_epochs": LEARNED,
    "train.frontend.l2_sp": LEARNED,
    "train.frontend.gradient_clip": LEARNED,
    "train.frontend.tightness": LEARNED,
    "train.optimizer.momentum": SGD,
    "train.schedule.gamma": {"train.schedule.name": "exponential"},
    "train.loss.focal_gamma": {"train.loss.name": "focal"},
    "train.early_stopping_patience": STOPPING | {"train.early_stopping_patience": None, "train.epochs": 25},
    "augment.noise.color_db": {"augment.noise.snr_db": (0.0, 5.0)},
    "augment.attributes.copies": COPIED,
    "augment.attributes.share": COPIED,
    "augment.attributes.consistency": COPIED | {"augment.mix.name": "none"},
}
OTHER: dict[str, Any] = {
    "augment.attributes.names": ("white_noise",),
    "train.batch_size": 3,
    "train.frontend.freeze_epochs": 1,
    "train.frontend.gradient_clip": 1e-9,
    "train.optimizer.learning_rate": 1e-3,
    "train.gradient_clip": 0.01,
    "train.precision": "bf16",
}
ELSEWHERE = {
    *("train.threads_per_fold", "train.compile", "train.device", "augment.enabled", "train.loss.contrast"),
    *(
        "train.start",
        "train.only_frontend",
        "train.validation_interval",
        "augment.resynthesis.share",
        "augment.resynthesis.families",
    ),
}


def decisive(knob: str) -> bool:
    return knob.startswith(("train.", "augment.")) and knob not in ELSEWHERE


@pytest.fixture(scope="module")
def weights_of_base() -> dict[str, bytes]:
    """Weights by configuration: most knobs are compared with the same training, which repeats itself."""
    return {}


@pytest.mark.parametrize("knob", list(filter(decisive, flatten(small_config(Path("raw"))))))
def test_fit_knob_changes_the_result(fit: Fit, toy: Toy, weights_of_base: dict[str, bytes], knob: str) -> None:
    base = changed(toy.config, **({"train.epochs": 2} | NEEDED.get(knob, {})))
    value = OTHER[knob] if knob in OTHER else other_values(base, knob)[0]
    key = base.model_dump_json()
    if key not in weights_of_base:
        weights_of_base[key] = fit(base)[0]
    assert weights_of_base[key] != fit(changed(base, **{knob: value}))[0]


@pytest.mark.parametrize("knob", [name for name in augmentations() if name not in AugmentConfig.of_waveforms])
@pytest.mark.parametrize("kind", ["fbank", "cached"])
def test_fit_augmentation_knob_changes_training_on_spectrograms(
    fit: Fit, toy: Toy, toy_fbank: Toy, weights_of_base: dict[str, bytes], knob: str, kind: str
) -> None:
    data, name = toy_fbank if kind == "fbank" else toy, f"augment.{knob}"
    config = changed(data.config, **NO_AUGMENT, **{"frontend.cached": kind == "cached", "train.epochs": 1})
    if kind not in weights_of_base:
        weights_of_base[kind] = fit(config, data)[0]
    assert weights_of_base[kind] != fit(changed(config, **{name: other_values(config, name)[0]}), data)[0]


def test_fit_on_cached_spectrograms_learns_as_on_waveforms(fit: Fit, toy: Toy) -> None:
    cached, waveforms = (fit(changed(toy.config, **EASY, **{"frontend.cached": on}))[1][-1] for on in (True, False))
    assert cached["train_loss"] < 0.3
    assert cached["validation_accuracy"] > 0.8
    assert cached["train_loss"] == pytest.approx(waveforms["train_loss"], abs=0.1)


def test_validation_on_cached_spectrograms_is_that_on_waveforms(toy: Toy, tmp_path: Path) -> None:
    config = changed(toy.config, **(EASY | {"frontend.cached": True, "train.epochs": 2}))
    [spectrograms] = cache_spectrograms(config, toy.labels, [1], toy.features, tmp_path).values()
    task = (1, toy.rows(), toy.labels, config, toy.features, tmp_path, tmp_path / "finished")
    fit_fold(*task, spectrograms=spectrograms)
    logged = read_history(tmp_path / "finished")[-1]["validation_loss"]
    assert logged == pytest.approx(validation_loss(tmp_path / "finished", toy), rel=1e-5)


def classifier(toy: Toy, **knobs: Any) -> tuple[AudioClassifier, Config, FeatureStore]:
    torch.manual_seed(0)
    config = changed(toy.config, **knobs)
    model = AudioClassifier(config, toy.labels).eval()
    return model, config, FeatureStore(toy.features, feature_contract(config))


THREE_CACHED = {"frontend.cached": True, "frontend.n_transforms": 3, "frontend.window_ratio": 0.5}


def read_in_training(
    toy: Toy, model: AudioClassifier, config: Config, store: FeatureStore, folder: Path
) -> FeatureStore:
    spectrograms = cache_spectrograms(config, toy.labels, [1], toy.features, folder)
    return _training_store(store, spectrograms.get(1), model, config)


def test_cached_windows_are_the_spectrograms_of_the_clips(toy: Toy, tmp_path: Path) -> None:
    """Each is a stretch of its own clip's frames, across the end where that comes first, within 0.07 dB."""
    model, config, store = classifier(toy, **THREE_CACHED)
    rows = toy.rows().query("role == 'train'")
    found = []
    with torch.no_grad():
        read = read_in_training(toy, model, config, store, tmp_path)
        assert isinstance(read.representation, LogSpectrogram)
        for windows, targets, _ in _training_data(read, rows, model, config, 1):
            for spectrogram, target in zip(read.representation.decode(windows), targets, strict=True):
                assert spectrogram.shape == (3, 16, model.n_frames)
                distances = {}
                for clip_id in rows["clip_id"][rows["label"] == toy.labels[target]]:
                    whole = model.spectrogram(store.tensor(clip_id)[None], store.representation)[0]
                    around = whole[..., torch.arange(whole.shape[2] + model.n_frames) % whole.shape[2]]
                    places = around.unfold(2, model.n_frames, 1).movedim(2, 0)  # (start, 3, 16, n_frames)
                    decibels = (10 * ((spectrogram + 1e-12) / (places + 1e-12)).log10()).abs().amax(dim=(1, 2, 3))
                    distances[clip_id] = float(decibels.min())
                nearest = min(distances, key=distances.__getitem__)
                assert distances[nearest] < 0.07
                found.append(nearest)
    assert sorted(found) == sorted(rows["clip_id"])


@pytest.mark.parametrize("kind", ["waveform", "cached", "fbank"])
@pytest.mark.parametrize("stretch", [0.0, 0.25, 0.9])
def test_windows_are_as_long_as_the_fastest_playing_needs(
    toy: Toy, toy_fbank: Toy, tmp_path: Path, kind: str, stretch: float
) -> None:
    data = toy_fbank if kind == "fbank" else toy
    model, config, store = classifier(data, **{"frontend.cached": kind == "cached", "augment.time_stretch": stretch})
    rows = data.rows().query("role == 'train'")
    read = read_in_training(data, model, config, store, tmp_path)
    windows, *_ = next(iter(_training_data(read, rows, model, config, 1)))
    n_frames = model.spectrogram(windows, read.representation).shape[3]
    if stretch == 0:
        assert n_frames == model.n_frames
    else:
        assert abs(n_frames - 1 - (model.n_frames - 1) * (1 + stretch)) <= 2


@pytest.mark.parametrize("further", [{}, {"frontend.n_transforms": 3, "frontend.window_ratio": 0.5}])
@pytest.mark.parametrize("pad", ["repeat", "zeros"])
@pytest.mark.parametrize("window_s", [0.1, 0.4])  # shorter and longer than all clips
def test_validation_on_cached_spectrograms_equals_that_on_waveforms_exactly(
    toy: Toy, tmp_path: Path, further: dict[str, Any], pad: str, window_s: float
) -> None:
    rows = toy.rows().query("role == 'validation'")
    targets = torch.tensor([toy.labels.index(label) for label in rows["label"]])
    outcomes = []
    for cached in (False, True):
        knobs = {"frontend.cached": cached, "features.window.pad": pad, "features.window.length_s": window_s}
        model, config, store = classifier(toy, **further, **knobs)
        validation = _validation_data(store, rows, model, config, tmp_path)
        assert validation.representation.domain == ("spectrogram" if cached else "waveform")
        module = FoldModule(
            model,
            build_task(toy.labels, config),
            config,
            1,
            torch.ones(3),
            targets,
            representation=store.representation,
            validation_representation=validation.representation,
        )
        with torch.no_grad():
            for index, batch in enumerate(validation.batches):
                module.validation_step(batch, index)
        outcomes.append([torch.cat(tensors) for tensors in zip(*module.validation_outputs, strict=True)])
    assert (len(outcomes[0][0]) > len(rows)) == (window_s < 0.2)  # several windows a clip, or one that is padded
    for waveform, spectrogram in zip(*outcomes, strict=True):
        assert torch.equal(waveform, spectrogram)


def test_fit_compiled_comes_to_nearly_the_same(fit: Fit, toy: Toy) -> None:
    config = changed(toy.config, **{"train.epochs": 1, "backbone.name": "cnn", "augment.mix.name": "none"})
    plain, compiled = (fit(changed(config, **{"train.compile": on}))[1][0]["train_loss"] for on in (False, True))
    assert compiled == pytest.approx(plain, rel=1e-2)


@pytest.mark.parametrize(("knob", "value"), [("ema_decay", None), ("gradient_clip", None)])
def test_fit_knob_can_be_switched_off(fit: Fit, toy: Toy, knob: str, value: None) -> None:
    base = changed(toy.config, **{"train.gradient_clip": 0.01})
    assert fit(base)[0] != fit(changed(base, **{f"train.{knob}": value}))[0]


def test_fit_precision_auto_is_one_of_the_two(fit: Fit, toy: Toy) -> None:
    names: dict[Any, str] = {32: "32-true", "bf16": "bf16-mixed"}
    configs = {precision: changed(toy.config, **{"train.precision": precision}) for precision in (*names, "auto")}
    assert {precision: lightning_precision(configs[precision].train) for precision in names} == names
    weights = {names[p]: fit(configs[p])[0] for p in names}
    assert fit(configs["auto"])[0] == weights[lightning_precision(configs["auto"].train)]


@pytest.mark.skipif(torch.cuda.is_available(), reason="a fault of the CPU's convolutions")
def test_fit_keeps_to_float32_with_several_threads(toy: Toy) -> None:
    threads = {"train.threads_per_fold": 2}
    assert lightning_precision(changed(toy.config, **threads, **{"train.precision": "auto"}).train) == "32-true"
    with pytest.raises(InputError, match=r"train.threads_per_fold=2 gives wrong gradients on the CPU"):
        lightning_precision(changed(toy.config, **threads, **{"train.precision": "bf16"}).train)


def test_fit_of_an_ensemble_saves_all_its_networks(toy: Toy, tmp_path: Path) -> None:
    config = changed(toy.config, **{"backbone.members": 2})
    fit_fold(1, toy.rows(), toy.labels, config, toy.features, tmp_path, tmp_path / "finished")
    model = load(tmp_path / "finished")
    with torch.no_grad():
        waveform = 0.1 * torch.randn(3, model.n_samples)
        spectrogram = model.frontend(waveform)
        each = [member(spectrogram).softmax(dim=1) for member in model.backbone.members]
        torch.testing.assert_close(model(waveform).softmax(dim=1), (each[0] + each[1]) / 2)
    assert not torch.allclose(each[0], each[1], atol=1e-3)


SPEECH: dict[str, dict[str, Any]] = {
    "resynthesis": {"augment.resynthesis.share": 0.7},
    "one_family": {"augment.resynthesis.share": 0.7, "augment.resynthesis.families": ("codecs",)},
    "contrast": {"train.loss.contrast": 0.5},
    "oc_softmax": {"train.loss.name": "oc_softmax", "backbone.head": "one_class"},
    "sampler": {"split.balance": "none"},
}


@pytest.mark.parametrize("name", SPEECH)
def test_fit_anti_spoofing_knob_changes_the_result_and_repeats_it(fit: Fit, toy_speech: Toy, name: str) -> None:
    config = changed(toy_speech.config, **SPEECH[name])
    one, again, base = fit(config, toy_speech), fit(config, toy_speech), fit(toy_speech.config, toy_speech)
    assert one[0] == again[0]
    assert one[0] != base[0]


def test_fit_one_class_learns_to_tell_the_two(toy_speech: Toy, tmp_path: Path) -> None:
    knobs = {**SPEECH["oc_softmax"], **NO_AUGMENT, "train.epochs": 25, "train.optimizer.learning_rate": 0.01}
    config = changed(toy_speech.config, **knobs)
    fit_fold(1, toy_speech.rows(), toy_speech.labels, config, toy_speech.features, tmp_path, tmp_path / "finished")
    rows = toy_speech.rows()
    rows = rows[rows["role"] == "test"]
    store = FeatureStore(toy_speech.features, feature_contract(config))
    with torch.no_grad():
        model = load(tmp_path / "finished")
        logits = torch.cat([model(store.tensor(clip)[None].float() / 32768) for clip in rows["clip_id"]])
    found = logits.argmax(dim=1) == torch.tensor([toy_speech.labels.index(label) for label in rows["label"]])
    assert found.float().mean() > 0.9


def test_fit_weights_are_float32_whatever_the_precision(toy: Toy, tmp_path: Path) -> None:
    config = changed(toy.config, **{"train.precision": "bf16"})
    fit_fold(1, toy.rows(), toy.labels, config, toy.features, tmp_path, tmp_path / "finished")
    weights = safetensors.torch.load_file(tmp_path / "finished" / "model.safetensors")
    assert {tensor.dtype for tensor in weights.values() if tensor.is_floating_point()} == {torch.float32}


class Intruder:
    """Writes a file as soon as it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.marker, "unpickled")


def test_fit_runs_nothing_that_a_checkpoint_holds(toy: Toy, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    marker, folder = tmp_path / "marker", tmp_path / "fold"
    folder.mkdir()
    content = io.BytesIO()
    torch.save({"epoch": 1, "state_dict": Intruder(marker)}, content)
    sealed = hashlib.sha256(content.getvalue()).digest() + content.getvalue()  # as one would who can write there
    (folder / "last.ckpt").write_bytes(sealed)
    fit_fold(1, toy.rows(), toy.labels, toy.config, toy.features, folder, folder / "finished")
    assert not marker.exists()
    assert "last.ckpt is damaged (it is no checkpoint of PyTorch (UnpicklingError))" in capsys.readouterr().err
    content.seek(0)
    torch.load(content, weights_only=False)  # it works where it is let in
    assert marker.read_text() == "unpickled"


def test_fit_reads_the_rows_of_its_fold_alone(fit: Fit, toy: Toy) -> None:
    test = toy.rows().query("role == 'test'")["clip_id"]
    others = toy.folds[~((toy.folds["fold"] == 1) & toy.folds["clip_id"].isin(test))]
    assert fit(data=dataclasses.replace(toy, folds=pd.DataFrame(others)))[0] == fit()[0]


def test_fit_config_is_saved_with_the_model(toy: Toy, tmp_path: Path) -> None:
    fit_fold(1, toy.rows(), toy.labels, toy.config, toy.features, tmp_path, tmp_path / "finished")
    model = load(tmp_path / "finished")
    assert (model.config.frontend, model.config.backbone) == (toy.config.frontend, toy.config.backbone)
    assert model.labels == ["high", "low", "middle"]


def test_fit_that_diverges_ends_in_one_line_and_saves_no_model(fit, toy, tmp_path: Path) -> None:
    knobs = {"train.optimizer.learning_rate": 1e20, "train.gradient_clip": None, "train.ema_decay": None}
    diverging = changed(toy.config, **knobs)
    with pytest.raises(
        InputError, match=r"training diverged in epoch \d \(.*; lower train\.optimizer\.learning_rate"
    ) as caught:
        fit(diverging)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.rglob("model.safetensors"))


def test_fit_whose_orthonormal_kernels_fall_apart_ends_in_one_line(fit, toy) -> None:
    knobs = {"train.frontend.lr_multiplier": 1e30, "train.frontend.gradient_clip": None, "train.optimizer.name": "sgd"}
    knobs |= {"frontend.learn_kernels": True, "frontend.kernels.constraint": "orthonormal", "train.ema_decay": None}
    with pytest.raises(
        InputError, match=r"training diverged in epoch \d: the learned kernels cannot be made"
    ) as caught:
        fit(changed(toy.config, **knobs))
    assert "train.frontend.lr_multiplier" in str(caught.value)
    assert "\n" not in str(caught.value)
