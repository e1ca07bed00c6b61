import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from toydata import PARAMS

from adaspec.config import Config, LossConfig
from adaspec.tasks.losses import LOSSES
from adaspec.tasks.spoofing.loss import gathered, oc_softmax
from adaspec.tasks.spoofing.task import SpoofingDetection


def config(**knobs: Any) -> LossConfig:
    return LossConfig.model_validate(PARAMS["train"]["loss"] | {"name": "focal", "label_smoothing": 0.0} | knobs)


def classification_loss(logits: Tensor, targets: Tensor, weight: Tensor, loss: LossConfig) -> Tensor:
    return LOSSES[loss.name](logits.float(), targets, weight, loss)


def batch(n_classes: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(7, n_classes, generator=random)
    targets = torch.rand(7, n_classes, generator=random)
    return logits, targets / targets.sum(dim=1, keepdim=True), torch.rand(n_classes, generator=random) + 0.1


@settings(deadline=None)
@given(n_classes=st.integers(2, 6), seed=st.integers(0, 99), smoothing=st.sampled_from([0.0, 0.1, 0.5]))
def test_focal_loss_without_focus_is_cross_entropy(n_classes: int, seed: int, smoothing: float) -> None:
    logits, targets, weight = batch(n_classes, seed)
    focal = classification_loss(logits, targets, weight, config(focal_gamma=0.0, label_smoothing=smoothing))
    entropy = classification_loss(logits, targets, weight, config(name="cross_entropy", label_smoothing=smoothing))
    torch.testing.assert_close(focal, entropy)


def test_focal_loss_by_hand() -> None:
    """A clip with probability 0.8 of its class: (1 - 0.8)^2 * -ln 0.8."""
    logits = torch.tensor([[math.log(0.8), math.log(0.2)]])
    loss = classification_loss(logits, torch.tensor([[1.0, 0.0]]), torch.ones(2), config(focal_gamma=2.0))
    assert float(loss) == pytest.approx(0.04 * -math.log(0.8), rel=1e-5)
    weighted = classification_loss(
        logits, torch.tensor([[1.0, 0.0]]), torch.tensor([3.0, 1.0]), config(focal_gamma=2.0)
    )
    assert float(weighted) == pytest.approx(3 * 0.04 * -math.log(0.8), rel=1e-5)


def test_binary_cross_entropy_by_hand() -> None:
    """Of a mixture both classes may be sure of themselves, which cross-entropy never allows."""
    logits, mixture = torch.tensor([[0.0, math.log(3)]]), torch.tensor([[0.4, 0.6]])  # sigmoids 0.5 and 0.75
    loss = classification_loss(logits, mixture, torch.ones(2), config(name="binary_cross_entropy"))
    assert float(loss) == pytest.approx(math.log(2) - 0.6 * math.log(0.75) - 0.4 * math.log(0.25), rel=1e-5)
    weight = torch.tensor([3.0, 1.0])
    weighted = classification_loss(logits, mixture, weight, config(name="binary_cross_entropy"))
    assert float(weighted) == pytest.approx((3 * 0.4 + 0.6) * float(loss), rel=1e-5)
    smoothing = config(name="binary_cross_entropy", label_smoothing=0.5)  # targets 0.75 and 0.25
    smooth = classification_loss(torch.zeros(1, 2), torch.tensor([[1.0, 0.0]]), weight, smoothing)
    assert float(smooth) == pytest.approx((3 * 0.75 + 0.25) * 2 * math.log(2), rel=1e-5)


def test_focal_loss_looks_away_from_what_is_easy() -> None:
    easy, hard = torch.tensor([[4.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    target, weight = torch.tensor([[1.0, 0.0]]), torch.ones(2)
    shares = []
    for gamma in (0.0, 1.0, 3.0):
        losses = [float(classification_loss(each, target, weight, config(focal_gamma=gamma))) for each in (easy, hard)]
        shares.append(losses[0] / losses[1])
    assert shares == sorted(shares, reverse=True)
    assert shares[2] < 0.01 * shares[0]


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("margin", [0.0, 50.0, 1e4])
def test_losses_have_finite_gradients_where_all_is_certain(gamma: float, margin: float) -> None:
    for loss in LOSSES:
        logits = torch.tensor([[margin, 0.0], [0.0, margin]], requires_grad=True)
        value = classification_loss(logits, torch.eye(2), torch.ones(2), config(name=loss, focal_gamma=gamma))
        value.backward()
        assert value.isfinite()
        assert isinstance(logits.grad, Tensor)
        assert logits.grad.isfinite().all()


def test_losses_of_bf16_logits_are_float32() -> None:
    logits, targets, weight = batch(4)
    for loss in LOSSES:
        assert classification_loss(logits.bfloat16(), targets, weight, config(name=loss)).dtype == torch.float32


@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_losses_of_smoothed_soft_targets_by_hand(gamma: float) -> None:
    """Targets (0.7, 0.3), of which a fifth is spread evenly: (0.66, 0.34)."""
    probabilities, weight = (0.9, 0.1), (1.0, 3.0)
    terms = [
        w * t * (1 - p) ** gamma * -math.log(p) for w, t, p in zip(weight, (0.66, 0.34), probabilities, strict=True)
    ]
    logits, targets = torch.tensor([probabilities]).log() + 5.0, torch.tensor([[0.7, 0.3]])
    knobs = {"focal_gamma": gamma, "label_smoothing": 0.2, "name": "focal" if gamma else "cross_entropy"}
    loss = classification_loss(logits, targets, torch.tensor(weight), config(**knobs))
    assert float(loss) == pytest.approx(sum(terms), rel=1e-5)


def test_losses_are_the_mean_over_the_batch() -> None:
    logits, targets, weight = batch(4)
    for loss in LOSSES:
        each = [
            float(classification_loss(logits[n : n + 1], targets[n : n + 1], weight, config(name=loss)))
            for n in range(len(logits))
        ]
        whole = classification_loss(logits, targets, weight, config(name=loss))
        assert float(whole) == pytest.approx(sum(each) / len(each), rel=1e-5)


def test_oc_softmax_by_hand() -> None:
    """Cosines 0.9 and 0.2 lie on the margins: log 2 each; the paper's exponent is alpha (m0 - s) and alpha (s - m1)."""
    cosines = torch.tensor([0.9, 0.2, 0.5, 0.5])
    logits = torch.stack([20 * (cosines - 0.55), torch.zeros(4)], dim=1)
    targets = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    weight = torch.tensor([2.0, 0.5])
    exponents = [0.0, 0.0, 20 * (0.9 - 0.5), 20 * (0.5 - 0.2)]
    expected = [w * math.log1p(math.exp(e)) for w, e in zip([2.0, 0.5, 2.0, 0.5], exponents, strict=True)]
    found = oc_softmax(logits, targets, weight, config(name="oc_softmax"))
    assert float(found) == pytest.approx(sum(expected) / 4, rel=1e-5)


@settings(deadline=None)
@given(n_clips=st.integers(2, 8), n_features=st.integers(1, 5), seed=st.integers(0, 99))
def test_gathered_is_the_sum_over_pairs_of_bonafide_clips(n_clips: int, n_features: int, seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    embeddings = torch.randn(n_clips, n_features, generator=random, dtype=torch.float64)
    is_bonafide = torch.rand(n_clips, generator=random) < 0.6
    terms = []
    for anchor in range(n_clips):
        cosines = [float(torch.cosine_similarity(embeddings[anchor], other, dim=0)) for other in embeddings]
        others = math.log(sum(math.exp(cosines[clip] / 0.1) for clip in range(n_clips) if clip != anchor))
        pairs = [clip for clip in range(n_clips) if clip != anchor and is_bonafide[clip] and is_bonafide[anchor]]
        terms += [others - cosines[clip] / 0.1 for clip in pairs]
    expected = sum(terms) / max(1, len(terms))
    assert float(gathered(embeddings, is_bonafide)) == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_gathered_pulls_bonafide_clips_together_and_lets_spoofed_ones_be() -> None:
    torch.manual_seed(0)
    embeddings = torch.randn(8, 4, requires_grad=True)
    is_bonafide = torch.tensor([True] * 4 + [False] * 4)
    optimizer = torch.optim.SGD([embeddings], lr=0.5)
    for _ in range(200):
        optimizer.zero_grad()
        gathered(embeddings, is_bonafide).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    cosines = torch.nn.functional.cosine_similarity(embeddings[:, None], embeddings[None], dim=2)
    assert cosines[:4, :4].min() > cosines[:4, 4:].max() + 0.5
    assert cosines[4:, 4:].min() < cosines[:4, :4].min() - 0.2


@pytest.mark.parametrize("n_bonafide", [0, 1])
def test_gathered_of_no_pair_is_nothing(n_bonafide: int) -> None:
    embeddings = torch.randn(4, 3, requires_grad=True)
    loss = gathered(embeddings, torch.arange(4) < n_bonafide)
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == 0
    assert embeddings.grad is not None
    assert embeddings.grad.isfinite().all()


def test_contrast_is_not_rounded_under_bf16() -> None:
    embeddings, targets = torch.randn(16, 64), torch.eye(2)[torch.arange(16) % 2]
    task = SpoofingDetection(["bonafide", "spoof"], Config.model_validate(PARAMS))
    with torch.autocast("cpu", torch.bfloat16):
        rounded = task.contrast(embeddings, targets)
    torch.testing.assert_close(rounded, gathered(embeddings, targets[:, 0] > 0), rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", ["binary_cross_entropy", "cross_entropy", "focal"])
def test_losses_are_not_rounded_under_bf16(name: str) -> None:
    logits, targets, weight = batch(5)
    expected = classification_loss(logits, targets, weight, config(name=name))
    with torch.autocast("cpu", torch.bfloat16):
        rounded = classification_loss(logits, targets, weight, config(name=name))
    torch.testing.assert_close(rounded, expected, rtol=1e-6, atol=0)
