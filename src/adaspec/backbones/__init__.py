"""Backbones: spectrogram (batch, channels, n_features, n_frames) -> logits (batch, n_classes)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn

from adaspec.backbones.ast import AST
from adaspec.backbones.cnn import CNN
from adaspec.backbones.ensemble import Ensemble
from adaspec.backbones.one_class import OneClassHead
from adaspec.backbones.resnet import ResNet, WavResNet

if TYPE_CHECKING:
    from adaspec.config import BackboneConfig

__all__ = ["AST", "CNN", "Ensemble", "ResNet", "WavResNet", "build_backbone", "check_backbone"]


def build_backbone(
    config: BackboneConfig, *, n_channels: int, n_features: int, n_frames: int, n_classes: int, pretrained: bool = False
) -> nn.Module:
    """Build the configured backbone, or an ensemble of such.

    Parameters
    ----------
    config : BackboneConfig
    n_channels, n_features : int
        Of the spectrograms.
    n_frames : int
        Of the windows that are trained on; any other number is taken too.
    n_classes : int
    pretrained : bool
        Begin with other weights where `config` asks for them; otherwise nothing is read.

    Raises
    ------
    InputError
        timm, the model or the weights are not there.
    """

    def build() -> nn.Module:
        return _build_member(
            config,
            n_channels=n_channels,
            n_features=n_features,
            n_frames=n_frames,
            n_classes=n_classes,
            pretrained=pretrained,
        )

    return build() if config.members == 1 else Ensemble(build, config.members)


def _build_member(
    config: BackboneConfig, *, n_channels: int, n_features: int, n_frames: int, n_classes: int, pretrained: bool
) -> nn.Module:
    sizes: dict[str, Any] = {"n_channels": n_channels, "n_features": n_features, "n_classes": n_classes}
    sizes["dropout"] = config.dropout
    if config.name.startswith("timm:"):
        from adaspec.backbones.timm_model import TimmModel

        settings = config.timm.model_dump() | {"pretrained": config.timm.pretrained and pretrained}
        return TimmModel(**sizes, n_frames=n_frames, name=config.name, **settings)
    backbone: Any
    if config.name == "resnet":
        backbone = ResNet(**sizes, widths=config.widths, stem_block=config.stem_block)
    elif config.name == "wav_resnet":
        backbone = WavResNet(**sizes)
    elif config.name == "ast":
        backbone = AST(**sizes, n_frames=n_frames, **config.ast.model_dump())
    else:
        backbone = CNN(**sizes)
    if config.head == "one_class":
        backbone.head = OneClassHead(backbone.head.in_features)
    return backbone


def check_backbone(config: BackboneConfig) -> None:
    """Make sure that the configured backbone is known.

    Raises
    ------
    InputError
        timm is missing, or does not know the model.
    """
    if config.name.startswith("timm:"):
        from adaspec.backbones.timm_model import check_timm_name

        check_timm_name(config.name)
