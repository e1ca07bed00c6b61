"""Small spectrograms, filled up to what strided convolutions need."""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["fill"]


def fill(spectrogram: Tensor, smallest: tuple[int, int]) -> Tensor:
    """Fill up to at least (n_features, n_frames) with zeros, the mean of what is normalised.

    Strided bf16 convolutions whose output is one wide, moreover, read beyond their input on the CPU (torch 2.14): NaN.
    What is filled up must leave them two.
    """
    n_rows, n_columns = (max(0, least - size) for least, size in zip(smallest, spectrogram.shape[2:], strict=True))
    return nn.functional.pad(spectrogram, (0, n_columns, 0, n_rows))
