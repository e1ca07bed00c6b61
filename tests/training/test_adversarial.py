from pathlib import Path

import pytest
import torch
from test_module import module_of
from torch import Tensor
from toydata import small_config

from adaspec.features.representation import Waveform
from adaspec.models.attacks import cross_entropy_of, pgd
from adaspec.training.adversarial import attacked
from adaspec.training.module import FoldModule

LEARNING = {"frontend.learn_window": True, "frontend.learn_kernels": True}


def batch() -> tuple[Tensor, Tensor, Tensor]:
    """Waveforms longer than a window, as a time stretch needs them, their classes, and no claims."""
    stored = (torch.randn(5, 1920, generator=torch.Generator().manual_seed(1)) * 8000).short()
    return stored, torch.tensor([0, 1, 0, 1, 0]), torch.zeros(5, 0)


def step(monkeypatch: pytest.MonkeyPatch, batch_index: int = 0, **knobs: object) -> tuple[FoldModule, Tensor, Tensor]:
    """A module before its first step, what the last of its front end's inputs is in it, and what compresses to it."""
    knobs = {"augment.gain_db": 6.0, "augment.time_stretch": 0.2, "augment.time_mask": 4, **LEARNING, **knobs}
    module = module_of(small_config(Path("raw"), **knobs))
    monkeypatch.setattr(FoldModule, "current_epoch", 0)
    inputs, masked = [], []
    spectrogram = module.model.frontend.spectrogram
    monkeypatch.setattr(module.model.frontend, "spectrogram", lambda each: inputs.append(each) or spectrogram(each))
    module.model.backbone.register_forward_pre_hook(lambda _, given: masked.append(given[0].detach()))
    module.training_step(batch(), batch_index).backward()
    return module, inputs[-1], masked[-1]


@pytest.mark.parametrize("backbone", ["cnn", "resnet", "ast"])
def test_half_of_a_batch_is_attacked_and_the_rest_is_as_without(monkeypatch: pytest.MonkeyPatch, backbone: str) -> None:
    ast = {"backbone.ast.embed_dim": 16, "backbone.ast.num_heads": 2, "backbone.ast.depth": 1}
    knobs = {"backbone.name": backbone, **ast}
    (_, plain, expected), (module, found, spectrogram) = (
        step(monkeypatch, **knobs, **{"augment.adversarial_db": snr_db}) for snr_db in (None, 15.0)
    )
    energy, of_change = (values.square().sum(dim=1) for values in (plain, found - plain))
    ratio = 10 * (energy / of_change).log10()
    assert ((ratio > 14.99) & (ratio < 60)).tolist() == [True, False, True, False, True]
    assert torch.equal(found[1::2], plain[1::2])
    assert torch.equal(spectrogram[1::2], expected[1::2]), "what is drawn afterwards stays the same"
    assert len(module.learned) == 2
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in module.learned)


def test_attack_of_a_batch_is_decided_by_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    knobs = {"augment.adversarial_db": 15.0, "augment.gain_db": 0.0, "augment.mix.name": "none"}
    first, again, other = (step(monkeypatch, number, **knobs)[1] for number in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first[::2], other[::2])
    assert torch.equal(first[1::2], other[1::2])


def test_attack_raises_the_loss_for_mixed_targets_too() -> None:
    model = module_of(small_config(Path("raw"))).model.eval()
    waveforms = Waveform().decode(batch()[0])[:, :1600]
    targets = torch.tensor([[1.0, 0.0], [0.7, 0.3], [0.2, 0.8], [0.0, 1.0]])
    found = attacked(model, waveforms[:4], targets, torch.zeros(4, 0), 10.0, seed=3)
    objective = cross_entropy_of(model, targets)
    rise = objective(found) - objective(waveforms[:4])
    assert (rise[::2] > 0).all()
    assert not rise[1::2].any()
    assert not torch.equal(attacked(model, waveforms[:1], targets[:1], torch.zeros(1, 0), 10.0, 3), waveforms[:1])


def tones(n_clips: int, seed: int) -> tuple[Tensor, Tensor]:
    """Clips of 0.1 s in noise, two low and two high by turns, and their classes."""
    random = torch.Generator().manual_seed(seed)
    classes = torch.arange(n_clips) // 2 % 2
    hz = torch.where(classes == 0, 400.0, 2800.0)[:, None] * (0.9 + 0.2 * torch.rand(n_clips, 1, generator=random))
    sound = 0.3 * torch.sin(2 * torch.pi * hz * torch.arange(800) / 8000)
    return sound + 0.02 * torch.randn(n_clips, 800, generator=random), classes


def test_training_on_attacked_clips_makes_a_model_more_robust() -> None:
    losses = []
    for snr_db in (None, 10.0):
        model = module_of(small_config(Path("raw"), **{"backbone.name": "cnn"})).model.train()
        optimizer = torch.optim.Adam(model.parameters(), 0.01)
        for number in range(25):
            waveforms, classes = tones(12, number)
            if snr_db is not None:
                targets = torch.nn.functional.one_hot(classes, 2).float()
                waveforms = attacked(model, waveforms, targets, torch.zeros(12, 0), snr_db, number)
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(waveforms), classes, label_smoothing=0.1).backward()
            optimizer.step()
        waveforms, classes = tones(24, 99)
        objective = cross_entropy_of(model.eval(), classes)
        assert (model(waveforms).argmax(dim=1) == classes).all()
        changed = pgd(objective, waveforms, 10.0, 10, torch.Generator().manual_seed(0))
        losses.append(float(objective(changed).mean()))
    assert losses[1] < 0.7 * losses[0], losses
