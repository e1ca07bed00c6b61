"""What a detector makes of the claim: features (batch, num_features) changed by the claimed speaker's vector."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from adaspec.backbones.contract import Backbone

__all__ = ["CLAIMS", "Claiming", "Concatenation", "FiLM"]


class Claiming(nn.Module):
    """A backbone whose features are changed by the claimed speaker's vector before its head.

    Parameters
    ----------
    backbone : Backbone
    claim : nn.Module
        One of `CLAIMS`.

    Shapes
    ------
    (batch, n_channels, n_features, n_frames), (batch, n_dimensions) -> (batch, n_classes)
    """

    def __init__(self, backbone: Backbone, claim: nn.Module) -> None:
        super().__init__()
        self.backbone, self.claim = backbone, claim

    @property
    def head(self) -> nn.Module:
        """The backbone's."""
        return self.backbone.head

    def forward(self, spectrogram: Tensor, vector: Tensor) -> Tensor:
        features = self.claim(self.backbone.forward_features(spectrogram), vector)
        logits: Tensor = self.backbone.head(self.backbone.dropout(features))
        return logits


class FiLM(nn.Module):
    """Scale and shift each feature by what a small network makes of the vector; starts as no change at all.

    Parameters
    ----------
    n_features, n_dimensions : int
        Of the features, and of the vector.

    Shapes
    ------
    (batch, n_features), (batch, n_dimensions) -> (batch, n_features)

    References
    ----------
    E. Perez et al., "FiLM: Visual Reasoning with a General Conditioning Layer", AAAI 2018, eq. 2,
    https://arxiv.org/abs/1709.07871
    """

    def __init__(self, n_features: int, n_dimensions: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(n_dimensions, n_features)
        self.changes = nn.Linear(n_features, 2 * n_features)
        nn.init.zeros_(self.changes.weight)
        nn.init.zeros_(self.changes.bias)

    def forward(self, features: Tensor, vector: Tensor) -> Tensor:
        scale, shift = self.changes(torch.relu(self.hidden(vector))).chunk(2, dim=1)
        return features * (1 + scale) + shift


class Concatenation(nn.Module):
    """Features beside the vector, brought back to their number by a layer; added to the features.

    Parameters
    ----------
    n_features, n_dimensions : int
        Of the features, and of the vector.

    Shapes
    ------
    (batch, n_features), (batch, n_dimensions) -> (batch, n_features)
    """

    def __init__(self, n_features: int, n_dimensions: int) -> None:
        super().__init__()
        self.both = nn.Linear(n_features + n_dimensions, n_features)

    def forward(self, features: Tensor, vector: Tensor) -> Tensor:
        return features + torch.relu(self.both(torch.cat([features, vector], dim=1)))


CLAIMS: dict[str, type[FiLM] | type[Concatenation]] = {"film": FiLM, "concatenation": Concatenation}
