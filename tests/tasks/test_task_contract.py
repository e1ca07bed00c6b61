"""What every task keeps: it claims labels, makes targets of classes, and has losses that can be followed downhill."""

from pathlib import Path
from typing import get_args

import pytest
import torch
from toydata import PARAMS, small_config

from adaspec.config import LossConfig
from adaspec.errors import InputError
from adaspec.tasks import TASKS, Task, build_task, task_name

LABELS = (["bonafide", "spoof"], ["dog", "rain", "saw"])  # one set for each task at least
OF_TASK = {name: next(labels for labels in LABELS if task_name(labels) == name) for name in TASKS}
EVERY = pytest.mark.parametrize("name", TASKS)
LOSSES = pytest.mark.parametrize(("name", "loss"), [(name, loss) for name in TASKS for loss in TASKS[name].losses])


def build(name: str, loss: str) -> Task:
    config = small_config(Path("raw"))
    section = LossConfig.model_validate(PARAMS["train"]["loss"] | {"name": loss})
    train = config.train.model_copy(update={"loss": section})
    return build_task(OF_TASK[name], config.model_copy(update={"train": train}))


def test_losses_are_those_of_the_configuration() -> None:
    losses = {loss for task in TASKS.values() for loss in task.losses}
    assert losses == set(get_args(LossConfig.model_fields["name"].annotation))


def test_labels_are_claimed_by_one_task_before_classification_takes_them() -> None:
    assert list(TASKS)[-1] == "classification"
    for labels in LABELS:
        assert TASKS["classification"].claims(labels)
        assert sum(task.claims(labels) for name, task in TASKS.items() if name != "classification") <= 1


@pytest.mark.parametrize("labels", [["bonafide"], ["spoof"], ["bonafide", "spoof", "noise"], ["Bonafide", "Spoof"]])
def test_other_labels_are_classes(labels: list[str]) -> None:
    assert task_name(labels) == "classification"


def test_the_order_of_labels_decides_no_task() -> None:
    assert task_name(["spoof", "bonafide"]) == task_name(["bonafide", "spoof"]) == "spoofing"


@EVERY
def test_build_task_makes_the_one_that_claims_the_labels(name: str) -> None:
    task = build_task(OF_TASK[name], small_config(Path("raw")))
    assert type(task) is TASKS[name]
    assert list(task.labels) == OF_TASK[name]


@EVERY
def test_task_refuses_a_loss_that_it_has_not(name: str) -> None:
    others = {loss for task in TASKS.values() for loss in task.losses} - set(TASKS[name].losses)
    for loss in others:
        with pytest.raises(InputError, match=rf"^params\.yaml train\.loss\.name={loss} is not for the labels"):
            build(name, loss)


@EVERY
def test_task_targets_are_shares_of_the_classes(name: str) -> None:
    n_classes = len(OF_TASK[name])
    classes = torch.arange(7) % n_classes
    targets = build(name, "cross_entropy").targets(classes)
    assert targets.shape == (7, n_classes)
    assert targets.dtype == torch.float32
    torch.testing.assert_close(targets.sum(dim=1), torch.ones(7))
    assert torch.equal(targets.argmax(dim=1), classes)


@EVERY
def test_task_leaves_waveforms_alone_where_nothing_is_asked_for(name: str) -> None:
    waveforms = torch.randn(6, 2000)
    changed, sources = build(name, "cross_entropy").augment(waveforms, torch.arange(6) % len(OF_TASK[name]), 8000)
    assert torch.equal(changed, waveforms)
    assert sources.tolist() == list(range(6))


@LOSSES
@pytest.mark.parametrize("scale", [0.0, 1.0, 1e4])
def test_loss_and_its_gradient_are_finite(name: str, loss: str, scale: float) -> None:
    task, n_classes = build(name, loss), len(OF_TASK[name])
    logits = (scale * torch.randn(8, n_classes, generator=torch.Generator().manual_seed(0))).requires_grad_()
    value = task.loss(logits, task.targets(torch.arange(8) % n_classes), torch.ones(n_classes))
    value.backward()
    assert value.shape == ()
    assert value.isfinite()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    assert logits.grad.any()


@LOSSES
def test_loss_is_lower_where_the_class_is_right_and_grows_with_its_weight(name: str, loss: str) -> None:
    task, n_classes = build(name, loss), len(OF_TASK[name])
    classes = torch.arange(8) % n_classes
    targets, even = task.targets(classes), torch.ones(n_classes)
    # The loss of anti-spoofing looks at the logit of its first label alone.
    right, wrong = (4 * (task.targets(each) - task.targets(each).roll(1, 1)) for each in (classes, 1 - classes % 2))
    assert task.loss(right, targets, even) < task.loss(wrong, targets, even)
    torch.testing.assert_close(task.loss(wrong, targets, 3 * even), 3 * task.loss(wrong, targets, even))


@LOSSES
def test_loss_is_computed_in_float32(name: str, loss: str) -> None:
    task, n_classes = build(name, loss), len(OF_TASK[name])
    logits, targets = torch.randn(4, n_classes), task.targets(torch.zeros(4, dtype=torch.int64))
    assert task.loss(logits.bfloat16(), targets, torch.ones(n_classes)).dtype == torch.float32
