"""Changes to waveforms and to spectrograms alike, in the order in which they are made."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from adaspec.config import AugmentConfig
from adaspec.training.augment.mixing import mix
from adaspec.training.augment.sounds import Sound, uniform

__all__ = ["CHANGES", "augment_inputs", "longest_window"]


def longest_window(n_window: int, config: AugmentConfig) -> int:
    """Samples or frames to cut for a window that may be played faster."""
    return math.ceil(math.ceil(n_window * (1 + config.time_stretch)) * (1 + config.speed))


def augment_inputs(inputs: Tensor, targets: Tensor, sound: Sound, config: AugmentConfig) -> tuple[Tensor, Tensor]:
    """Make all configured changes, then mix.

    Parameters
    ----------
    inputs : Tensor of shape (batch, n_samples) or (batch, n_channels, n_features, n_frames)
        Waveforms, or spectrograms before their compression.
    targets : Tensor of shape (batch, n_classes)
        One-hot.
    sound : Sound
        The arithmetic of the inputs.
    config : AugmentConfig

    Returns
    -------
    inputs, targets : Tensor
        Of the same shapes, but for what a higher speed uses up of the waveforms.

    References
    ----------
    channel and impulses are after H. Tak et al., "RawBoost: A Raw Data Boosting and Augmentation Method applied to
    Automatic Speaker Verification Anti-Spoofing", ICASSP 2022, sections 3.1 and 3.2, https://arxiv.org/abs/2111.04433
    """
    for is_on, change in CHANGES.values():
        if is_on(config):
            inputs = change(inputs, sound, config)
    if config.mix.name != "none":
        inputs, targets = mix(inputs, targets, sound, config.mix)
    return inputs, targets


def _speed(waveforms: Tensor, sound: Sound, config: AugmentConfig) -> Tensor:
    """Play each clip faster or slower, pitch included; ends where the fastest would."""
    n_samples = int(waveforms.shape[1] / (1 + config.speed) + 1e-9)
    speed = 1 + uniform(waveforms, -config.speed, config.speed)
    place = torch.arange(n_samples, device=waveforms.device) * speed[:, None]
    before = place.long()
    after = (before + 1).clamp_max(waveforms.shape[1] - 1)
    return torch.lerp(waveforms.gather(1, before), waveforms.gather(1, after), place - before)


def _channel(inputs: Tensor, sound: Sound, config: AugmentConfig) -> Tensor:
    """Send each clip through a channel of its own."""
    return sound.channel(inputs, config)


def _impulses(waveforms: Tensor, sound: Sound, config: AugmentConfig) -> Tensor:
    """Disturb a random share of the samples, each by up to its own size."""
    share = uniform(waveforms, 0, config.impulses)[:, None]
    hit = torch.rand_like(waveforms) < share
    return waveforms * (1 + hit * (2 * torch.rand_like(waveforms) - 1))


def _gain(inputs: Tensor, sound: Sound, config: AugmentConfig) -> Tensor:
    """Make each clip louder or quieter."""
    return sound.amplify(inputs, 10 ** (uniform(inputs, -config.gain_db, config.gain_db) / 20))


def _polarity(waveforms: Tensor, sound: Sound, config: AugmentConfig) -> Tensor:
    """Turn half of the waveforms upside down."""
    return waveforms * (1 - 2 * torch.randint(2, (len(waveforms), 1), device=waveforms.device))


def _delay(inputs: Tensor, sound: Sound, config: AugmentConfig) -> Tensor:
    """Begin each clip later, with silence before it."""
    n_times = inputs.shape[-1]
    late = (uniform(inputs, 0, config.delay) * n_times).long()
    index = torch.arange(n_times, device=inputs.device) - late[:, None]
    return sound.mute(sound.take(inputs, index.clamp_min(0)), index >= 0)


def _time_shift(inputs: Tensor, sound: Sound, config: AugmentConfig) -> Tensor:
    """Rotate each clip in time."""
    n_times = inputs.shape[-1]
    most = int(config.time_shift * n_times)
    shift = torch.randint(-most, most + 1, (len(inputs), 1), device=inputs.device)
    return sound.take(inputs, (torch.arange(n_times, device=inputs.device) - shift) % n_times)


def _noise(inputs: Tensor, sound: Sound, config: AugmentConfig) -> Tensor:
    """Add noise at a signal-to-noise ratio drawn for each clip."""
    assert config.noise.snr_db is not None
    noise = sound.noise(inputs, config)
    wanted = sound.level(inputs) * 10 ** (-uniform(inputs, *config.noise.snr_db) / 20)
    return sound.together(inputs, sound.amplify(noise, wanted / sound.level(noise)))


Change = Callable[[Tensor, Sound, AugmentConfig], Tensor]
CHANGES: dict[str, tuple[Callable[[AugmentConfig], object], Change]] = {  # name -> (whether it is on, what it does)
    "speed": (lambda config: config.speed, _speed),
    "channel": (lambda config: config.equalizer_db or config.band_limit_hz, _channel),
    "impulses": (lambda config: config.impulses, _impulses),
    "gain": (lambda config: config.gain_db, _gain),
    "polarity": (lambda config: config.polarity, _polarity),
    "delay": (lambda config: config.delay, _delay),
    "time_shift": (lambda config: config.time_shift, _time_shift),
    "noise": (lambda config: config.noise.snr_db, _noise),
}
