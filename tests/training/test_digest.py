from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from toydata import changed, small_config

from adaspec.config import Config, flatten
from adaspec.training.digest import training_digest

CLIPS = pd.DataFrame({"clip_id": ["a", "b", "c"], "label": ["x", "y", "x"], "digest": ["01", "02", "03"]})
FOLDS = pd.DataFrame(
    {"fold": [1, 1, 1], "clip_id": ["a", "b", "c"], "role": ["train", "train", "test"], "weight": [1, 1, 1]}
)
CONFIG = small_config(Path("raw"))

DECISIVE: dict[str, Any] = {
    "seed": 43,
    "audio.sample_rate": 16_000,
    "features.window.length_s": 0.25,
    "audio.trim_db": 40.0,
    "features.window.pad": "zeros",
    "frontend.fbank.frame_length_ms": 20.0,
    "frontend.fbank.frame_shift_ms": 5.0,
    "frontend.fbank.n_mels": 64,
    "frontend.fbank.normalize": True,
    "split.balance": "class_weights",
    "frontend.name": "fbank",
    "frontend.n_fft": 256,
    "frontend.win_length": 100,
    "frontend.hop_length": 32,
    "frontend.window": "hamming",
    "frontend.mel.n_mels": None,
    "frontend.mel.f_min": 50.0,
    "frontend.mel.f_max": 3000.0,
    "frontend.compression.gamma": 1.0e5,
    "frontend.center": False,
    "frontend.power": 1,
    "frontend.mel.scale": "slaney",
    "frontend.mel.norm": "slaney",
    "frontend.compression.name": "db",
    "frontend.n_transforms": 3,
    "frontend.window_ratio": 0.5,
    "frontend.learn_window": True,
    "frontend.learn_kernels": True,
    "frontend.learn_mel": True,
    "frontend.kernels.form": "banded",
    "frontend.kernels.band_width": 3,
    "frontend.kernels.constraint": "orthonormal",
    "frontend.window_nonnegative": True,
    "frontend.window_symmetric": True,
    "frontend.kernels.precision": "bf16",
    "frontend.cached": True,
    "backbone.name": "cnn",
    "backbone.dropout": 0.3,
    "backbone.resnet.widths": (8, 16),
    "backbone.resnet.stem_block": False,
    "backbone.ast.stem": "convolutions",
    "backbone.ast.patch_size": 12,
    "backbone.ast.patch_stride": 8,
    "backbone.ast.embed_dim": 96,
    "backbone.ast.depth": 2,
    "backbone.ast.num_heads": 4,
    "backbone.ast.pooling": "mean",
    "backbone.ast.patch_dropout": 0.1,
    "backbone.timm.pretrained": True,
    "backbone.timm.weights": "/data/weights.safetensors",
    "backbone.timm.freeze": True,
    "train.epochs": 4,
    "train.batch_size": 7,
    "train.optimizer.name": "sgd",
    "train.optimizer.learning_rate": 1.0e-3,
    "train.frontend.lr_multiplier": 2.0,
    "train.frontend.freeze_epochs": 1,
    "train.frontend.l2_sp": 1.0,
    "train.frontend.gradient_clip": None,
    "train.optimizer.weight_decay": 0.06,
    "train.optimizer.momentum": 0.8,
    "train.schedule.name": "exponential",
    "train.schedule.warmup_fraction": 0.2,
    "train.schedule.gamma": 0.9,
    "train.gradient_clip": None,
    "train.loss.name": "focal",
    "train.loss.focal_gamma": 1.0,
    "train.loss.label_smoothing": 0.2,
    "train.ema_decay": None,
    "train.early_stopping_patience": 2,
    "train.device": "cpu",
    "train.precision": "bf16",
    "train.compile": True,
    "train.threads_per_fold": 2,
    "augment.gain_db": 3.0,
    "augment.time_shift": 0.1,
    "split.balance_evaluation": True,
    "backbone.members": 2,
    "augment.polarity": True,
    "augment.resynthesis": 0.1,
    "augment.speed": 0.1,
    "augment.equalizer_db": 1.0,
    "augment.band_limit_hz": (100.0, 3000.0),
    "augment.impulses": 0.1,
    "augment.enabled": False,
    "augment.noise.color_db": 1.0,
    "augment.delay": 0.2,
    "augment.noise.snr_db": (10.0, 20.0),
    "augment.mix.name": "between_class",
    "augment.mix.probability": 0.5,
    "augment.mix.alpha": 0.3,
    "augment.time_stretch": 0.1,
    "augment.freq_shift": 1,
    "augment.freq_mask": 1,
    "augment.time_mask": 1,
}
# What constrains learned tensors is refused where nothing is learned.
LEARNING = {"frontend.learn_window": True, "frontend.learn_kernels": True}
TIMM = {"backbone.name": "timm:resnet18"}
OF_LEARNED = (
    *("window_nonnegative", "window_symmetric", "kernel_form", "kernel_constraint", "frontend.kernels.precision"),
    *("n_transforms", "freeze_epochs", "pull"),
)
# The folds and clips carry what these decide, or they decide no weight.
IRRELEVANT: dict[str, Any] = {
    "dataset.root": "elsewhere",
    "dataset.on_bad_clip": "skip",
    "dataset.on_missing": "skip",
    "synthetic.clips_per_class": 31,
    "synthetic.duration_s": 2.0,
    "synthetic.seed": 8,
    "features.clips_per_shard": 9,
    "split.n_folds": 3,
    "split.validation_fraction": 0.2,
    "evaluate.vote": "majority",
    "evaluate.overlap": 0.5,
    "evaluate.asv_error_rates": (0.01, 0.02, 0.5),
    "evaluate.n_bootstrap": 200,
    "tracking.experiment": "another",
    "engine.workers": 2,
    "engine.parallel_folds": 2,
    "engine.checkpoint_interval_s": 9.0,
    "tune.objective": "validation_loss",
    "tune.pruner": "none",
    "tune.space": ({"knob": "seed", "low": 1, "high": 2},),
}
CARRIED = {"dataset.name", "dataset.variant", "split.scheme"}  # into clips and folds
WITH_ANOTHER = {"backbone.head", "features.window.n_parts"}  # train.loss.name, features.window.length_s


