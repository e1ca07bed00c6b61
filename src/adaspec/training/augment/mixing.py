"""Two clips at once, and their targets in the same shares."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from adaspec.config import MixConfig
from adaspec.training.augment.sounds import Sound, uniform

__all__ = ["MIXES", "mix"]


def mix(inputs: Tensor, targets: Tensor, sound: Sound, config: MixConfig) -> tuple[Tensor, Tensor]:
    """Blend clips and their targets with others of the batch by Beta(alpha, alpha).

    References
    ----------
    mixup: H. Zhang et al., ICLR 2018, eq. 1, https://arxiv.org/abs/1710.09412; between-class: Y. Tokozume et al.,
    "Learning from Between-class Examples for Deep Sound Recognition", ICLR 2018, eq. 2 (here the sound level is the
    root mean square), https://arxiv.org/abs/1711.10282
    """
    n_clips, way = len(inputs), MIXES[config.name]
    # torch's Beta sampler checks its arguments on every call; two gammas give the same distribution without.
    gammas = torch._standard_gamma(torch.full((2, n_clips), config.alpha, device=inputs.device))
    share = (gammas[0] / gammas.sum(dim=0)).nan_to_num(0.5)  # tiny alpha: both gammas may underflow
    mixed = uniform(inputs, 0, 1) < config.probability
    partner = way.partner(targets)
    # With itself a sound is not mixed: its powers would add up as if they were another's.
    share = torch.where(mixed & (partner != torch.arange(n_clips, device=inputs.device)), share, 1.0)
    own, other = way.factors(share, partner, inputs, sound)
    blend = sound.together(sound.amplify(inputs, own), sound.amplify(inputs[partner], other))
    return blend, torch.lerp(targets[partner], targets, share[:, None])


def _anyone(targets: Tensor) -> Tensor:
    """Pair each clip with one of the batch."""
    return torch.randperm(len(targets), device=targets.device)


def _of_another_class(targets: Tensor) -> Tensor:
    """Pair each clip with one that has no class in common with it, where there is one."""
    draws = torch.rand(len(targets), len(targets), device=targets.device)
    return draws.masked_fill(targets @ targets.T > 0, -1).argmax(dim=1)


def _as_drawn(share: Tensor, partner: Tensor, inputs: Tensor, sound: Sound) -> tuple[Tensor, Tensor]:
    return share, 1 - share


def _as_heard(share: Tensor, partner: Tensor, inputs: Tensor, sound: Sound) -> tuple[Tensor, Tensor]:
    level = sound.level(inputs) + 1e-9
    heard = share * level[partner]
    heard = heard / (heard + (1 - share) * level)
    norm = (heard.square() + (1 - heard).square()).sqrt()
    return heard / norm, (1 - heard) / norm


class Mix(NamedTuple):
    """A way to mix.

    Attributes
    ----------
    partner : callable
        From targets (batch, n_classes) to whom each clip is mixed with: (batch,).
    factors : callable
        From each clip's share, its partner, inputs and their arithmetic to the factors of its sound and of the other.
    """

    partner: Callable[[Tensor], Tensor]
    factors: Callable[[Tensor, Tensor, Tensor, Sound], tuple[Tensor, Tensor]]


MIXES = {"mixup": Mix(_anyone, _as_drawn), "between_class": Mix(_of_another_class, _as_heard)}
