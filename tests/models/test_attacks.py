import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from toydata import small_config

from adaspec.features.representation import Waveform
from adaspec.models.attacks import (
    Objective,
    alarm,
    cross_entropy_of,
    noise,
    one_step,
    perturbed,
    pgd,
    universal,
)
from adaspec.models.classifier import AudioClassifier
from adaspec.models.scoring import probabilities

RATE, N_SAMPLES = 8000, 1600
LABELS = ["low", "high"]


class Balance(nn.Module):
    """Whether the lower or the upper half of the bands is louder."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([[2.0], [-2.0]]))

    def forward(self, spectrogram: Tensor) -> Tensor:
        low, high = spectrogram.mean(dim=(1, 3)).chunk(2, dim=1)
        return (low.mean(dim=1) - high.mean(dim=1))[:, None] @ self.weight.T


class Quantised(nn.Module):
    """Front of a model whose gradient is 0 nearly everywhere: the sound in steps."""

    def __init__(self, frontend: nn.Module) -> None:
        super().__init__()
        self.frontend, self.compress = frontend, frontend.compress

    def spectrogram(self, waveform: Tensor) -> Tensor:
        return self.frontend.spectrogram((waveform * 512).round() / 512)


@pytest.fixture
def model() -> AudioClassifier:
    built = AudioClassifier(small_config(Path("raw"), **{"backbone.name": "cnn"}), LABELS)
    built.backbone = Balance()
    return built.eval()


def clips(n_clips: int, seed: int = 1) -> tuple[Tensor, Tensor]:
    """Tones in noise, low and high by turns, and their classes."""
    random = torch.Generator().manual_seed(seed)
    classes = torch.arange(n_clips) % 2
    hz = torch.where(classes == 0, 400.0, 2800.0)[:, None] * (0.9 + 0.2 * torch.rand(n_clips, 1, generator=random))
    phase = 2 * math.pi * torch.rand(n_clips, 1, generator=random)
    tones = torch.sin(2 * math.pi * hz * torch.arange(N_SAMPLES) / RATE + phase)
    return 0.3 * tones + 0.02 * torch.randn(n_clips, N_SAMPLES, generator=random), classes


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def snr_of(waveforms: Tensor, changed: Tensor) -> Tensor:
    energy, of_change = (values.double().square().sum(dim=1) for values in (waveforms, changed - waveforms))
    return 10 * (energy / of_change).log10()


Attack = Callable[[Objective, Tensor, float, torch.Generator], Tensor]
ATTACKS: dict[str, Attack] = {
    "pgd": lambda objective, waveforms, snr_db, generator: pgd(objective, waveforms, snr_db, 5, generator),
    "one_step": one_step,
    "noise": lambda objective, waveforms, snr_db, generator: noise(waveforms, snr_db, generator),
}
EVERY = pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())


@EVERY
@pytest.mark.parametrize("snr_db", [-5.0, 10.0, 40.0])
def test_change_keeps_to_the_ratio_at_every_level(model: AudioClassifier, attack: Attack, snr_db: float) -> None:
    waveforms, classes = clips(6)
    waveforms = waveforms * torch.logspace(-6, 2, 6)[:, None]
    found = snr_of(waveforms, attack(cross_entropy_of(model, classes), waveforms, snr_db, seeded()))
    assert (found > snr_db - 1e-2).all()
    if attack is ATTACKS["noise"]:
        assert (found < snr_db + 1e-2).all()


@EVERY
def test_silence_cannot_be_changed(model: AudioClassifier, attack: Attack) -> None:
    waveforms, classes = clips(3)
    waveforms[1] = 0
    found = attack(cross_entropy_of(model, classes), waveforms, 10.0, seeded())
    assert found.isfinite().all()
    assert torch.equal(found.eq(waveforms).all(dim=1), torch.tensor([False, True, False]))


@EVERY
def test_generator_alone_decides_the_attack(model: AudioClassifier, attack: Attack) -> None:
    waveforms, classes = clips(3)
    before = torch.get_rng_state()
    first, again, other = (
        attack(cross_entropy_of(model, classes), waveforms, 10.0, seeded(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_gradients_find_more_than_noise_and_more_steps_find_more(model: AudioClassifier) -> None:
    waveforms, classes = clips(8)
    objective = cross_entropy_of(model, classes)
    changed = [
        noise(waveforms, 25.0, seeded()),
        one_step(objective, waveforms, 25.0, seeded()),
        pgd(objective, waveforms, 25.0, 20, seeded()),
    ]
    by_noise, by_one_step, by_many = (model(each).softmax(dim=1).gather(1, classes[:, None]) for each in changed)
    assert (by_one_step < by_noise).all()
    assert (by_many < by_one_step).all()


def test_pgd_returns_the_worst_of_the_places_that_it_saw() -> None:
    waveforms, _ = clips(4)
    seen = []

    def objective(inputs: Tensor) -> Tensor:
        losses = (40 * (inputs - waveforms)[:, :50]).sum(dim=1).sin()  # steps lead from hill to hill
        seen.append(losses.detach())
        return losses

    found = pgd(objective, waveforms, 0.0, 6, seeded())
    assert len(seen) == 7
    highest = torch.stack(seen).amax(dim=0)
    assert not torch.equal(highest, seen[-1])
    torch.testing.assert_close(objective(found), highest, rtol=0, atol=1e-3)


@pytest.mark.parametrize("n", [0, -1])
def test_attacks_refuse_no_steps(model: AudioClassifier, n: int) -> None:
    waveforms, classes = clips(2)
    objective = cross_entropy_of(model, classes)
    with pytest.raises(ValueError, match=f"n_steps must be at least 1, got {n}"):
        pgd(objective, waveforms, 10.0, n, seeded())
    with pytest.raises(ValueError, match=f"n_epochs must be at least 1, got {n}"):
        universal([(waveforms, objective)], 10.0, n, seeded())


@pytest.mark.parametrize("members", [1, 2])
def test_objective_is_the_cross_entropy_of_what_is_predicted(members: int) -> None:
    config = small_config(Path("raw"), **{"backbone.name": "cnn", "backbone.members": members})
    model = AudioClassifier(config, LABELS).eval()
    stored = (clips(4)[0] * 32768).short()
    own = probabilities(model, stored, Waveform()).log()
    waveforms, classes = Waveform().decode(stored), torch.tensor([0, 1, 1, 0])
    torch.testing.assert_close(cross_entropy_of(model, classes)(waveforms), -own.gather(1, classes[:, None])[:, 0])
    shares = torch.tensor([[0.3, 0.7]]).expand(4, 2)
    torch.testing.assert_close(cross_entropy_of(model, shares)(waveforms), -(own * shares).sum(dim=1))


def test_attack_leaves_a_model_in_training_as_it_was() -> None:
    knobs = {"frontend.learn_window": True, "backbone.dropout": 0.5}
    model = AudioClassifier(small_config(Path("raw"), **knobs), LABELS).train()
    next(model.backbone.children()).eval()
    next(model.backbone.parameters()).requires_grad_(False)

    def state() -> tuple[list[bool], list[bool], list[Tensor]]:
        modes = [module.training for module in model.modules()]
        tensors = [tensor.clone() for tensor in model.state_dict().values()]
        return modes, [parameter.requires_grad for parameter in model.parameters()], tensors

    before = state()
    waveforms, classes = clips(4)
    changed = pgd(cross_entropy_of(model, classes), waveforms, 10.0, 2, seeded())
    assert not changed.requires_grad
    assert state()[:2] == before[:2]
    assert all(torch.equal(*pair) for pair in zip(state()[2], before[2], strict=True))
    assert all(parameter.grad is None for parameter in model.parameters())
    with pytest.raises(ValueError, match="waveform must have shape"):
        cross_entropy_of(model, classes)(waveforms[:, :0])
    assert state()[:2] == before[:2]


def test_universal_perturbation_fits_windows_that_it_has_not_seen(model: AudioClassifier) -> None:
    waveforms, classes = clips(24)
    batches = [
        (part, cross_entropy_of(model, own)) for part, own in zip(waveforms.split(8), classes.split(8), strict=True)
    ]
    found, again = (universal(batches, 20.0, 4, seeded()) for _ in range(2))
    assert torch.equal(found, again)
    assert found.shape == (N_SAMPLES,)
    assert float(found.square().sum()) == pytest.approx(1, rel=1e-5)
    unseen, own = clips(20, seed=9)
    changed = perturbed(unseen, found, 20.0)
    torch.testing.assert_close(snr_of(unseen, changed), torch.full((20,), 20.0).double(), rtol=0, atol=1e-3)
    objective = cross_entropy_of(model, own)
    assert objective(changed).mean() > objective(noise(unseen, 20.0, seeded())).mean()
    torch.testing.assert_close(perturbed(unseen, 1e-9 * found.expand(20, -1), 20.0), changed)


def test_alarm_is_raised_where_gradients_are_masked(model: AudioClassifier) -> None:
    waveforms, classes = clips(16)

    def raised() -> str | None:
        objective = cross_entropy_of(model, classes)
        attacked, noisy = pgd(objective, waveforms, 20.0, 5, seeded(1)), noise(waveforms, 20.0, seeded(2))
        return alarm(objective(attacked), objective(noisy))

    assert raised() is None
    model.frontend = Quantised(model.frontend)
    line = raised()
    assert line is not None
    assert line.startswith("the gradient attack is weaker than random noise of the same energy for 1")
    assert "\n" not in line


@pytest.mark.parametrize(
    ("n_weaker", "n_stronger", "is_raised"),
    [(0, 0, False), (6, 0, False), (7, 0, True), (9, 1, False), (40, 15, True), (15, 40, False)],
)
def test_alarm_allows_for_chance(n_weaker: int, n_stronger: int, is_raised: bool) -> None:
    """One-sided p of 6 in 6 is 0.016, of 7 in 7 0.008, of 9 in 10 0.011; clips that do not differ do not count."""
    attacked = torch.tensor([0.0] * n_weaker + [1.0] * n_stronger + [1.0] * 30)
    noisy = torch.tensor([1.0] * n_weaker + [0.0] * n_stronger + [1.0] * 30)
    assert (alarm(attacked, noisy) is not None) == is_raised
