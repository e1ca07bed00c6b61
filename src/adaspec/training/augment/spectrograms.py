"""Changes to spectrograms alone: before their compression in time and frequency, after it by masks."""

from __future__ import annotations

import torch
import torchaudio
from torch import Tensor

from adaspec.config import AugmentConfig
from adaspec.training.augment.sounds import SpectrogramSound, uniform

__all__ = ["augment_spectrograms", "spec_augment"]


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
    if config.time_stretch:
        spectrogram = _time_stretch(spectrogram, n_frames, sound, config.time_stretch)
    if config.freq_shift:
        spectrogram = _freq_shift(spectrogram, config.freq_shift)
    return spectrogram


def _time_stretch(spectrogram: Tensor, n_frames: int, sound: SpectrogramSound, largest: float) -> Tensor:
    """Play each clip faster or slower by up to `largest` of its speed; between frames is interpolated."""
    last = spectrogram.shape[3] - 1
    speed = 1 + uniform(spectrogram, -largest, largest)
    place = (torch.arange(n_frames, device=spectrogram.device) * speed[:, None]).clamp_max(last)
    before = place.long()
    after = (before + 1).clamp_max(last)
    return torch.lerp(sound.take(spectrogram, before), sound.take(spectrogram, after), (place - before)[:, None, None])


def _freq_shift(spectrogram: Tensor, most: int) -> Tensor:
    """Shift each clip by up to +-most bands; the outermost band fills what becomes free."""
    n_features = spectrogram.shape[2]
    bands = torch.arange(-most, n_features + most, device=spectrogram.device).clamp(0, n_features - 1)
    shifted = spectrogram.movedim(3, 1)[..., bands].unfold(3, n_features, 1).movedim(3, 1)
    start = torch.randint(2 * most + 1, (len(spectrogram),), device=spectrogram.device)
    return shifted[torch.arange(len(spectrogram), device=spectrogram.device), start].movedim(1, 3)


def spec_augment(spectrogram: Tensor, config: AugmentConfig) -> Tensor:
    """Mask one random stretch of bands and one of frames in each clip, in all channels, with each channel's mean.

    References
    ----------
    D. S. Park et al., "SpecAugment", Interspeech 2019, section 2, https://arxiv.org/abs/1904.08779
    """
    for axis, largest in ((2, config.freq_mask), (3, config.time_mask)):
        if largest:
            longest = min(largest, spectrogram.shape[axis] - 1)
            mean = spectrogram.mean(dim=(2, 3), keepdim=True)
            # torchaudio's parameter is one more than the longest mask.
            all_kept = torch.ones_like(spectrogram[:, :1])
            kept = torchaudio.functional.mask_along_axis_iid(all_kept, longest + 1, 0.0, axis)
            spectrogram = torch.where(kept.bool(), spectrogram, mean)
    return spectrogram
