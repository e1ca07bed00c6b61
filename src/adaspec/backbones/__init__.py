"""Backbones: spectrogram (batch, channels, n_features, n_frames) -> logits (batch, n_classes)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from adaspec.backbones.ast import AST
from adaspec.backbones.claim import CLAIMS, Claiming
from adaspec.backbones.cnn import CNN
from adaspec.backbones.contract import Backbone
from adaspec.backbones.ensemble import Ensemble, combined
from adaspec.backbones.heads import HEADS, OneClassHead
from adaspec.backbones.resnet import ResNet, ResNet18
from adaspec.backbones.timm_model import TimmModel, check_timm_name
from adaspec.errors import InputError, SettingError
from adaspec.runtime.text import did_you_mean

if TYPE_CHECKING:
    from adaspec.config import BackboneConfig

__all__ = [
    "AST",
    "BACKBONES",
    "CLAIMS",
    "CNN",
    "HEADS",
    "Backbone",
    "Claiming",
    "Ensemble",
    "OneClassHead",
    "ResNet",
    "ResNet18",
    "TimmModel",
    "build_backbone",
    "check_backbone",
    "combined",
]

BACKBONES: dict[str, type[Backbone]] = {"cnn": CNN, "resnet": ResNet, "resnet18": ResNet18, "ast": AST}


def build_backbone(
    config: BackboneConfig,
    *,
    n_channels: int,
    n_features: int,
    n_frames: int,
    n_classes: int,
    n_claimed: int = 0,
    pretrained: bool = False,
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
    n_claimed : int
        Length of the claimed speaker's vector; for a `config.claim`.
    pretrained : bool
        Begin with other weights where `config` asks for them; otherwise nothing is read.

    Returns
    -------
    nn.Module
        A `Backbone`, one of timm's, or an `Ensemble` of `members` such; `Claiming` where `config.claim` asks for it.

    Raises
    ------
    InputError
        timm, the model or the weights are not there.
    """
    sizes: dict[str, Any] = {
        "n_channels": n_channels,
        "n_features": n_features,
        "n_frames": n_frames,
        "n_classes": n_classes,
    }

    def build() -> nn.Module:
        if config.timm_name is not None:
            settings = config.timm.model_dump() | {"pretrained": config.timm.pretrained and pretrained}
            return TimmModel(**sizes, dropout=config.dropout, name=config.name, **settings)
        # Settings of its own are in the sub-section that is called after it.
        own: Any = getattr(config, config.name, None)
        settings = {} if own is None else own.model_dump()
        backbone = BACKBONES[config.name](**sizes, dropout=config.dropout, **settings)
        if (head := HEADS[config.head]) is not nn.Linear:
            backbone.head = head(backbone.num_features, n_classes)
        if config.claim != "none":
            return Claiming(backbone, CLAIMS[config.claim](backbone.num_features, n_claimed))
        return backbone

    return build() if config.members == 1 else Ensemble(build, config.members)


def check_backbone(config: BackboneConfig) -> None:
    """Make sure that the configured backbone is known and can be built.

    Raises
    ------
    InputError
        timm is missing, or does not know the model; or settings contradict each other.
    """
    if config.timm_name is not None:
        try:
            check_timm_name(config.name)
        except InputError as error:
            raise InputError(f"params.yaml {error}") from None
        return
    if config.name not in BACKBONES:
        hint = did_you_mean(config.name, BACKBONES, f"; known: {', '.join(BACKBONES)} and timm:NAME")
        raise InputError(f"params.yaml backbone.name={config.name} is no backbone{hint}")
    sizes: dict[str, Any] = {"n_channels": 1, "n_features": 64, "n_frames": 64, "n_classes": 2, "n_claimed": 2}
    try:
        with torch.device("meta"):  # shapes alone: no weights are made
            build_backbone(config.model_copy(update={"members": 1}), **sizes)
    except SettingError as error:
        raise InputError(f"params.yaml backbone.{config.name}.{error}") from None
