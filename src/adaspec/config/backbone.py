"""Section backbone: spectrogram to logits."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from adaspec.config.renamed import renamed
from adaspec.config.types import Fraction, Section, Switch, Text

__all__ = ["AstConfig", "BackboneConfig", "ResnetConfig", "TimmConfig"]


class ResnetConfig(Section):
    """The small residual network; read where backbone.name is resnet."""

    widths: Annotated[tuple[Annotated[int, Field(ge=1, le=4096, strict=True)], ...], Field(min_length=1, max_length=8)]
    """Channels, a block each; [16, 32, 64, 128] are 0.31 M parameters."""
    stem_block: Switch
    """false = no block of the first width: a quarter less time, nearly all weights."""


class AstConfig(Section):
    """Audio Spectrogram Transformer; read where backbone.name is ast. 768 wide, 3 deep, 6 heads is the original."""

    stem: Literal["patches", "convolutions"]
    """One strided convolution, or three of 3x3 with a stride of 8 in all."""
    patch_size: Annotated[int, Field(ge=2, le=64, strict=True)]
    """Bands and frames of a patch; the stem `patches` only."""
    patch_stride: Annotated[int, Field(ge=1, le=64, strict=True)]
    """Below patch_size, patches overlap."""
    embed_dim: Annotated[int, Field(ge=8, le=4096, strict=True)]
    """Width, a multiple of num_heads."""
    depth: Annotated[int, Field(ge=1, le=64, strict=True)]
    """Number of blocks."""
    num_heads: Annotated[int, Field(ge=1, le=64, strict=True)]
    """Attention heads."""
    pooling: Literal["cls", "mean"]
    """What is classified: a token of its own, or the mean of the patches."""
    patch_dropout: Fraction
    """Share of patches that are left out in training."""


class TimmConfig(Section):
    """Any image backbone of the timm library; read where backbone.name is timm:NAME."""

    pretrained: Switch
    """Start from weights of timm's hub, or of `weights`."""
    weights: Text | None
    """The absolute path of a .safetensors file in place of the hub's."""
    freeze: Switch
    """Train the head and the first convolution only."""

    @field_validator("weights")
    @classmethod
    def _check_weights(cls, weights: str | None) -> str | None:
        if weights is not None and not (weights.startswith("/") and weights.endswith(".safetensors")):
            raise ValueError(f"{weights!r} must be the absolute path of a .safetensors file")
        return weights


class BackboneConfig(Section):
    """Spectrogram to logits."""

    normalize: Literal["none", "level", "band"]
    """What is subtracted from a window's compressed spectrogram first: nothing; its mean, so that a logarithmic one
    does not depend on the level; or the mean of each band, so that it does not depend on a channel's gains either."""
    name: Text
    """cnn (two layers), resnet (small), resnet18, ast, or timm:NAME, such as timm:resnet18."""
    head: Literal["linear", "one_class"]
    """one_class: for anti-spoofing, with train.loss.name: oc_softmax."""
    claim: Literal["none", "film", "concatenation"]
    """How a detector of spoofed speech takes the claimed speaker's vector into account, before the head: not at all, as
    a scale and shift of each feature, or beside the features. Needs speaker.source."""
    members: Annotated[int, Field(ge=1, le=64, strict=True)]
    """Networks that are trained side by side and averaged, each from other initial weights."""
    dropout: Fraction
    """Before the head; of a transformer also in its blocks."""
    resnet: ResnetConfig
    ast: AstConfig
    timm: TimmConfig

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        if new := renamed(f"backbone.name={name}"):
            raise ValueError(f"{name} is now called {new}")
        return name

    @property
    def timm_name(self) -> str | None:
        """What timm calls the backbone, if it is one of timm's."""
        prefix, colon, name = self.name.partition(":")
        return name if colon and prefix == "timm" else None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.timm_name is not None and self.timm.freeze and not self.timm.pretrained:
            raise ValueError("timm.freeze=true would keep random weights; set timm.pretrained=true, or freeze=false")
        if self.timm_name is not None and self.claim != "none":
            raise ValueError(
                f"claim={self.claim} is not for name={self.name}, which brings a head of its own; set none"
            )
        if self.timm_name is not None and self.head != "linear":
            raise ValueError(
                f"head={self.head} is not for name={self.name}, which brings a head of its own; set linear"
            )
        return self
