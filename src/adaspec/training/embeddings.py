"""What the heads of a backbone take, for losses of where clips lie."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from adaspec.backbones import Ensemble
from adaspec.errors import InputError

__all__ = ["head_inputs"]


@contextmanager
def head_inputs(backbone: nn.Module) -> Iterator[list[Tensor]]:
    """Note, within the block, the embeddings (batch, num_features) that a head takes, or each member's of an ensemble.

    Parameters
    ----------
    backbone : nn.Module
        As `build_backbone` makes it.

    Raises
    ------
    InputError
        It has several heads, as some of timm's have.
    """
    members = list(backbone.members) if isinstance(backbone, Ensemble) else [backbone]
    heads = [member.head for member in members]
    noted: list[Tensor] = []

    def note(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        noted.append(inputs[0].flatten(1))  # some of timm's heads are convolutions

    if not all(isinstance(head, nn.Module) for head in heads):
        raise InputError("this backbone has several heads, which train.loss.contrast does not know; set it to 0")
    handles = [head.register_forward_pre_hook(note) for head in heads]  # type: ignore[union-attr]
    try:
        yield noted
    finally:
        for handle in handles:
            handle.remove()
