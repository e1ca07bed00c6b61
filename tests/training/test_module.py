import math
from pathlib import Path
from typing import Any, get_args

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from toydata import changed, small_config

from adaspec.config import Config, OptimizerConfig, ScheduleConfig, TrainConfig
from adaspec.features.representation import LogSpectrogram, Waveform
from adaspec.models.classifier import AudioClassifier
from adaspec.tasks import build_task
from adaspec.training.callbacks import AverageWeights
from adaspec.training.module import FoldModule
from adaspec.training.optimisers import OPTIMIZERS, SCHEDULES, build_optimizer, learning_rate_factor

# Lightning's advice on the number of loader processes and on a loop left out: neither is meant for tensors in memory.
# The third: Lightning itself uses what PyTorch is about to drop.
pytestmark = [
    pytest.mark.filterwarnings("ignore:The '(train|val)_dataloader' does not have many workers"),
    pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no `val_dataloader`"),
    pytest.mark.filterwarnings(r"ignore:`isinstance\(treespec, LeafSpec\)` is deprecated:FutureWarning"),
]


def train_config(**knobs: Any) -> TrainConfig:
    return small_config(Path("raw"), **{f"train.schedule.{key}": value for key, value in knobs.items()}).train


def factors(n_steps: int, n_epoch_steps: int, **knobs: Any) -> np.ndarray:
    config = train_config(**knobs)
    return np.array([learning_rate_factor(step, n_steps, n_epoch_steps, config) for step in range(n_steps)])


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("fraction", [0.05, 0.1, 0.33, 0.9])
def test_learning_rate_warms_up_linearly(schedule: str, fraction: float) -> None:
    curve = factors(200, 10, name=schedule, warmup_fraction=fraction)
    n_warmup = math.ceil(fraction * 200)
    rises = np.diff(curve[:n_warmup])
    assert curve[0] > 0
    np.testing.assert_allclose(rises, rises[0], rtol=1e-9)
    assert rises[0] > 0
    assert 0.85 < curve.max() <= 1
    assert curve.argmax() in (n_warmup - 1, n_warmup)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_learning_rate_without_warmup_starts_at_its_highest(schedule: str) -> None:
    curve = factors(50, 10, name=schedule, warmup_fraction=0.0)
    assert curve[0] == 1
    assert (np.diff(curve) < 0).all()


def test_learning_rate_cosine_falls_to_nearly_zero() -> None:
    curve = factors(200, 10, name="cosine", warmup_fraction=0.1)
    assert (np.diff(curve[20:]) < 0).all()
    assert 0 <= curve[-1] < 1e-3
    assert curve[110] == pytest.approx(0.5, abs=1e-9)  # half of it at the middle of what follows the warm-up
    assert learning_rate_factor(200, 200, 10, train_config(name="cosine")) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("gamma", [0.5, 0.97, 1.0])
def test_learning_rate_exponential_falls_by_gamma_per_epoch(gamma: float) -> None:
    curve = factors(100, 10, name="exponential", gamma=gamma, warmup_fraction=0.2)
    np.testing.assert_allclose(curve[30:] / curve[20:-10], gamma, rtol=1e-9)
    assert curve[20] == pytest.approx(1)


def test_registries_are_those_of_the_configuration() -> None:
    assert list(OPTIMIZERS) == list(get_args(OptimizerConfig.model_fields["name"].annotation))
    assert list(SCHEDULES) == list(get_args(ScheduleConfig.model_fields["name"].annotation))


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_learning_rate_stays_between_nothing_and_its_highest(schedule: str) -> None:
    for fraction in (0.0, 0.3):
        curve = factors(60, 10, name=schedule, warmup_fraction=fraction)
        assert (curve >= 0).all()
        assert (curve <= 1).all()


def module_of(config: Config, validation_targets: Tensor | None = None, representation: Any = None) -> FoldModule:
    """The module of a new model, on waveforms if nothing else is said."""
    torch.manual_seed(0)
    model = AudioClassifier(config, ["a", "b"])
    return FoldModule(
        model,
        build_task(model.labels, config),
        config,
        1,
        torch.ones(2),
        torch.zeros(0) if validation_targets is None else validation_targets,
        representation=representation(model.frontend) if representation else Waveform(),
        validation_representation=Waveform(),
    )