def digest(config: Config = CONFIG, clips: pd.DataFrame = CLIPS, folds: pd.DataFrame = FOLDS) -> str:
    return training_digest(config, clips, folds)


def test_digest_knobs_are_all_tried() -> None:
    assert set(DECISIVE) | set(IRRELEVANT) | CARRIED | WITH_ANOTHER == set(flatten(CONFIG))


def test_digest_is_the_same_for_the_same_training() -> None:
    assert digest() == digest(Config.model_validate(CONFIG.model_dump()), CLIPS.copy(), FOLDS.copy())


def test_digest_names_a_folder() -> None:
    assert digest().isalnum()
    assert len(digest()) >= 12


@pytest.mark.parametrize("knob", DECISIVE)
def test_digest_changes_with_every_training_knob(knob: str) -> None:
    config = changed(CONFIG, **LEARNING) if knob.endswith(OF_LEARNED) else CONFIG
    if knob.startswith("backbone.timm."):
        config = changed(config, **TIMM, **({} if knob.endswith("pretrained") else {"backbone.timm.pretrained": True}))
    assert flatten(config)[knob] != DECISIVE[knob]
    assert digest(changed(config, **{knob: DECISIVE[knob]})) != digest(config)


@pytest.mark.parametrize("knob", IRRELEVANT)
def test_digest_does_not_change_with_what_decides_no_weight(knob: str) -> None:
    assert flatten(CONFIG)[knob] != IRRELEVANT[knob]
    assert digest(changed(CONFIG, **{knob: IRRELEVANT[knob]})) == digest()


@pytest.mark.parametrize(("column", "value"), [("digest", "04"), ("label", "y"), ("clip_id", "d")])
def test_digest_changes_with_a_clip(column: str, value: str) -> None:
    clips = CLIPS.copy()
    clips.loc[2, column] = value
    assert digest(clips=clips) != digest()


@pytest.mark.parametrize(("column", "value"), [("role", "validation"), ("fold", 2), ("weight", 2), ("clip_id", "d")])
def test_digest_changes_with_a_fold_assignment(column: str, value: str | int) -> None:
    folds = FOLDS.copy()
    folds.loc[1, column] = value
    assert digest(folds=folds) != digest()


def test_digest_changes_with_the_weights_that_training_begins_with(tmp_path: Path) -> None:
    weights = tmp_path / "weights.safetensors"
    digests = set()
    for content in (b"", b"1", b"2"):
        weights.write_bytes(content)
        digests.add(
            digest(changed(CONFIG, **TIMM, **{"backbone.timm.pretrained": True, "backbone.timm.weights": str(weights)}))
        )
    assert len(digests) == 3
