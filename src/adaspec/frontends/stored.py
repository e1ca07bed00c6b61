"""Energies as they are kept: the logarithm in 16 bits, frame after frame."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

__all__ = ["from_stored", "to_stored"]


class HasEnergies(Protocol):
    """A front end."""

    def energies(self, waveform: Tensor) -> Tensor: ...


FLOOR = 1e-12  # far below 16-bit quantisation noise in a single bin


def to_stored(frontend: HasEnergies, waveform: Tensor) -> Tensor:
    """Energies of one clip.

    Parameters
    ----------
    frontend : AdaptiveSTFT or Fbank
    waveform : Tensor of shape (n_samples,), int16

    Returns
    -------
    Tensor of shape (n_frames, n_channels * n_features), float16
        Natural logarithms, within 0.07 dB.
    """
    with torch.no_grad():
        energies = frontend.energies(waveform.unsqueeze(0).float() / 32768)[0]  # (n_channels, n_features, n_frames)
        return (energies + FLOOR).log().flatten(0, 1).T.contiguous().half()


def from_stored(stored: Tensor, n_channels: int) -> Tensor:
    """Energies (batch, n_channels, n_features, n_frames) of windows (batch, n_frames, n_channels * n_features)."""
    n_clips, n_frames, n_values = stored.shape
    return stored.float().exp().view(n_clips, n_frames, n_channels, n_values // n_channels).movedim(1, 3)
