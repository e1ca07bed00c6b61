"""The parts of a layer that can be learned: modules that declare the learning rates of their parameters.

Where a part's numbers have a unit it also offers `measures`, as `measures_of` returns them for all parts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from torch import Tensor, nn

from adaspec.frontends.stft.dft import dft_rows
from adaspec.frontends.stft.kernels import Kernels
from adaspec.frontends.stft.portions import Transform

__all__ = ["PARTS", "Switch", "filters_of", "measures_of", "rates_of", "transforms"]

PARTS = ("window", "length", "kernels", "mel", "compression")


class _Switched(Protocol):
    def switch(self, part: str, on: bool) -> None: ...


@runtime_checkable
class _Measured(Protocol):
    def measures(self) -> dict[str, Tensor]: ...


class Switch:
    """Whether a part of a layer is learned: `layer.learn_window` switches `layer.window`."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.part = name.removeprefix("learn_")

    def __get__(self, layer: _Switched, owner: type) -> bool:
        part: nn.Module | None = getattr(layer, self.part)
        return part is not None and any(parameter.requires_grad for parameter in part.parameters())

    def __set__(self, layer: _Switched, on: bool) -> None:
        layer.switch(self.part, on)


def rates_of(layer: nn.Module) -> dict[str, float]:
    """Parameter of a part, by its name in the layer -> its learning rate."""
    found: dict[str, float] = {}
    for name, part in layer.named_children():
        found |= {f"{name}.{own}": rate for own, rate in getattr(part, "rates", {}).items()}
    return found


def measures_of(layer: nn.Module) -> dict[str, dict[str, Tensor]]:
    """What can be learned, in physical units: part -> measure, such as "center_hz" -> values (n_transforms, n)."""
    found = {name: part.measures() for name, part in layer.named_children() if isinstance(part, _Measured)}
    return {name: measures for name, measures in found.items() if measures}


def filters_of(windows: Tensor, kernels: Kernels | None) -> Tensor:
    """Filters (n_channels * n_groups, n_freqs, n_fft), complex, of windows (n_channels, n_groups, n_fft)."""
    if kernels is None:
        return (dft_rows(windows.shape[-1], 0, windows) * windows[:, :, None]).flatten(0, 1)
    return kernels.rows(windows).flatten(0, 1)


def transforms(windows: Tensor, kernels: Kernels | None, mel: Callable[[], Tensor] | None) -> list[list[Transform]]:
    """Tensors of each channel and group of bands, computed anew for every call: none can be out of date.

    Parameters
    ----------
    windows : Tensor of shape (n_channels, n_groups, n_fft)
        Each transform has one channel, or as many as any other.
    kernels, mel : Module or None
        Bands are divided among the groups, neighbours together, as evenly as can be.
    """
    matrices = blocks = None
    if kernels is not None:
        windows, matrices, blocks = kernels(windows)
    weights = None if mel is None else mel().to(windows.dtype)
    found = []
    for position, groups in enumerate(windows):
        n_groups = len(groups)
        matrix, after = (
            None if each is None else each[position * len(each) // len(windows)] for each in (matrices, blocks)
        )
        bands: Sequence[Tensor | None] = (
            [None] * n_groups
            if weights is None
            else weights[position * len(weights) // len(windows)].tensor_split(n_groups, -1)
        )
        found.append([Transform(window, matrix, after, part) for window, part in zip(groups, bands, strict=True)])
    return found
