"""Two clips at once, and their targets in the same shares."""

from __future__ import annotations

import torch
from torch import Tensor

from adaspec.config import MixConfig
from adaspec.training.augment.sounds import Sound, uniform

__all__ = ["mix"]


def mix(inputs: Tensor, targets: Tensor, sound: Sound, config: MixConfig) -> tuple[Tensor, Tensor]:
    """Blend clips and their targets with others of the batch by Beta(alpha, alpha).

    References
    ----------
    mixup: H. Zhang et al., ICLR 2018, eq. 1, https://arxiv.org/abs/1710.09412; between-class: Y. Tokozume et al.,
    "Learning from Between-class Examples for Deep Sound Recognition", ICLR 2018, eq. 2 (here the sound level is the
    root mean square), https://arxiv.org/abs/1711.10282
    """
    n_clips = len(inputs)
    # torch's Beta sampler checks its arguments on every call; two gammas give the same distribution without.
    gammas = torch._standard_gamma(torch.full((2, n_clips), config.alpha, device=inputs.device))
    share = (gammas[0] / gammas.sum(dim=0)).nan_to_num(0.5)  # tiny alpha: both gammas may underflow
    mixed = uniform(inputs, 0, 1) < config.probability
    if config.name == "mixup":
        partner = torch.randperm(n_clips, device=inputs.device)
    else:
        draws = torch.rand(n_clips, n_clips, device=inputs.device)
        partner = draws.masked_fill(targets @ targets.T > 0, -1).argmax(dim=1)
    # With itself a sound is not mixed: its powers would add up as if they were another's.
    share = torch.where(mixed & (partner != torch.arange(n_clips, device=inputs.device)), share, 1.0)
    own, other = share, 1 - share
    if config.name == "between_class":
        level = sound.level(inputs) + 1e-9
        heard = share * level[partner]  # so that the share is the one that is heard
        heard = heard / (heard + (1 - share) * level)
        norm = (heard.square() + (1 - heard).square()).sqrt()
        own, other = heard / norm, (1 - heard) / norm
    blend = sound.together(sound.amplify(inputs, own), sound.amplify(inputs[partner], other))
    return blend, torch.lerp(targets[partner], targets, share[:, None])