def trained(config: Config, n_epochs: int = 2, ema_decay: float | None = None) -> tuple[FoldModule, pl.Trainer]:
    """A module after a few steps on noise."""
    module = module_of(config)
    return module, run(module, n_epochs, ema_decay)


def run(module: FoldModule, n_epochs: int, ema_decay: float | None = None, *further: pl.Callback) -> pl.Trainer:
    waveforms = (torch.randn(8, 1600, generator=torch.Generator().manual_seed(1)) * 8000).short()
    classes, claims = torch.tensor([0, 1, 0, 1]), torch.zeros(4, 0)
    batches = [(waveforms[:4], classes, claims), (waveforms[4:], 1 - classes, claims)]
    trainer = pl.Trainer(
        max_epochs=n_epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[*further] if ema_decay is None else [AverageWeights(ema_decay), *further],
    )
    trainer.fit(module, DataLoader(batches, batch_size=None))
    return trainer


LEARNING = {"frontend.learn_window": True, "frontend.learn_kernels": True, "frontend.learn_mel": True}


def groups_of(config: Config) -> tuple[FoldModule, dict[int, dict[str, Any]]]:
    """The optimiser's group of every parameter, by the parameter's identity."""
    module, trainer = trained(config, n_epochs=1)
    return module, {id(p): group for group in trainer.optimizers[0].param_groups for p in group["params"]}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("backbone", ["cnn", "resnet"])
def test_optimizer_groups_decay_matrices_alone(optimizer: str, backbone: str) -> None:
    knobs = {"train.optimizer.name": optimizer, "backbone.name": backbone, "train.optimizer.weight_decay": 0.07}
    config = small_config(Path("raw"), **LEARNING, **knobs, **{"train.frontend.lr_multiplier": 0.25})
    module, group_of = groups_of(config)
    rate, rates = config.train.optimizer.learning_rate, module.model.frontend.rates
    parameters = dict(module.model.named_parameters())
    assert set(group_of) == {id(parameter) for parameter in parameters.values()}, "each is in a group"
    for name, parameter in parameters.items():
        group = group_of[id(parameter)]
        decayed = name.startswith("backbone.") and parameter.ndim > 1
        assert group["weight_decay"] == (0.07 if decayed else 0), name
        own = rates[name.removeprefix("frontend.")] * 0.25 if name.startswith("frontend.") else rate
        assert group["initial_lr"] == own, name
        assert group.get("momentum", config.train.optimizer.momentum) == config.train.optimizer.momentum
    assert any(name.startswith("frontend.") for name in parameters)
    assert any(parameter.ndim == 1 for parameter in parameters.values())


def test_optimizers_are_different_ones() -> None:
    configs = [small_config(Path("raw"), **{"train.optimizer.name": name}).train for name in OPTIMIZERS]
    built = [type(build_optimizer([torch.nn.Parameter(torch.ones(2, 2))], {}, config)) for config in configs]
    assert len(set(built)) == len(OPTIMIZERS)


def test_muon_turns_weights_about_equally_far_in_all_directions() -> None:
    knobs = {
        "train.optimizer.name": "muon",
        "train.optimizer.learning_rate": 0.03,
        "train.optimizer.weight_decay": 0.0,
        "train.optimizer.momentum": 0.9,
    }
    config = small_config(Path("raw"), **LEARNING, **knobs)
    module, trainer = trained(config, n_epochs=1)
    optimizer = trainer.optimizers[0]
    for group in optimizer.param_groups:
        group["lr"] = 0.01  # as a schedule does
    parameters = {name: parameter for name, parameter in module.model.named_parameters() if parameter.requires_grad}
    before = {name: parameter.detach().clone() for name, parameter in parameters.items()}
    optimizer.state.clear()
    for parameter in parameters.values():
        parameter.grad = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2))
    optimizer.step()
    turned = {name for name, parameter in parameters.items() if optimizer.state[parameter]["use_muon"]}
    assert {"backbone.blocks.1.residual.0.weight", "backbone.blocks.1.shortcut.1.weight"} <= turned
    for name, parameter in parameters.items():
        change = (parameter - before[name]).detach()
        if name in turned:
            assert name.startswith("backbone."), "what the front end learns is left to NAdamW"
            step = 0.01 * 0.2 * max(len(change), change[0].numel()) ** 0.5
            sizes = torch.linalg.svdvals(change.flatten(1)) / step
            assert 0.35 < sizes.median() < 1.3, name
            assert sizes.max() < 1.4, name
        else:
            assert ((change.abs() > 0.01) & (change.abs() < 0.02)).all(), name  # each number for itself, by NAdamW


