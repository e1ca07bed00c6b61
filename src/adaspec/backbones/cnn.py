"""The baseline: two 5x5 convolution layers."""

from __future__ import annotations

import math

from torch import Tensor, nn

from adaspec.backbones.inputs import input_norm

__all__ = ["CNN"]


class CNN(nn.Module):
    """Two 5x5 convolutions with pooling, then one linear layer.

    Parameters
    ----------
    n_channels : int
        Transforms of the front end.
    n_features : int
        Height of the spectrogram; any width is taken.
    n_classes : int
    dropout : float
        Before the linear layer, 0 <= p < 1.

    Shapes
    ------
    (batch, n_channels, n_features, n_frames) -> (batch, n_classes)
    """

    def __init__(self, *, n_channels: int, n_features: int, n_classes: int, dropout: float) -> None:
        super().__init__()
        self.normalize = input_norm(n_channels)
        self.convolutions = nn.Sequential(
            nn.Conv2d(n_channels, 32, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2, ceil_mode=True),
            nn.Conv2d(32, 64, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2, ceil_mode=True),
        )
        n_rows = math.ceil(n_features / 4)
        self.head = nn.Sequential(nn.Flatten(), nn.Dropout(dropout), nn.Linear(64 * n_rows, n_classes))

    def forward(self, spectrogram: Tensor) -> Tensor:
        maps = self.convolutions(self.normalize(spectrogram))  # (batch, 64, n_rows, n_columns)
        return self.head(maps.mean(dim=3))
