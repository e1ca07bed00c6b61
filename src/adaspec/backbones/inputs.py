"""What backbones do to a spectrogram before their first layer."""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["fill", "input_norm"]


def input_norm(n_channels: int) -> nn.BatchNorm2d:
    """Batch norm that brings log power to unit scale; its statistics are fixed once trained.

    Scale and shift are left to the layer that follows, which has its own: learned here, they would take the gradient of
    that layer with respect to a spectrogram that is mostly fixed, a twentieth to a fifth of a training step.
    """
    return nn.BatchNorm2d(n_channels, affine=False)


def fill(spectrogram: Tensor, smallest: tuple[int, int]) -> Tensor:
    """Fill up to at least (n_features, n_frames) with zeros, the mean of what is normalised.

    Strided bf16 convolutions whose output is one wide, moreover, read beyond their input on the CPU (torch 2.14): NaN.
    What is filled up must leave them two.
    """
    n_rows, n_columns = (max(0, least - size) for least, size in zip(smallest, spectrogram.shape[2:], strict=True))
    return nn.functional.pad(spectrogram, (0, n_columns, 0, n_rows))
