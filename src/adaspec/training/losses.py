"""Losses on soft targets, as mixing and label smoothing make them."""

from __future__ import annotations

from torch import Tensor, nn

from adaspec.backbones.one_class import MARGIN
from adaspec.config import TrainConfig

__all__ = ["classification_loss"]


def classification_loss(logits: Tensor, targets: Tensor, class_weight: Tensor, config: TrainConfig) -> Tensor:
    """Mean over the batch of cross-entropy, of focal loss or of OC-softmax.

    Focal loss: -sum_c w_c t_c (1 - p_c)^gamma log p_c. OC-softmax, of the logit z of bona fide speech (that of spoofed
    speech is 0) and its margin m: t_bonafide log(1 + e^(m - z)) + t_spoof log(1 + e^(m + z)).

    Parameters
    ----------
    logits : Tensor of shape (batch, n_classes)
    targets : Tensor of shape (batch, n_classes)
        Probabilities; `train.label_smoothing` of each is spread evenly over all classes.
    class_weight : Tensor of shape (n_classes,)
    config : TrainConfig

    References
    ----------
    T.-Y. Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, eq. 4, https://arxiv.org/abs/1708.02002;
    OC-softmax: Y. Zhang et al., "One-Class Learning Towards Synthetic Voice Spoofing Detection", IEEE SPL 28, 2021, eq.
    4, https://arxiv.org/abs/2010.13995; label smoothing: C. Szegedy et al., "Rethinking the Inception Architecture",
    CVPR 2016, section 7
    """
    logits, smoothing = logits.float(), config.label_smoothing
    if config.loss == "cross_entropy":
        return nn.functional.cross_entropy(logits, targets, weight=class_weight, label_smoothing=smoothing)
    targets = targets * (1 - smoothing) + smoothing / targets.shape[1]
    if config.loss == "oc_softmax":
        signed = logits[:, :1] * logits.new_tensor([-1.0, 1.0])
        return (class_weight * targets * nn.functional.softplus(MARGIN + signed)).sum(dim=1).mean()
    log_probabilities = logits.log_softmax(dim=1)
    hardness = (1 - log_probabilities.exp()).clamp_min(1e-7) ** config.focal_gamma  # finite gradient at 0
    return -(class_weight * targets * hardness * log_probabilities).sum(dim=1).mean()
