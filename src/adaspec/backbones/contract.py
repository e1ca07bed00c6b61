"""What every backbone offers, after timm's convention: features, their number, and a head."""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["Backbone"]


class Backbone(nn.Module):
    """Spectrogram (batch, n_channels, n_features, n_frames) -> logits (batch, n_classes).

    A backbone makes its layers, then calls `finish`, and defines `forward_features`.

    Attributes
    ----------
    num_features : int
        Width of what `forward_features` returns and the head takes.
    dropout, head : nn.Module
        `forward` is `head(dropout(forward_features(spectrogram)))`.
    """

    num_features: int
    dropout: nn.Module
    head: nn.Module

    def finish(self, num_features: int, dropout: float, n_classes: int) -> None:
        """Add dropout and a linear head."""
        self.num_features = num_features
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(num_features, n_classes)

    def forward_features(self, spectrogram: Tensor) -> Tensor:
        """From spectrograms to (batch, num_features)."""
        raise NotImplementedError

    def forward(self, spectrogram: Tensor) -> Tensor:
        return self.head(self.dropout(self.forward_features(spectrogram)))
