"""The parts of a layer that can be learned: modules that declare the learning rates of their parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor, nn

from adaspec.frontends.stft.portions import Transform

__all__ = ["Switch", "rates_of", "transforms"]


class _Switched(Protocol):
    def switch(self, part: str, on: bool) -> None: ...


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


def transforms(
    windows: Tensor, kernels: Tensor | None, blocks: Tensor | None, mel: Tensor | None
) -> list[list[Transform]]:
    """Transforms, and of each as many as it has groups of bands.

    Parameters
    ----------
    windows : Tensor of shape (n_transforms, n_groups, n_fft)
    kernels, blocks, mel : Tensor of shape (n_transforms, ...) or None
        As of `Transform`; bands are divided among the groups, neighbours together, as evenly as can be.
    """
    found = []
    for position, groups in enumerate(windows):
        n_groups = len(groups)
        matrix, after = (None if each is None else each[position] for each in (kernels, blocks))
        bands: Sequence[Tensor | None] = [None] * n_groups if mel is None else mel[position].tensor_split(n_groups, -1)
        found.append([Transform(window, matrix, after, part) for window, part in zip(groups, bands, strict=True)])
    return found
