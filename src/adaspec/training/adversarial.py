"""Adversarial training: every other clip of a batch is changed so that the model, as it is by then, errs more."""

from __future__ import annotations

import torch
from torch import Tensor

from adaspec.models.attacks import cross_entropy_of, one_step
from adaspec.models.classifier import AudioClassifier

__all__ = ["attacked"]

EVERY_OTHER = slice(None, None, 2)  # not a half at one end: changed copies lie behind the clips they are of


def attacked(
    model: AudioClassifier, waveforms: Tensor, targets: Tensor, claimed: Tensor, snr_db: float, seed: int
) -> Tensor:
    """Change every other clip of a batch by one step of gradient ascent from a random start.

    Parameters
    ----------
    model : AudioClassifier
        Attacked as it predicts, through its front end; left as it is.
    waveforms : Tensor of shape (batch, n_samples)
    targets : Tensor of shape (batch, n_classes)
        Probabilities.
    claimed : Tensor of shape (batch, n_claimed)
        Vectors of the claimed speakers; n_claimed may be 0.
    snr_db : float
        Of the largest change.
    seed : int

    Returns
    -------
    Tensor of shape (batch, n_samples)

    References
    ----------
    E. Wong, L. Rice, J. Z. Kolter, "Fast is better than free: Revisiting adversarial training", ICLR 2020, algorithm 3,
    https://arxiv.org/abs/2001.03994
    """
    objective = cross_entropy_of(model, targets[EVERY_OTHER], claimed[EVERY_OTHER])
    found = waveforms.clone()
    found[EVERY_OTHER] = one_step(objective, waveforms[EVERY_OTHER], snr_db, torch.Generator().manual_seed(seed))
    return found
