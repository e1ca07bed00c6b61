"""Losses on soft targets, as mixing and label smoothing make them."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from adaspec.config import LossConfig

__all__ = ["LOSSES", "binary_cross_entropy", "cross_entropy", "focal", "smoothed"]


def smoothed(targets: Tensor, smoothing: float) -> Tensor:
    """Spread a share of each target (batch, n_classes) evenly over all classes.

    References
    ----------
    C. Szegedy et al., "Rethinking the Inception Architecture", CVPR 2016, section 7
    """
    return targets * (1 - smoothing) + smoothing / targets.shape[1]


def cross_entropy(logits: Tensor, targets: Tensor, class_weight: Tensor, config: LossConfig) -> Tensor:
    """Mean over the batch of -sum_c w_c t_c log p_c.

    Parameters
    ----------
    logits : Tensor of shape (batch, n_classes)
    targets : Tensor of shape (batch, n_classes)
        Probabilities; `label_smoothing` of each is spread evenly over all classes.
    class_weight : Tensor of shape (n_classes,)
    config : LossConfig
    """
    return nn.functional.cross_entropy(logits, targets, weight=class_weight, label_smoothing=config.label_smoothing)


def focal(logits: Tensor, targets: Tensor, class_weight: Tensor, config: LossConfig) -> Tensor:
    """Mean over the batch of -sum_c w_c t_c (1 - p_c)^gamma log p_c; the parameters are those of `cross_entropy`.

    References
    ----------
    T.-Y. Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, eq. 4, https://arxiv.org/abs/1708.02002
    """
    targets = smoothed(targets, config.label_smoothing)
    log_probabilities = logits.log_softmax(dim=1)
    hardness = (1 - log_probabilities.exp()).clamp_min(1e-7) ** config.focal_gamma  # finite gradient at 0
    return -(class_weight * targets * hardness * log_probabilities).sum(dim=1).mean()


def binary_cross_entropy(logits: Tensor, targets: Tensor, class_weight: Tensor, config: LossConfig) -> Tensor:
    """Mean over the batch of -w sum_c [t_c log s_c + (1 - t_c) log(1 - s_c)], w = sum_c w_c t_c.

    s_c is the sigmoid of logit c: every class is asked about by itself, so that a mixture of two sounds may be
    both. Probabilities of a trained model are the softmax of its logits, as with the other losses. The parameters are
    those of `cross_entropy`.

    References
    ----------
    A. Gazneli et al., "End-to-End Audio Strikes Back: Boosting Augmentations Towards An Efficient Audio Classification
    Network", 2022, https://arxiv.org/abs/2204.11479
    """
    targets = smoothed(targets, config.label_smoothing)
    each = nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction="none").sum(dim=1)
    return (each * (targets * class_weight).sum(dim=1)).mean()  # `@` would be rounded under autocast


LOSSES: dict[str, Callable[[Tensor, Tensor, Tensor, LossConfig], Tensor]] = {
    "binary_cross_entropy": binary_cross_entropy,
    "cross_entropy": cross_entropy,
    "focal": focal,
}