def test_optimizer_groups_leave_out_a_fixed_frontend() -> None:
    module, group_of = groups_of(small_config(Path("raw")))
    assert not any(parameter.requires_grad for parameter in module.model.frontend.parameters())
    assert set(group_of) == {id(parameter) for parameter in module.model.backbone.parameters()}


def learned(config: Config, **options: Any) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Tensors of the front end before and after training."""
    start = AudioClassifier(config, ["a", "b"]).frontend.state_dict()
    return start, trained(config, **options)[0].model.frontend.state_dict()


@pytest.mark.parametrize("ema_decay", [None, 0.9])
@pytest.mark.parametrize(
    "parts", [(), ("window",), ("length",), ("kernels",), ("mel",), ("window", "length", "kernels", "mel")]
)
def test_training_moves_what_is_learned_and_nothing_else(parts: tuple[str, ...], ema_decay: float | None) -> None:
    switches = {f"frontend.learn_{part}": True for part in parts}
    start, end = learned(small_config(Path("raw"), **switches, **{"frontend.win_length": 100}), ema_decay=ema_decay)
    assert end.keys() == start.keys()
    assert {name.split(".")[0] for name in end} == {"window", "mel", *parts}
    for name, tensor in end.items():
        assert torch.equal(tensor, start[name]) is (name.split(".")[0] not in parts), name
        assert (tensor - start[name]).abs().max() < 0.1  # moved, not replaced


@pytest.mark.parametrize(
    ("form", "constraint"),
    [("dense", "free"), ("dense", "unit_norm"), ("dense", "orthonormal"), ("banded", "free"), ("parametric", "free")],
)
def test_training_moves_kernels_of_every_form(form: str, constraint: str) -> None:
    knobs = {"frontend.kernels.form": form, "frontend.kernels.constraint": constraint, "frontend.learn_kernels": True}
    start, end = learned(small_config(Path("raw"), **knobs, **{"frontend.n_transforms": 3}))
    kernels = [name for name in end if name.startswith("kernels.")]
    assert kernels
    for transform in range(3):
        assert not any(torch.equal(end[name][transform], start[name][transform]) for name in kernels)


@pytest.mark.parametrize("ema_decay", [None, 0.9])
@pytest.mark.parametrize("frozen", [{"train.frontend.lr_multiplier": 0.0}, {"train.frontend.freeze_epochs": 2}])
def test_training_keeps_what_it_does_not_move_bit_identical(frozen: dict[str, Any], ema_decay: float | None) -> None:
    start, end = learned(small_config(Path("raw"), **LEARNING, **frozen), ema_decay=ema_decay, n_epochs=2)
    for name, tensor in end.items():
        assert torch.equal(tensor, start[name]), name


def test_training_learns_once_the_frozen_epochs_are_over() -> None:
    config = small_config(Path("raw"), **LEARNING, **{"train.frontend.freeze_epochs": 1})
    start, end = learned(config, n_epochs=2)
    for name, tensor in end.items():
        assert not torch.equal(tensor, start[name]), name


def test_training_with_l2_sp_stays_nearer_to_the_start() -> None:
    knobs = {"train.optimizer.learning_rate": 0.01, "train.optimizer.name": "sgd", "train.frontend.lr_multiplier": 1.0}
    distances = []
    for strength in (0.0, 0.3, 0.6):
        config = small_config(Path("raw"), **LEARNING, **knobs, **{"train.frontend.l2_sp": strength})
        start, end = learned(config, n_epochs=6)
        distances.append([float((end[name] - start[name]).norm()) for name in start])
    for free, pulled, pulled_more in zip(*distances, strict=True):
        assert free > pulled > pulled_more


def test_l2_sp_is_a_step_towards_the_start() -> None:
    """With gradients switched off by their clipping: theta -= l2_sp * (theta - start) at the highest rate."""
    knobs = {
        "train.optimizer.name": "sgd",
        "train.optimizer.momentum": 0.0,
        "train.schedule.name": "exponential",
        "train.schedule.gamma": 1.0,
    }
    knobs |= {
        "train.schedule.warmup_fraction": 0.0,
        "train.frontend.gradient_clip": 1e-12,
        "train.frontend.l2_sp": 0.5,
    }
    config = small_config(
        Path("raw"), **{"frontend.learn_window": True, "train.optimizer.learning_rate": 0.01}, **knobs
    )
    module = module_of(config)
    window = module.model.frontend.window.values
    start = window.detach().clone()
    with torch.no_grad():
        window += 1
    run(module, n_epochs=1)  # two steps, each of which halves the distance
    torch.testing.assert_close(window.detach(), start + 0.25)


def test_tightness_weighs_the_penalty_in_the_loss_where_a_window_is_learned() -> None:
    waveforms = (torch.randn(4, 1600, generator=torch.Generator().manual_seed(1)) * 8000).short()
    for learn, penalised in ((True, True), (False, False)):
        losses = []
        for weight in (0.0, 10.0):
            knobs = {"frontend.learn_window": learn, "train.frontend.tightness": weight, "backbone.dropout": 0.0}
            module = module_of(small_config(Path("raw"), **knobs)).eval()
            losses.append(module.training_step((waveforms, torch.tensor([0, 1, 0, 1]), torch.zeros(4, 0)), 0))
            assert module.train_losses[0] == losses[0]  # what is told of training is the task's own loss
        penalty = module.model.frontend.penalty()
        assert (penalty is not None) == penalised
        expected = losses[0] if penalty is None else losses[0] + 10 * penalty
        torch.testing.assert_close(losses[1], expected)


def test_gradients_are_clipped_per_group() -> None:
    def norms(**knobs: Any) -> tuple[float, float]:
        config = small_config(Path("raw"), **LEARNING, **knobs)
        module = trained(config, n_epochs=1)[0]
        return tuple(  # type: ignore[return-value]
            float(torch.cat([p.grad.flatten() for p in part.parameters() if p.grad is not None]).norm())
            for part in (module.model.frontend, module.model.backbone)
        )

    frontend, backbone = norms(**{"train.gradient_clip": None, "train.frontend.gradient_clip": None})
    assert min(frontend, backbone) > 1e-3
    clipped = norms(**{"train.gradient_clip": None, "train.frontend.gradient_clip": 1e-3})
    assert clipped[0] == pytest.approx(1e-3, rel=1e-3)
    assert clipped[1] > 1e-2
    clipped = norms(**{"train.gradient_clip": 1e-3, "train.frontend.gradient_clip": None})
    assert clipped[1] == pytest.approx(1e-3, rel=1e-3)
    assert clipped[0] > 1e-2


def test_training_with_larger_multiplier_moves_the_window_further() -> None:
    config = small_config(Path("raw"), **{"frontend.learn_window": True})

    def distance(multiplier: float) -> float:
        start, end = learned(changed(config, **{"train.frontend.lr_multiplier": multiplier}))
        return float((end["window.values"] - start["window.values"]).norm())

    assert distance(5.0) > 2 * distance(1.0) > 2 * distance(0.1) > 0


def test_average_weights_lag_behind_the_weights() -> None:
    config = small_config(Path("raw"), **{"train.optimizer.learning_rate": 0.01})
    torch.manual_seed(0)
    start = AudioClassifier(config, ["a", "b"]).backbone.head.weight.detach().clone()
    raw = trained(config)[0].model.backbone.head.weight
    averaged = trained(config, ema_decay=0.99)[0].model.backbone.head.weight
    none = trained(config, ema_decay=0.0)[0].model.backbone.head.weight
    torch.testing.assert_close(none, raw, atol=1e-6, rtol=1e-5)
    assert 0 < float((averaged - start).detach().norm()) < float((raw - start).detach().norm())


class Weights(pl.Callback):
    """Notes the weights after each step."""

    def __init__(self) -> None:
        self.head: list[Tensor] = []

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        self.head.append(pl_module.model.backbone.head.weight.detach().clone())


def test_average_weights_follow_their_formula() -> None:
    """average += (1 - min(decay, (1 + n) / (10 + n))) (weights - average), from the first step's weights on."""
    config, decay = small_config(Path("raw"), **{"train.optimizer.learning_rate": 0.01}), 0.2
    module = module_of(config)
    steps = Weights()
    run(module, 3, decay, steps)
    assert len(steps.head) == 6
    average = steps.head[0].clone()
    for n, weight in enumerate(steps.head[1:], 1):
        average += (1 - min(decay, (1 + n) / (10 + n))) * (weight - average)
    torch.testing.assert_close(module.model.backbone.head.weight.detach(), average, rtol=1e-5, atol=1e-7)
    assert not torch.equal(average, steps.head[-1])
    counts = [buffer for name, buffer in module.named_buffers() if name.endswith("num_batches_tracked")]
    assert counts
    assert {int(count) for count in counts} == {6}  # copied, not averaged


