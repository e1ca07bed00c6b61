"""Classify many recordings in several processes, each of which loads the models once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple

import torch

from adaspec.models.predictor import Prediction, Predictor
from adaspec.models.recordings import outcome
from adaspec.runtime.engine import Engine, Needs, run_tasks

__all__ = ["CLASSIFIED", "Models", "load_models", "predictions"]

CLASSIFIED = "classified"


class Models(NamedTuple):
    """What a `Predictor` is made of, wherever it is made.

    Attributes
    ----------
    folders : tuple of Path
    vote, overlap
        As of `Predictor`.
    enrolment : tuple of Path
        Recordings of the claimed speaker, or folders of such; empty where the models do not ask who it is.
    """

    folders: tuple[Path, ...]
    vote: Literal["mean", "majority"] | None
    overlap: float | None
    enrolment: tuple[Path, ...]


def predictions(
    models: Models, files: Sequence[Path], engine: Engine, n_parallel: int | None
) -> Iterator[Prediction | str]:
    """What models say of each file, in order, or why they say nothing.

    Parameters
    ----------
    models : Models
    files : sequence of Path
    engine : Engine
    n_parallel : int or None
        Processes; None: as many as the engine has room for.
    """
    return run_tasks(_predict, ((models, path) for path in files), engine, Needs(gpu=True), wanted=n_parallel)


def _predict(models: Models, path: Path) -> Prediction | str:
    return outcome(path, load_models(models).predict, CLASSIFIED)


@lru_cache(maxsize=1)
def load_models(models: Models) -> Predictor:
    """The predictor, made once in each process.

    Raises
    ------
    InputError
        As of `Predictor`, `enrol` and `claimed`.
    """
    # However many processes there are: the number of threads can decide the last digit. Beside others one is fastest.
    torch.set_num_threads(1)
    predictor = Predictor(models.folders, vote=models.vote, overlap=models.overlap)
    if models.enrolment:
        predictor.enrol(models.enrolment)
    predictor.claimed()
    return predictor
