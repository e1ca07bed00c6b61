"""Compression of a spectrogram to a scale that a network can use: each a module that keeps the shape."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

from torch import nn

from adaspec.frontends.compression.pcen import PCEN
from adaspec.frontends.compression.pointwise import Decibels, Logarithm, Unchanged

__all__ = ["COMPRESSIONS", "PCEN", "Compressed", "Compression", "build_compression", "pcen_settings"]

Compression: TypeAlias = Literal["log10", "log1p", "db", "none", "pcen"]


class Compressed(NamedTuple):
    """What is to be compressed: spectrograms S (batch, n_channels, n_features, n_frames).

    Attributes
    ----------
    n_channels, n_features : int
    frame_rate : float
        Frames per second.
    magnitude : bool
        Whether S holds magnitudes, not powers.
    gamma : float
        Of S, above 0: a logarithm bends at S = 1/gamma, PCEN takes gamma * S.
    """

    n_channels: int
    n_features: int
    frame_rate: float
    magnitude: bool
    gamma: float


COMPRESSIONS: dict[str, Callable[..., nn.Module]] = {
    "log10": lambda of: Logarithm(of.gamma, "10"),
    "log1p": lambda of: Logarithm(of.gamma, "e"),
    "db": lambda of: Decibels(of.gamma, of.magnitude),
    "none": lambda of: Unchanged(),
    "pcen": lambda of, **settings: PCEN(
        n_channels=of.n_channels, n_features=of.n_features, frame_rate=of.frame_rate, scale=of.gamma, **settings
    ),
}


def build_compression(name: Compression, of: Compressed, **settings: Any) -> nn.Module:
    """Build a compression.

    Parameters
    ----------
    name : str
        One of `COMPRESSIONS`.
    of : Compressed
        What it compresses.
    **settings
        Of "pcen": the further arguments of `PCEN`.
    """
    return COMPRESSIONS[name](of, **settings)


def pcen_settings(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of `PCEN`, out of a layer's, which call them pcen_NAME; none where its `compression` is another."""
    if arguments["compression"] != "pcen":
        return {}
    prefix = "pcen_"
    return {name.removeprefix(prefix): value for name, value in arguments.items() if name.startswith(prefix)}
