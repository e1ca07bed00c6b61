"""Consistency: a clip and its changed copy should be taken for the same."""

from __future__ import annotations

from torch import Tensor

__all__ = ["disagreement"]


def disagreement(logits: Tensor) -> Tensor:
    """Mean Jensen-Shannon divergence between what is said of windows and of their partners, in nats: 0 to ln 2.

    Parameters
    ----------
    logits : Tensor of shape (n_members, 2 * batch, n_classes)
        The second half are the partners of the first, in its order.

    References
    ----------
    D. Hendrycks et al., "AugMix: A Simple Data Processing Method to Improve Robustness and Uncertainty", ICLR 2020,
    section 3 (of a clip and one copy), https://arxiv.org/abs/1912.02781
    """
    first, second = logits.float().log_softmax(dim=-1).chunk(2, dim=1)
    mixture = ((first.exp() + second.exp()) / 2).clamp_min(1e-12).log()
    divergences = [(one.exp() * (one - mixture)).sum(dim=-1) for one in (first, second)]
    return (divergences[0] + divergences[1]).mean() / 2
