"""Random changes to a training batch, on its device; PyTorch's global generator is seeded by the caller."""

from __future__ import annotations

import math

import torch
import torchaudio
from torch import Tensor

from adaspec.config import AugmentConfig

__all__ = ["gain", "mixup", "spec_augment", "time_shift"]


def gain(inputs: Tensor, config: AugmentConfig) -> Tensor:
    """Scale each clip by up to +-gain_db: waveforms by a factor, log features by the equal summand."""
    if config.gain_db == 0:
        return inputs
    gain_db = (2 * torch.rand(len(inputs), *[1] * (inputs.ndim - 1), device=inputs.device) - 1) * config.gain_db
    if inputs.ndim == 2:
        return inputs * 10 ** (gain_db / 20)
    return inputs + gain_db * (math.log(10) / 10)  # natural logarithm of power


def time_shift(inputs: Tensor, config: AugmentConfig) -> Tensor:
    """Rotate each clip in time by up to +-time_shift of its length."""
    if config.time_shift == 0:
        return inputs
    n_time = inputs.shape[-1]
    largest = int(config.time_shift * n_time)
    shift = torch.randint(-largest, largest + 1, (len(inputs), 1), device=inputs.device)
    index = (torch.arange(n_time, device=inputs.device) - shift) % n_time  # (batch, n_time)
    return inputs.gather(-1, index.reshape(len(inputs), *[1] * (inputs.ndim - 2), n_time).expand_as(inputs))


def mixup(inputs: Tensor, targets: Tensor, config: AugmentConfig) -> tuple[Tensor, Tensor]:
    """Blend each clip and its target with another of the batch by Beta(alpha, alpha).

    Parameters
    ----------
    inputs : Tensor of shape (batch, ...)
    targets : Tensor of shape (batch, n_classes)

    References
    ----------
    H. Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018, eq. 1, https://arxiv.org/abs/1710.09412
    """
    if config.mixup_alpha == 0:
        return inputs, targets
    # torch's Beta sampler checks its arguments on every call; two gammas give the same distribution without.
    gammas = torch._standard_gamma(torch.full((2, len(inputs)), config.mixup_alpha, device=inputs.device))
    share = (gammas[0] / gammas.sum(dim=0)).nan_to_num(0.5)  # tiny alpha: both gammas may underflow
    partner = torch.randperm(len(inputs), device=inputs.device)
    wide = share.reshape(-1, *[1] * (inputs.ndim - 1))
    return torch.lerp(inputs[partner], inputs, wide), torch.lerp(targets[partner], targets, share[:, None])


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
