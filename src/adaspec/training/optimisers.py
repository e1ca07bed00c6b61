"""Optimisers and learning rates."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from adaspec.config import OptimizerConfig, TrainConfig

__all__ = ["OPTIMIZERS", "SCHEDULES", "build_optimizer", "build_schedule", "learning_rate_factor"]

Groups = list[dict[str, Any]]


def _adamw(groups: Groups, config: OptimizerConfig) -> torch.optim.Optimizer:
    return torch.optim.AdamW(groups, lr=config.learning_rate, fused=True)


def _sgd(groups: Groups, config: OptimizerConfig) -> torch.optim.Optimizer:
    return torch.optim.SGD(groups, lr=config.learning_rate, momentum=config.momentum)


def _muon(groups: Groups, config: OptimizerConfig) -> torch.optim.Optimizer:
    from timm.optim.muon import Muon  # here, as it takes two seconds to import

    # The others by NAdamW, which timm also takes for narrow matrices and filters of one input channel.
    for group in groups[1:]:
        group["use_fallback"] = True
    # Three Newton-Schulz steps in place of five: the validation loss is no worse, and the work much less.
    return Muon(groups, lr=config.learning_rate, momentum=config.momentum, nesterov=True, ns_steps=3)


OPTIMIZERS: dict[str, Callable[[Groups, OptimizerConfig], torch.optim.Optimizer]] = {
    "adamw": _adamw,
    "sgd": _sgd,
    "muon": _muon,
}


def build_optimizer(
    backbone: Sequence[nn.Parameter], learned: Mapping[nn.Parameter, float], config: TrainConfig
) -> torch.optim.Optimizer:
    """Build the configured optimiser.

    Parameters
    ----------
    backbone : sequence of Parameter
        Matrices and filters are in the first group, the others, which do not decay, in the second.
    learned : mapping of Parameter to float
        Of the front end, with the learning rate of each: in the groups after these, one for each rate.
    config : TrainConfig
    """
    optimizer = config.optimizer
    groups: Groups = [
        {"params": [each for each in backbone if each.ndim > 1], "weight_decay": optimizer.weight_decay},
        {"params": [each for each in backbone if each.ndim <= 1], "weight_decay": 0.0},
    ]
    for rate in sorted(set(learned.values())):
        params = [parameter for parameter, own in learned.items() if own == rate]
        groups.append({"params": params, "weight_decay": 0.0, "lr": rate * config.frontend.lr_multiplier})
    return OPTIMIZERS[optimizer.name](groups, optimizer)


def _cosine(since: float, n_rest: float, n_epoch_steps: int, gamma: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * since / n_rest))


def _exponential(since: float, n_rest: float, n_epoch_steps: int, gamma: float) -> float:
    return float(gamma ** (since / n_epoch_steps))


# Factors by the steps since the warm-up, those that there are after it, those of an epoch, and gamma.
SCHEDULES: dict[str, Callable[[float, float, int, float], float]] = {"cosine": _cosine, "exponential": _exponential}


def learning_rate_factor(step: int, n_steps: int, n_epoch_steps: int, config: TrainConfig) -> float:
    """Learning rate at `step` over its highest: linear warm-up, then half a cosine to 0, or gamma per epoch.

    Parameters
    ----------
    step, n_steps, n_epoch_steps : int
        Current step, steps in all and per epoch.
    config : TrainConfig
    """
    schedule = config.schedule
    n_warmup = schedule.warmup_fraction * n_steps
    if step < n_warmup:
        return (step + 1) / (n_warmup + 1)
    return SCHEDULES[schedule.name](step - n_warmup, n_steps - n_warmup, n_epoch_steps, schedule.gamma)


def build_schedule(optimizer: torch.optim.Optimizer, n_steps: int, config: TrainConfig) -> LambdaLR:
    """Build the configured schedule over `n_steps` steps."""
    n_epoch_steps = max(1, n_steps // config.epochs)
    return LambdaLR(optimizer, lambda step: learning_rate_factor(step, n_steps, n_epoch_steps, config))
