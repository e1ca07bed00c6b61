"""What every front end takes."""

from __future__ import annotations

from torch import Tensor

__all__ = ["check_waveform"]


def check_waveform(waveform: Tensor) -> None:
    """Refuse what is no batch of waveforms.

    Parameters
    ----------
    waveform : Tensor of shape (batch, n_samples)
        Floating-point, +-1.

    Raises
    ------
    ValueError
        It has another shape, holds nothing, or is of integers or complex numbers.
    """
    if waveform.ndim != 2 or 0 in waveform.shape:
        raise ValueError(f"waveform must have shape (batch, n_samples), neither of them 0, got {tuple(waveform.shape)}")
    if not waveform.is_floating_point():
        remedy = "take its real part" if waveform.is_complex() else "divide integer samples by their full scale"
        raise ValueError(f"waveform must be floating-point, +-1, got {waveform.dtype}; {remedy}")
