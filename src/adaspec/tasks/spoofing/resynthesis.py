"""Spoofed speech out of bona fide speech: what vocoders, converters and concatenation leave behind, made on the fly.

A detector that has seen a handful of attacks learns those; here every batch shows it other ones. Each method takes
speech apart as a family of synthesisers does (magnitudes without their phases, envelope and excitation, sinusoids,
units) and puts it together again with the loss that is typical of the family, by random parameters.

References
----------
training on vocoded bona fide speech: X. Wang and J. Yamagishi, "Spoofed training data for speech spoofing
countermeasure can be efficiently created using neural vocoders", ICASSP 2023, https://arxiv.org/abs/2210.10570
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from adaspec.tables.labels import BONAFIDE, SPOOF
from adaspec.tasks.spoofing.methods import METHODS, random_whole

__all__ = ["replace_spoofs", "resynthesize"]

GROUP = 4  # clips that get one method and its parameters


def replace_spoofs(
    waveforms: Tensor, labels: Tensor, names: Sequence[str], share: float, sample_rate: int
) -> tuple[Tensor, Tensor]:
    """Put re-synthesised bona fide clips of the batch in the place of spoofed ones.

    Parameters
    ----------
    waveforms : Tensor of shape (batch, n_samples)
    labels : Tensor of shape (batch,)
        Class indices.
    names : sequence of str
        Labels of the classes: bonafide and spoof.
    share : float
        Chance of each spoofed clip to be replaced; nothing happens in a batch without bona fide clips.
    sample_rate : int
        In Hz.

    Returns
    -------
    waveforms : Tensor of shape (batch, n_samples)
    sources : Tensor of shape (batch,)
        Position in the batch of the clip that each was made of.
    """
    kept = torch.arange(len(waveforms), device=waveforms.device)
    bonafide = (labels == names.index(BONAFIDE)).nonzero()[:, 0]
    spoofed = (labels == names.index(SPOOF)).nonzero()[:, 0]
    replaced = spoofed[torch.rand(len(spoofed), device=labels.device) < share]
    if not len(bonafide) or not len(replaced):
        return waveforms, kept
    sources = bonafide[torch.randint(len(bonafide), (len(replaced),), device=labels.device)]
    changed = waveforms.index_copy(0, replaced, resynthesize(waveforms[sources], sample_rate))
    return changed, kept.index_copy(0, replaced, sources)


def resynthesize(waveforms: Tensor, sample_rate: int) -> Tensor:
    """Take clips apart and put them together again, a random method for every few of them.

    Parameters
    ----------
    waveforms : Tensor of shape (batch, n_samples)
    sample_rate : int
        In Hz.

    Returns
    -------
    Tensor of shape (batch, n_samples)
        At the level of the original clips.
    """
    made, methods = [], list(METHODS.values())
    for group in torch.split(waveforms, GROUP):
        method = methods[random_whole(0, len(methods) - 1)]
        made.append(method(group, sample_rate).nan_to_num(0.0))
    result = torch.cat(made)
    level = waveforms.square().mean(dim=1, keepdim=True).sqrt()
    return result * level / (result.square().mean(dim=1, keepdim=True).sqrt() + 1e-9)