@pytest.mark.parametrize("cached", [False, True])
def test_augmentation_draws_by_the_batch_and_leaves_the_generator_alone(cached: bool) -> None:
    knobs = {"augment.noise.snr_db": (0.0, 20.0), "augment.time_stretch": 0.2, "augment.time_mask": 4}
    config = small_config(Path("raw"), **knobs, **{"frontend.cached": cached, "backbone.dropout": 0.0})
    module = module_of(config, representation=LogSpectrogram if cached else None).eval()
    stored = (torch.randn(6, 1920, generator=torch.Generator().manual_seed(1)) * 8000).short()
    inputs = torch.stack([module.representation.encode(clip) for clip in stored])
    losses = []
    for seed, batch_index in ((1, 0), (2, 0), (1, 1)):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        losses.append(
            float(module.training_step((inputs, torch.tensor([0, 1] * 3), torch.zeros(6, 0)), batch_index).detach())
        )
        assert torch.equal(torch.get_rng_state(), before)
    assert losses[0] == losses[1]
    assert losses[0] != losses[2]


def test_validation_scores_clips_by_the_mean_of_their_windows() -> None:
    config = small_config(Path("raw"))
    module = module_of(config, torch.tensor([0, 1, 1])).eval()
    windows = (torch.randn(5, 1600) * 8000).short()
    positions = torch.tensor([0, 0, 1, 2, 2])
    batches = [(positions[:1], windows[:1]), (positions[1:], windows[1:])]
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    (logged,) = trainer.validate(module, DataLoader(batches, batch_size=None), verbose=False)
    with torch.no_grad():
        own = module.model(windows.float() / 32768).softmax(dim=1)
    means = torch.stack([own[:2].mean(dim=0), own[2], own[3:].mean(dim=0)])
    expected = -(means[0, 0].log() + means[1, 1].log() + means[2, 1].log()) / 3
    assert logged["validation_loss"] == pytest.approx(float(expected), rel=1e-5)
    correct = (means.argmax(dim=1) == torch.tensor([0, 1, 1])).float().mean()
    assert logged["validation_accuracy"] == pytest.approx(float(correct))


def test_bf16_is_for_the_network_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """What augmentation does to sound is computed in float32, also where it multiplies matrices."""
    module = module_of(small_config(Path("raw")))
    monkeypatch.setattr(FoldModule, "current_epoch", 0)
    mixed: list[torch.dtype] = []

    def augment(waveforms: Tensor, classes: Tensor, sample_rate: int) -> tuple[Tensor, Tensor]:
        mixed.append((waveforms @ waveforms.T).dtype)
        return waveforms, torch.arange(len(waveforms))

    monkeypatch.setattr(module.task, "augment", augment, raising=False)
    inputs: list[Tensor] = []
    module.model.backbone.register_forward_pre_hook(lambda _, given: inputs.append(given[0]))
    stored, classes = torch.randint(-9000, 9000, (2, 16000), dtype=torch.int16), torch.tensor([0, 1])
    for enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            module.training_step((stored, classes, torch.zeros(2, 0)), 0)
    assert mixed == [torch.float32, torch.float32]
    assert torch.equal(*inputs)
