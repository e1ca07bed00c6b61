"""Changes to spectrograms alone: before their compression in time and frequency, after it by masks."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torchaudio
from torch import Tensor

from adaspec.config import AugmentConfig
from adaspec.training.augment.sounds import SpectrogramSound, uniform

__all__ = ["CHANGES_OF_COMPRESSED", "CHANGES_OF_SPECTROGRAMS", "augment_compressed", "augment_spectrograms"]


def augment_spectrograms(spectrogram: Tensor, n_frames: int, sound: SpectrogramSound, config: AugmentConfig) -> Tensor:
    """Change the speed at constant pitch, and shift in frequency.

    Parameters
    ----------
    spectrogram : Tensor of shape (batch, n_channels, n_features, n_frames or more)
        Where the speed may grow, that much longer than what is wanted.
    n_frames : int
        Wanted.
    sound : SpectrogramSound
    config : AugmentConfig

    Returns
    -------
    Tensor of shape (batch, n_channels, n_features, n_frames)
    """
    for is_on, change in CHANGES_OF_SPECTROGRAMS.values():
        if is_on(config):
            spectrogram = change(spectrogram, n_frames, sound, config)
    return spectrogram


def augment_compressed(spectrogram: Tensor, config: AugmentConfig) -> Tensor:
    """Mask one random stretch of bands and one of frames in each clip, in all channels, with each channel's mean.

    Parameters
    ----------
    spectrogram : Tensor of shape (batch, n_channels, n_features, n_frames)
        Compressed.
    config : AugmentConfig

    References
    ----------
    D. S. Park et al., "SpecAugment", Interspeech 2019, section 2, https://arxiv.org/abs/1904.08779
    """
    for is_on, change in CHANGES_OF_COMPRESSED.values():
        if is_on(config):
            spectrogram = change(spectrogram, config)
    return spectrogram


def _time_stretch(spectrogram: Tensor, n_frames: int, sound: SpectrogramSound, config: AugmentConfig) -> Tensor:
    """Play each clip faster or slower; between frames is interpolated."""
    last = spectrogram.shape[3] - 1
    speed = 1 + uniform(spectrogram, -config.time_stretch, config.time_stretch)
    place = (torch.arange(n_frames, device=spectrogram.device) * speed[:, None]).clamp_max(last)
    before = place.long()
    after = (before + 1).clamp_max(last)
    return torch.lerp(sound.take(spectrogram, before), sound.take(spectrogram, after), (place - before)[:, None, None])


def _freq_shift(spectrogram: Tensor, n_frames: int, sound: SpectrogramSound, config: AugmentConfig) -> Tensor:
    """Shift each clip by some bands; the outermost band fills what becomes free."""
    n_features, most = spectrogram.shape[2], config.freq_shift
    bands = torch.arange(-most, n_features + most, device=spectrogram.device).clamp(0, n_features - 1)
    shifted = spectrogram.movedim(3, 1)[..., bands].unfold(3, n_features, 1).movedim(3, 1)
    start = torch.randint(2 * most + 1, (len(spectrogram),), device=spectrogram.device)
    return shifted[torch.arange(len(spectrogram), device=spectrogram.device), start].movedim(1, 3)


def _mask(spectrogram: Tensor, axis: int, largest: int) -> Tensor:
    longest = min(largest, spectrogram.shape[axis] - 1)
    mean = spectrogram.mean(dim=(2, 3), keepdim=True)
    # torchaudio's parameter is one more than the longest mask.
    all_kept = torch.ones_like(spectrogram[:, :1])
    kept = torchaudio.functional.mask_along_axis_iid(all_kept, longest + 1, 0.0, axis)
    return torch.where(kept.bool(), spectrogram, mean)


def _freq_mask(spectrogram: Tensor, config: AugmentConfig) -> Tensor:
    """Mask bands."""
    return _mask(spectrogram, 2, config.freq_mask)


def _time_mask(spectrogram: Tensor, config: AugmentConfig) -> Tensor:
    """Mask frames."""
    return _mask(spectrogram, 3, config.time_mask)


IsOn = Callable[[AugmentConfig], object]
# name -> (whether it is on, what it does), in the order in which they are made
CHANGES_OF_SPECTROGRAMS: dict[str, tuple[IsOn, Callable[[Tensor, int, SpectrogramSound, AugmentConfig], Tensor]]] = {
    "time_stretch": (lambda config: config.time_stretch, _time_stretch),
    "freq_shift": (lambda config: config.freq_shift, _freq_shift),
}
CHANGES_OF_COMPRESSED: dict[str, tuple[IsOn, Callable[[Tensor, AugmentConfig], Tensor]]] = {
    "freq_mask": (lambda config: config.freq_mask, _freq_mask),
    "time_mask": (lambda config: config.time_mask, _time_mask),
}
