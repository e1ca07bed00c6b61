"""Knobs that had another name in earlier versions: the old one is refused, with the new one in the message."""

from __future__ import annotations

__all__ = ["RENAMED", "renamed"]

RENAMED = {  # old knob, or old knob=value -> new
    "dataset.subset": "dataset.variant",
    "audio.window_s": "features.window.length_s",
    "audio.split_parts": "features.window.n_parts",
    "audio.pad": "features.window.pad",
    "features.fbank": "frontend.fixed.fbank",
    "features.fbank.frame_length_ms": "frontend.fixed.fbank.frame_length_ms",
    "features.fbank.frame_shift_ms": "frontend.fixed.fbank.frame_shift_ms",
    "features.fbank.n_mels": "frontend.fixed.fbank.n_mels",
    "features.fbank.normalize": "frontend.fixed.fbank.normalize",
    "frontend.n_mels": "frontend.mel.n_mels",
    "frontend.f_min": "frontend.mel.f_min",
    "frontend.f_max": "frontend.mel.f_max",
    "frontend.mel_scale": "frontend.mel.scale",
    "frontend.mel_norm": "frontend.mel.norm",
    "frontend.compression": "frontend.compression.name",
    "frontend.log_base": "frontend.compression.gamma (null: frontend.compression.name=none)",
    "frontend.kernel_form": "frontend.kernels.form",
    "frontend.band_width": "frontend.kernels.band_width",
    "frontend.kernel_constraint": "frontend.kernels.constraint",
    "frontend.precision": "frontend.kernels.precision",
    "backbone.name=wav_resnet": "resnet18",
    "backbone.widths": "backbone.resnet.widths",
    "backbone.stem_block": "backbone.resnet.stem_block",
    "train.optimizer": "train.optimizer.name",
    "train.learning_rate": "train.optimizer.learning_rate",
    "train.weight_decay": "train.optimizer.weight_decay",
    "train.momentum": "train.optimizer.momentum",
    "train.schedule": "train.schedule.name",
    "train.warmup_fraction": "train.schedule.warmup_fraction",
    "train.gamma": "train.schedule.gamma",
    "train.loss": "train.loss.name",
    "train.focal_gamma": "train.loss.focal_gamma",
    "train.label_smoothing": "train.loss.label_smoothing",
    "train.frontend_lr_multiplier": "train.frontend.lr_multiplier",
    "train.frontend_freeze_epochs": "train.frontend.freeze_epochs",
    "train.frontend_pull": "train.frontend.l2_sp",
    "train.frontend_gradient_clip": "train.frontend.gradient_clip",
    "augment.noise_snr_db": "augment.noise.snr_db",
    "augment.noise_color_db": "augment.noise.color_db",
    "augment.resynthesis": "augment.resynthesis.share",
    "augment.mix": "augment.mix.name",
    "augment.mix_probability": "augment.mix.probability",
    "augment.mix_alpha": "augment.mix.alpha",
}


def renamed(name: str) -> str | None:
    """The name that an old knob, or an old value as KNOB=VALUE, has now; None where nothing was renamed."""
    return RENAMED.get(name)
