"""Audio Spectrogram Transformer."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from adaspec.backbones.contract import Backbone
from adaspec.backbones.inputs import fill, input_norm
from adaspec.errors import SettingError

__all__ = ["AST"]

MLP_RATIO = 4
STEM_STRIDE = 8
SHORT = 256  # tokens


def _attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention over the tokens of (batch, num_heads, n_tokens, head_dim)."""
    if query.device.type != "cpu" or query.shape[2] > SHORT:
        return nn.functional.scaled_dot_product_attention(query, key, value)
    # The CPU's fused attention is slow in the backward pass: over short sequences, two products take a quarter of its
    # time.
    scores = (query * query.shape[3] ** -0.5) @ key.transpose(2, 3)
    return scores.softmax(dim=3).to(value.dtype) @ value


class _Attention(nn.Module):
    def __init__(self, embed_dim: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(embed_dim, 3 * embed_dim)
        self.project = nn.Sequential(nn.Linear(embed_dim, embed_dim), nn.Dropout(dropout))

    def forward(self, tokens: Tensor) -> Tensor:
        n_clips, n_tokens, embed_dim = tokens.shape
        qkv = self.qkv(tokens).view(n_clips, n_tokens, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        attended = _attend(*qkv.unbind(0))
        return self.project(attended.transpose(1, 2).reshape(n_clips, n_tokens, embed_dim))


class _Block(nn.Module):
    """Attention, then a two-layer perceptron, each after a norm and beside a shortcut."""

    def __init__(self, embed_dim: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.attend = nn.Sequential(nn.LayerNorm(embed_dim), _Attention(embed_dim, num_heads, dropout))
        self.transform = nn.Sequential(
            nn.LayerNorm(embed_dim),
            nn.Linear(embed_dim, MLP_RATIO * embed_dim),
            nn.GELU(),
            nn.Linear(MLP_RATIO * embed_dim, embed_dim),
            nn.Dropout(dropout),
        )

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.attend(tokens)
        return tokens + self.transform(tokens)


class AST(Backbone):
    """Transformer over patches of the spectrogram.

    A stem turns the spectrogram into a grid of patches, each of which is told its place by a learned embedding. The
    grid belongs to the window that is trained on; for another length the embeddings are interpolated.

    Parameters
    ----------
    n_channels : int
        Transforms of the front end.
    n_features, n_frames : int
        Height and width of the spectrograms that are trained on; any width is taken.
    n_classes : int
    dropout : float
        In the blocks and before the linear layer, 0 <= p < 1.
    stem : {"patches", "convolutions"}
        One strided convolution, or three of 3x3 that halve the resolution each.
    patch_size, patch_stride : int
        Of the stem "patches": bands and frames of a patch, and from one to the next.
    embed_dim, depth, num_heads : int
        Width, number of blocks, attention heads.
    pooling : {"cls", "mean"}
        What is classified: a learned token that attends to all patches, or the mean of the patches.
    patch_dropout : float
        Share of patches that are left out in training, 0 <= p < 1.

    Shapes
    ------
    (batch, n_channels, n_features, n_frames) -> (batch, n_classes)

    References
    ----------
    Y. Gong, Y.-A. Chung and J. Glass, "AST: Audio Spectrogram Transformer", Interspeech 2021, section 2,
    https://arxiv.org/abs/2104.01778; convolutional stem: T. Xiao et al., "Early Convolutions Help Transformers See
    Better", NeurIPS 2021, https://arxiv.org/abs/2106.14881; patches left out: K. Koutini et al., "Efficient Training of
    Audio Transformers with Patchout", Interspeech 2022, https://arxiv.org/abs/2110.05069
    """

    def __init__(
        self,
        *,
        n_channels: int,
        n_features: int,
        n_frames: int,
        n_classes: int,
        dropout: float,
        stem: Literal["patches", "convolutions"],
        patch_size: int,
        patch_stride: int,
        embed_dim: int,
        depth: int,
        num_heads: int,
        pooling: Literal["cls", "mean"],
        patch_dropout: float,
    ) -> None:
        super().__init__()
        if embed_dim % num_heads:
            raise SettingError("embed_dim", f"={embed_dim} must be a multiple of num_heads={num_heads}")
        if stem == "patches" and patch_stride > patch_size:
            raise SettingError(
                "patch_stride", f"={patch_stride} would leave gaps between patches of patch_size={patch_size}"
            )
        self.pooling, self.patch_dropout = pooling, patch_dropout
        self.normalize = input_norm(n_channels)
        if stem == "patches":
            self.smallest = (patch_size, patch_size + patch_stride)  # two columns
            self.stem: nn.Module = nn.Conv2d(n_channels, embed_dim, patch_size, stride=patch_stride)
        else:
            self.smallest = (4 * STEM_STRIDE, 4 * STEM_STRIDE)
            self.stem = _convolutions(n_channels, embed_dim)
        with torch.no_grad():
            grid = self.stem(fill(torch.zeros(1, n_channels, n_features, n_frames), self.smallest)).shape[2:]
        self.places = nn.Parameter(torch.empty(1, embed_dim, *grid))
        self.cls = nn.Parameter(torch.zeros(1, 1, embed_dim)) if pooling == "cls" else None
        self.blocks = nn.Sequential(*(_Block(embed_dim, num_heads, dropout) for _ in range(depth)))
        self.norm = nn.LayerNorm(embed_dim)
        self.finish(embed_dim, dropout, n_classes)
        nn.init.trunc_normal_(self.places, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward_features(self, spectrogram: Tensor) -> Tensor:
        grid = self.stem(fill(self.normalize(spectrogram), self.smallest))  # (batch, embed_dim, n_rows, n_columns)
        tokens = (grid + self._places(grid)).flatten(2).transpose(1, 2)
        if self.training and self.patch_dropout > 0:
            tokens = self._leave_out(tokens)
        if self.cls is not None:
            tokens = torch.cat([self.cls.expand(tokens.shape[0], -1, -1).to(tokens.dtype), tokens], dim=1)
        tokens = self.norm(self.blocks(tokens))
        return tokens[:, 0] if self.pooling == "cls" else tokens.mean(dim=1)

    def _places(self, grid: Tensor) -> Tensor:
        if grid.shape[2:] == self.places.shape[2:]:
            return self.places
        return nn.functional.interpolate(self.places, grid.shape[2:], mode="bilinear", align_corners=False)

    def _leave_out(self, tokens: Tensor) -> Tensor:
        n_clips, n_tokens = tokens.shape[:2]
        n_kept = max(1, round(n_tokens * (1 - self.patch_dropout)))
        kept = torch.rand(n_clips, n_tokens, device=tokens.device).argsort(dim=1)[:, :n_kept]
        return tokens.gather(1, kept.unsqueeze(2).expand(-1, -1, tokens.shape[2]))


def _convolutions(n_channels: int, embed_dim: int) -> nn.Sequential:
    widths = [n_channels, *(math.ceil(embed_dim / part) for part in (4, 2, 1))]
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(widths):
        layers += [nn.Conv2d(n_in, n_out, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1], nn.Conv2d(embed_dim, embed_dim, 1))
