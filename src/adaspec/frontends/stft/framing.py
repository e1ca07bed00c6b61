"""How waveforms are cut into frames."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from adaspec.frontends.waveform import check_waveform

__all__ = ["Framing", "as_clips", "cut_frames", "pad_ends"]


class Framing(NamedTuple):
    """How the waveform is cut, and what is made of the frames' spectra.

    Attributes
    ----------
    n_fft, hop_length : int
        In samples.
    center : bool
        Frames are centred on multiples of the hop, the waveform's ends reflected.
    magnitude : bool
        |X| in place of |X|^2.
    bf16 : bool
        Multiply with learned kernels in bfloat16; where the processor has it, it holds the result and its gradient too.
    """

    n_fft: int
    hop_length: int
    center: bool
    magnitude: bool
    bf16: bool


def as_clips(waveform: Tensor, dtype: torch.dtype) -> Tensor:
    """Waveforms in float32, or in float64 where they or `dtype` are.

    Raises
    ------
    ValueError
        They are not (batch, n_samples), or there are none, or they are not floating-point.
    """
    check_waveform(waveform)
    return waveform.to(torch.promote_types(torch.promote_types(waveform.dtype, dtype), torch.float32))


def pad_ends(waveform: Tensor, framing: Framing) -> Tensor:
    """Waveforms (batch, n_samples) with their ends reflected if frames are centred.

    Where a waveform is too short for reflection, or for a single frame, zeros are added.
    """
    n_samples, half = waveform.shape[1], framing.n_fft // 2
    if framing.center and n_samples > half:
        # In place of torch.nn.functional.pad, which takes three times as long.
        ends = waveform[:, 1 : half + 1].flip(1), waveform[:, n_samples - half - 1 : n_samples - 1].flip(1)
        waveform = torch.cat([ends[0], waveform, ends[1]], 1)
    elif framing.center:
        waveform = torch.nn.functional.pad(waveform, (half, half))
    if waveform.shape[1] < framing.n_fft:
        waveform = torch.nn.functional.pad(waveform, (0, framing.n_fft - waveform.shape[1]))
    return waveform


def cut_frames(waveform: Tensor, framing: Framing) -> Tensor:
    """(batch, n_samples) -> (batch, n_frames, n_fft)."""
    return pad_ends(waveform, framing).unfold(1, framing.n_fft, framing.hop_length)
