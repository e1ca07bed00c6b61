"""What the heads of a backbone take, for losses of where clips lie."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from adaspec.backbones import Ensemble

__all__ = ["head_inputs"]


@contextmanager
def head_inputs(backbone: nn.Module) -> Iterator[list[Tensor]]:
    """Note, within the block, the embeddings (batch, num_features) that a head takes, or each member's of an ensemble.

    Parameters
    ----------
    backbone : nn.Module
        As `build_backbone` makes it.
    """
    members = list(backbone.members) if isinstance(backbone, Ensemble) else [backbone]
    noted: list[Tensor] = []
    handles = [
        member.head.register_forward_pre_hook(lambda _, inputs: noted.append(inputs[0]))  # type: ignore[union-attr]
        for member in members
    ]
    try:
        yield noted
    finally:
        for handle in handles:
            handle.remove()
