"""A small residual network for log-mel spectrograms: 0.31 M parameters."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["ResNet"]

WIDTHS = (16, 32, 64, 128)
MIN_FRAMES = 32


class _Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut. The last norm starts at zero: the block starts as the shortcut."""

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        last_norm = nn.BatchNorm2d(n_out)
        nn.init.zeros_(last_norm.weight)
        self.residual = nn.Sequential(
            nn.Conv2d(n_in, n_out, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(n_out),
            nn.ReLU(),
            nn.Conv2d(n_out, n_out, 3, padding=1, bias=False),
            last_norm,
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or n_in != n_out:
            self.shortcut = nn.Sequential(
                nn.AvgPool2d(stride, ceil_mode=True), nn.Conv2d(n_in, n_out, 1, bias=False), nn.BatchNorm2d(n_out)
            )

    def forward(self, maps: Tensor) -> Tensor:
        return torch.relu(self.residual(maps) + self.shortcut(maps))


class ResNet(nn.Module):
    """5x5 stem, one residual block at each of four widths, mean over frequency, mean plus maximum over time.

    Parameters
    ----------
    n_channels : int
        Transforms of the front end.
    n_features : int
        Height of the spectrogram. Any is taken, and any width: the network is fully convolutional. Fewer than 32 frames
        are filled up with zeros, the mean.
    n_classes : int
    dropout : float
        Before the linear layer, 0 <= p < 1.

    Shapes
    ------
    (batch, n_channels, n_features, n_frames) -> (batch, n_classes)

    References
    ----------
    K. He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, https://arxiv.org/abs/1512.03385;
    zero-initialised last norm: P. Goyal et al., 2017, section 5.1, https://arxiv.org/abs/1706.02677
    """

    def __init__(self, *, n_channels: int, n_features: int, n_classes: int, dropout: float) -> None:
        super().__init__()
        self.normalize = nn.BatchNorm2d(n_channels)  # brings log power to unit scale; fixed statistics once trained
        self.stem = nn.Sequential(
            nn.Conv2d(n_channels, WIDTHS[0], 5, stride=2, padding=2, bias=False), nn.BatchNorm2d(WIDTHS[0]), nn.ReLU()
        )
        widths = (WIDTHS[0], *WIDTHS)
        self.blocks = nn.Sequential(
            *(_Block(widths[i], widths[i + 1], stride=1 if i == 0 else 2) for i in range(len(WIDTHS)))
        )
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(WIDTHS[-1], n_classes)

    def forward(self, spectrogram: Tensor) -> Tensor:
        normal = self.normalize(spectrogram)
        # Strided bf16 convolutions over maps one or two frames wide read beyond them on the CPU (torch 2.14): NaN.
        n_missing = max(0, MIN_FRAMES - normal.shape[3])
        maps = self.blocks(self.stem(nn.functional.pad(normal, (0, n_missing))))  # (batch, 128, n_rows, n_columns)
        over_time = maps.mean(dim=2)
        return self.head(self.dropout(over_time.mean(dim=2) + over_time.amax(dim=2)))
