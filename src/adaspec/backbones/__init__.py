"""Backbones: spectrogram (batch, channels, n_features, n_frames) -> logits (batch, n_classes)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from adaspec.backbones.cnn import CNN
from adaspec.backbones.resnet import ResNet

if TYPE_CHECKING:
    from adaspec.config import BackboneConfig

__all__ = ["BACKBONES", "CNN", "ResNet", "build_backbone"]

BACKBONES: dict[str, type[CNN] | type[ResNet]] = {"cnn": CNN, "resnet": ResNet}


def build_backbone(config: BackboneConfig, n_channels: int, n_features: int, n_classes: int) -> nn.Module:
    """Build the configured backbone for spectrograms of n_channels x n_features x any number of frames."""
    return BACKBONES[config.name](
        n_channels=n_channels, n_features=n_features, n_classes=n_classes, dropout=config.dropout
    )
