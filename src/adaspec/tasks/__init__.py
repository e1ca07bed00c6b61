"""Tasks: what the labels ask for. Which task it is, the labels tell; nobody else asks."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter

from adaspec.config import Config
from adaspec.errors import InputError
from adaspec.tasks.classification import Classification
from adaspec.tasks.contract import Task
from adaspec.tasks.spoofing.task import SpoofingDetection

__all__ = ["TASKS", "Classification", "SpoofingDetection", "Task", "build_task", "task_name"]

# The first that claims the labels has them; classification claims all.
TASKS: dict[str, type[Task]] = {"spoofing": SpoofingDetection, "classification": Classification}


def task_name(labels: Sequence[str]) -> str:
    """Name of the task that these labels ask for."""
    return next(name for name, task in TASKS.items() if task.claims(labels))


def build_task(labels: Sequence[str], config: Config) -> Task:
    """The task that these labels ask for.

    Parameters
    ----------
    labels : sequence of str
        All classes, in the order of the logits.
    config : Config

    Raises
    ------
    InputError
        A loss or a change to waveforms is asked for that only another task has.
    """
    name = task_name(labels)
    task = TASKS[name]
    shown = f"{', '.join(labels[:5])}{', ...' if len(labels) > 5 else ''}"
    for other in TASKS.values():
        for key in other.changes:
            value = attrgetter(key)(config.augment)
            if value and key not in task.changes:
                raise InputError(
                    f"params.yaml augment.{key}={value} is not for the labels {shown} (task {name}); switch it off"
                )
    if config.train.loss.name not in task.losses:
        raise InputError(
            f"params.yaml train.loss.name={config.train.loss.name} is not for the labels {shown} (task {name}); "
            f"set it to {' or '.join(task.losses)}"
        )
    if config.train.loss.contrast and not task.contrasts:
        raise InputError(
            f"params.yaml train.loss.contrast={config.train.loss.contrast:g} is not for the labels {shown} (task "
            f"{name}); set it to 0"
        )
    return task(labels, config)
