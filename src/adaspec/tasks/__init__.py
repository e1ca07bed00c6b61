"""Tasks: what the labels ask for. Which task it is, the labels tell; nobody else asks."""

from __future__ import annotations

from collections.abc import Sequence

from adaspec.config import Config
from adaspec.tasks.classification import Classification
from adaspec.tasks.contract import Task
from adaspec.tasks.spoofing.task import SpoofingDetection

__all__ = ["TASKS", "Classification", "SpoofingDetection", "Task", "build_task", "task_name"]

# The first that claims the labels has them; classification claims all.
TASKS: dict[str, type[SpoofingDetection] | type[Classification]] = {
    "spoofing": SpoofingDetection,
    "classification": Classification,
}


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
        Something is set that the task does not have.
    """
    return TASKS[task_name(labels)](labels, config.train.loss, config.augment.resynthesis)
