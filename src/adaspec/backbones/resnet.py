"""Residual networks for log-mel spectrograms: a small one of 0.31 M parameters, and ResNet-18."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from adaspec.backbones.contract import Backbone
from adaspec.backbones.inputs import fill, input_norm
from adaspec.errors import SettingError

__all__ = ["ResNet", "ResNet18"]

SMALLEST, SMALLEST_18 = 32, (64, 64)  # frames; spectrogram


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


class ResNet(Backbone):
    """5x5 stem, a residual block at each width, mean over frequency, mean plus maximum over time.

    Parameters
    ----------
    n_channels : int
        Transforms of the front end.
    n_features : int
        Height of the spectrogram. Any is taken, and any width: the network is fully convolutional. Fewer than 32 frames
        (twice as many for each width above four) are filled up with zeros, the mean.
    n_frames : int
        Width of the spectrograms that are trained on; nothing depends on it.
    n_classes : int
    dropout : float
        Before the linear layer, 0 <= p < 1.
    widths : tuple of int
        Channels of the stem and of the blocks; from the second on, each block halves the resolution.
    stem_block : bool
        False leaves out the first block: the stem is followed by the one that halves its resolution. With widths of 16,
        32, 64 and 128 a training step takes a quarter less time.

    Shapes
    ------
    (batch, n_channels, n_features, n_frames) -> (batch, n_classes)

    References
    ----------
    K. He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, https://arxiv.org/abs/1512.03385;
    zero-initialised last norm: P. Goyal et al., 2017, section 5.1, https://arxiv.org/abs/1706.02677
    """

    def __init__(
        self,
        *,
        n_channels: int,
        n_features: int,
        n_frames: int,
        n_classes: int,
        dropout: float,
        widths: tuple[int, ...],
        stem_block: bool = True,
    ) -> None:
        super().__init__()
        if not stem_block and len(widths) < 2:
            raise SettingError(
                "stem_block", f"=false leaves the one width of widths={list(widths)} no block; give two widths or more"
            )
        self.smallest = (1, max(SMALLEST, 2 ** (len(widths) + 1)))  # two columns are left at the end
        self.normalize = input_norm(n_channels)
        self.stem = nn.Sequential(
            nn.Conv2d(n_channels, widths[0], 5, stride=2, padding=2, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU()
        )
        first = [_Block(widths[0], widths[0], stride=1)] if stem_block else []
        self.blocks = nn.Sequential(*first, *(_Block(n_in, n_out, stride=2) for n_in, n_out in pairwise(widths)))
        self.finish(widths[-1], dropout, n_classes)

    def forward_maps(self, spectrogram: Tensor) -> Tensor:
        """From spectrograms to (batch, widths[-1], n_rows, n_columns), before any mean over them."""
        maps: Tensor = self.blocks(self.stem(fill(self.normalize(spectrogram), self.smallest)))
        return maps

    def forward_features(self, spectrogram: Tensor) -> Tensor:
        over_time = self.forward_maps(spectrogram).mean(dim=2)
        return over_time.mean(dim=2) + over_time.amax(dim=2)


class ResNet18(Backbone):
    """ResNet-18 on the spectrogram of one transform or of three.

    7x7 stem and maximum pooling, two blocks at each of 64, 128, 256 and 512 channels, mean over all positions.

    Parameters
    ----------
    n_channels : int
        Transforms of the front end.
    n_features : int
        Height of the spectrogram. Any is taken, and any width; less than 64 is filled up with zeros, the mean.
    n_frames : int
        Width of the spectrograms that are trained on; nothing depends on it.
    n_classes : int
    dropout : float
        Before the linear layer, 0 <= p < 1.

    Shapes
    ------
    (batch, n_channels, n_features, n_frames) -> (batch, n_classes)

    References
    ----------
    K. He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, table 1, https://arxiv.org/abs/1512.03385;
    shortcuts that average before they halve the resolution: T. He et al., "Bag of Tricks for Image Classification",
    CVPR 2019, section 4.2, https://arxiv.org/abs/1812.01187
    """

    def __init__(self, *, n_channels: int, n_features: int, n_frames: int, n_classes: int, dropout: float) -> None:
        super().__init__()
        self.normalize = input_norm(n_channels)
        self.stem = nn.Sequential(
            nn.Conv2d(n_channels, 64, 7, stride=2, padding=3, bias=False),
            nn.BatchNorm2d(64),
            nn.MaxPool2d(3, stride=2, padding=1),
            nn.ReLU(),  # last: the same as before the maximum, on a quarter of the values
        )
        widths = (64, 64, 64, 128, 128, 256, 256, 512, 512)
        self.blocks = nn.Sequential(
            *(_Block(n_in, n_out, stride=1 if n_in == n_out else 2) for n_in, n_out in pairwise(widths))
        )
        self.finish(512, dropout, n_classes)

    def forward_features(self, spectrogram: Tensor) -> Tensor:
        normal = fill(self.normalize(spectrogram), SMALLEST_18)
        maps = self.blocks(self.stem(normal))  # (batch, 512, n_rows, n_columns)
        return maps.mean(dim=(2, 3))
