"""Worst-case changes of waveforms, found by gradients through the front end, and the random noise they must beat.

The size of a change is given as a signal-to-noise ratio in dB: its energy (L2 norm squared) lies that far below the
energy of the clip that it is added to, so that silence cannot be changed at all. Changed clips may leave +-1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TypeAlias

import torch
from scipy.special import bdtr
from torch import Tensor, nn

from adaspec.backbones import combined
from adaspec.models.classifier import AudioClassifier

__all__ = ["Objective", "alarm", "cross_entropy_of", "noise", "one_step", "perturbed", "pgd", "universal"]

Objective: TypeAlias = Callable[[Tensor], Tensor]  # waveforms (batch, n_samples) -> loss (batch,), which is to rise

STEP = 2.5  # radii that all steps together go, as Madry et al. do: from anywhere in the ball to anywhere
ONE_STEP = 1.25  # radii of a single step, as Wong et al. do
MOMENTUM = 0.9  # of a universal perturbation: without, it misleads far fewer windows of ESC-10
MOST_LOSS = 9.0  # of a window in the mean that a universal perturbation raises: cross-entropy has no limit, and a few
# windows that are long since mistaken would decide
P_ALARM = 0.01


def cross_entropy_of(model: AudioClassifier, targets: Tensor, claimed: Tensor | None = None) -> Objective:
    """Cross-entropy of each clip under a model's probabilities, which are the mean of an ensemble's.

    Parameters
    ----------
    model : AudioClassifier
        It is evaluated as it predicts, without dropout, and gets no gradients, whatever its modules are set to.
    targets : Tensor of shape (batch,) or (batch, n_classes)
        Class indices, or probabilities of the classes; where the model computes.
    claimed : Tensor of shape (batch, n_claimed), optional
        Vectors of the claimed speakers, for a model that takes them.

    Returns
    -------
    Objective
    """

    def objective(waveforms: Tensor) -> Tensor:
        with _predicting(model):
            compressed = model.frontend.compress(model.frontend.spectrogram(waveforms))
            logits = combined(model.members(compressed, claimed))
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        return nn.functional.cross_entropy(logits, targets, reduction="none")

    return objective


def perturbed(waveforms: Tensor, perturbation: Tensor, snr_db: float) -> Tensor:
    """Add a perturbation at a signal-to-noise ratio.

    Parameters
    ----------
    waveforms : Tensor of shape (batch, n_samples)
    perturbation : Tensor of shape (n_samples,) or (batch, n_samples)
        Of any energy above 0.
    snr_db : float

    Returns
    -------
    Tensor of shape (batch, n_samples)
    """
    return waveforms + _radius(waveforms, snr_db) * _unit(perturbation.to(waveforms))


def noise(waveforms: Tensor, snr_db: float, generator: torch.Generator) -> Tensor:
    """Add white Gaussian noise at exactly that signal-to-noise ratio: what any attack must beat.

    Parameters
    ----------
    waveforms : Tensor of shape (batch, n_samples)
    snr_db : float
    generator : torch.Generator
        On any device.

    Returns
    -------
    Tensor of shape (batch, n_samples)
    """
    return perturbed(waveforms, _random(waveforms.shape, generator), snr_db)


def pgd(objective: Objective, waveforms: Tensor, snr_db: float, n_steps: int, generator: torch.Generator) -> Tensor:
    """Projected gradient ascent within an L2 ball around each clip, from a random start in it.

    Parameters
    ----------
    objective : Objective
        Each clip's loss must depend on that clip alone.
    waveforms : Tensor of shape (batch, n_samples)
    snr_db : float
        The ball's radius is the norm of noise at this ratio.
    n_steps : int
        Gradients that are computed, at least 1.
    generator : torch.Generator
        On any device.

    Returns
    -------
    Tensor of shape (batch, n_samples)
        Of each clip the place with the highest loss among those that were visited, the start included.

    References
    ----------
    A. Madry et al., "Towards Deep Learning Models Resistant to Adversarial Attacks", ICLR 2018, section 2.1,
    https://arxiv.org/abs/1706.06083
    """
    if n_steps < 1:
        raise ValueError(f"n_steps must be at least 1, got {n_steps}")
    radius = _radius(waveforms, snr_db)
    change = _random_start(waveforms, radius, generator)
    best, highest = change, torch.full_like(waveforms[:, :1], -torch.inf)
    for step in range(n_steps + 1):
        if step < n_steps:
            losses, gradient = _slope(objective, waveforms + change)
        else:
            with torch.no_grad():
                losses = objective(waveforms + change)
        # Of equal losses the last: those of a model that is very sure are all 0, though gradients still lead somewhere.
        higher = losses[:, None] >= highest
        best, highest = torch.where(higher, change, best), torch.where(higher, losses[:, None], highest)
        change = _into_ball(change + STEP / n_steps * radius * _unit(gradient), radius)
    return waveforms + best


def one_step(objective: Objective, waveforms: Tensor, snr_db: float, generator: torch.Generator) -> Tensor:
    """One step of gradient ascent from a random start, wherever it ends within the ball; see `pgd`.

    References
    ----------
    E. Wong, L. Rice, J. Z. Kolter, "Fast is better than free: Revisiting adversarial training", ICLR 2020, section 4,
    https://arxiv.org/abs/2001.03994 (there with the largest change of a pixel in place of the L2 norm)
    """
    radius = _radius(waveforms, snr_db)
    change = _random_start(waveforms, radius, generator)
    _, gradient = _slope(objective, waveforms + change)
    return waveforms + _into_ball(change + ONE_STEP * radius * _unit(gradient), radius)


def universal(
    batches: Sequence[tuple[Tensor, Objective]], snr_db: float, n_epochs: int, generator: torch.Generator
) -> Tensor:
    """One perturbation for all windows, by stochastic gradient ascent on their mean loss, with shrinking steps.

    Parameters
    ----------
    batches : sequence of (Tensor of shape (batch, n_samples), Objective)
        Training windows, all of one length, and the loss of each.
    snr_db : float
        At which it is added to each window; see `perturbed`.
    n_epochs : int
        How often each batch is seen, in random order, at least 1.
    generator : torch.Generator
        On any device.

    Returns
    -------
    Tensor of shape (n_samples,)
        Of energy 1.

    References
    ----------
    S.-M. Moosavi-Dezfooli et al., "Universal adversarial perturbations", CVPR 2017, https://arxiv.org/abs/1610.08401;
    A. Shafahi et al., "Universal Adversarial Training", AAAI 2020, algorithm 2, https://arxiv.org/abs/1811.11304; with
    momentum as Y. Dong et al., "Boosting Adversarial Attacks with Momentum", CVPR 2018, https://arxiv.org/abs/1710.06081
    """
    if n_epochs < 1:
        raise ValueError(f"n_epochs must be at least 1, got {n_epochs}")
    waveforms = batches[0][0]
    found = _unit(_random(waveforms.shape[1:], generator).to(waveforms))
    direction, n_steps, step = torch.zeros_like(found), n_epochs * len(batches), 0
    for _ in range(n_epochs):
        for index in torch.randperm(len(batches), generator=generator, device=generator.device).tolist():
            waveforms, objective = batches[index]
            _, gradient = _slope(partial(_added, waveforms, objective, snr_db), found)
            direction = MOMENTUM * direction + _unit(gradient)
            found = _unit(found + (1 - step / n_steps) * _unit(direction))
            step += 1
    return found


def _added(waveforms: Tensor, objective: Objective, snr_db: float, perturbation: Tensor) -> Tensor:
    """Limited losses of waveforms with one perturbation for all."""
    return objective(perturbed(waveforms, perturbation, snr_db)).clamp_max(MOST_LOSS)


def alarm(attacked: Tensor, noisy: Tensor) -> str | None:
    """Say so where an attack is weaker than random noise of the same energy, which means that gradients are masked.

    A model whose gradients vanish, or point anywhere, seems robust against gradient attacks and is not.

    Parameters
    ----------
    attacked, noisy : Tensor of shape (n_clips,)
        Of the same clips under the attack and under noise: their losses, or 1 where the prediction is wrong and 0 where
        it is right. Higher is worse for the model. Losses tell more.

    Returns
    -------
    str or None
        One line; None where the attack is as strong as noise, or weaker by no more than chance: a one-sided sign test
        over clips that differ, p < 0.01 (for errors this is McNemar's exact test).

    References
    ----------
    A. Athalye, N. Carlini, D. Wagner, "Obfuscated Gradients Give a False Sense of Security", ICML 2018, section 3.1,
    https://arxiv.org/abs/1802.00420
    """
    n_weaker, n_stronger = int((attacked < noisy).sum()), int((attacked > noisy).sum())
    n = n_weaker + n_stronger
    p = float(bdtr(n_stronger, n, 0.5))
    if p >= P_ALARM:
        return None
    return (
        f"the gradient attack is weaker than random noise of the same energy for {n_weaker} of {n} clips that differ "
        f"(p = {p:.1g}): gradients are masked, and accuracy under this attack says nothing about robustness"
    )


@contextmanager
def _predicting(model: nn.Module) -> Iterator[None]:
    """Let a model be as it predicts and its parameters ask for no gradients; afterwards all is as it was."""
    modes = [(module, module.training) for module in model.modules()]
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    try:
        for module, _ in modes:
            module.training = False
        for parameter in learned:
            parameter.requires_grad_(False)
        yield
    finally:
        for module, training in modes:
            module.training = training
        for parameter in learned:
            parameter.requires_grad_(True)


def _slope(objective: Objective, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Losses, and the gradient of their sum."""
    with torch.enable_grad():
        inputs = inputs.detach().requires_grad_()
        losses = objective(inputs)
        (gradient,) = torch.autograd.grad(losses.sum(), inputs)
    return losses.detach(), gradient


def _radius(waveforms: Tensor, snr_db: float) -> Tensor:
    """Norm of a change at that ratio: (batch, 1)."""
    return torch.linalg.vector_norm(waveforms, dim=-1, keepdim=True) * 10 ** (-snr_db / 20)


def _unit(vectors: Tensor) -> Tensor:
    """Vectors (..., n_samples) of norm 1; zeros stay."""
    # Twice: squares of tiny numbers would vanish.
    scaled = vectors / vectors.abs().amax(-1, keepdim=True).clamp_min(torch.finfo(vectors.dtype).tiny)
    return nn.functional.normalize(scaled, dim=-1)


def _into_ball(change: Tensor, radius: Tensor) -> Tensor:
    norm = torch.linalg.vector_norm(change, dim=-1, keepdim=True)
    return torch.where(norm > radius, radius * _unit(change), change)


def _random(shape: torch.Size, generator: torch.Generator) -> Tensor:
    return torch.randn(shape, generator=generator, device=generator.device)


def _random_start(waveforms: Tensor, radius: Tensor, generator: torch.Generator) -> Tensor:
    """In a random direction, at a random share of the radius: far more of the ball's volume lies at its surface."""
    direction = _unit(_random(waveforms.shape, generator).to(waveforms))
    share = torch.rand((len(waveforms), 1), generator=generator, device=generator.device).to(waveforms)
    return share * radius * direction
