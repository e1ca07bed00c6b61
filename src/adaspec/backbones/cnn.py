"""The baseline: two 5x5 convolution layers."""

from __future__ import annotations

import math

from torch import Tensor, nn

from adaspec.backbones.contract import Backbone
from adaspec.backbones.inputs import input_norm

__all__ = ["CNN"]


class CNN(Backbone):
    """Two 5x5 convolutions with pooling, then one linear layer.

    Parameters
    ----------
    n_channels : int
        Transforms of the front end.
    n_features : int
        Height of the spectrogram; any width is taken.
    n_frames : int
        Width of the spectrograms that are trained on; nothing depends on it.
    n_classes : int
    dropout : float
        Before the linear layer, 0 <= p < 1.

    Shapes
    ------
    (batch, n_channels, n_features, n_frames) -> (batch, n_classes)
    """

    def __init__(self, *, n_channels: int, n_features: int, n_frames: int, n_classes: int, dropout: float) -> None:
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
        self.finish(64 * math.ceil(n_features / 4), dropout, n_classes)

    def forward_features(self, spectrogram: Tensor) -> Tensor:
        maps = self.convolutions(self.normalize(spectrogram))  # (batch, 64, n_rows, n_columns)
        return maps.mean(dim=3).flatten(1)
