"""Trained models that a training starts from: its fold K from their fold K."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from torch import nn

from adaspec.config import BackboneConfig, Config, ModelConfig
from adaspec.errors import InputError
from adaspec.frontends import Frontend, all_arguments, build_frontend
from adaspec.frontends.arguments import arguments
from adaspec.models.classifier import AudioClassifier
from adaspec.models.saved import DESCRIPTION, WEIGHTS, load, read_description

__all__ = ["check_start", "models_digest", "start_folder", "start_from", "starting_frontend"]

ONLY_IN_TRAINING = ("patch_dropout", "pretrained", "weights", "freeze")  # of backbones


def models_digest(folder: Path) -> str:
    """Fingerprint of the models fold-1, fold-2 ... of a folder: their weights and descriptions, nothing else.

    How they were evaluated is no part of it: nothing of a training depends on that.

    Raises
    ------
    InputError
        There are none.
    """
    files = sorted(each for name in (DESCRIPTION, WEIGHTS) for each in folder.glob(f"fold-*/{name}"))
    if not files:
        raise InputError(
            f"params.yaml train.start={folder} holds no models; give a folder with fold-1, fold-2 and so on, such as a "
            "copy of models/"
        )
    content = hashlib.sha256()
    for file in files:
        content.update(file.relative_to(folder).as_posix().encode() + hashlib.sha256(_trained(file)).digest())
    return content.hexdigest()[:12]


def _trained(file: Path) -> bytes:
    if file.name != DESCRIPTION:
        return file.read_bytes()
    description = read_description(file.parent)
    return json.dumps({name: each for name, each in description.items() if name != "evaluation"}).encode()


def check_start(config: Config, labels: list[str] | None = None, folds: Iterable[int] = ()) -> None:
    """Refuse models to start from that are not there, are others than those meant, or do not fit.

    Parameters
    ----------
    config : Config
        Resolved, where there are folds.
    labels : list of str, optional
        All classes.
    folds : iterable of int
        Those that are to be trained.

    Raises
    ------
    InputError
        Says in a line what differs and what to do.
    """
    if config.train.start is not None:
        folder = start_folder(config.train.start)
        for fold in folds:
            _fitting(folder / f"fold-{fold}", config, labels)


def start_folder(start: str) -> Path:
    """Folder of the models to start from, once they are those that the digest in the knob names.

    Raises
    ------
    InputError
        They are others, or no digest is given.
    """
    path, _, digest = start.rpartition("@")
    folder = Path(path or start)
    found = models_digest(folder)
    if not path:
        raise InputError(
            f"params.yaml train.start={start} must tell the models by their digest, so that others in their place are "
            f"another training; set train.start={folder}@{found}"
        )
    if digest != found:
        raise InputError(
            f"params.yaml train.start={start}: the models there are others by now; set train.start={folder}@{found} to "
            "start from them"
        )
    return folder


def start_from(model: AudioClassifier, start: str, fold: int) -> None:
    """Give a model the weights of a trained one.

    A fold starts from the model of its own number alone: where the folds of both trainings are the same, that model
    has not seen the clips that this one is tested with.

    Parameters
    ----------
    model : AudioClassifier
    start : str
        Knob `train.start`.
    fold : int

    Raises
    ------
    InputError
        As `check_start`.
    """
    folder = start_folder(start) / f"fold-{fold}"
    _take_weights(model, _fitting(folder, model.config, model.labels), folder)


def starting_frontend(config: Config, labels: list[str], fold: int) -> Frontend:
    """The front end that a fold begins to train with.

    Parameters
    ----------
    config : Config
        Resolved.
    labels : list of str
        All classes.
    fold : int

    Raises
    ------
    InputError
        As `check_start`.
    """
    assert config.audio.sample_rate is not None  # resolved
    frontend = build_frontend(config.frontend, config.audio.sample_rate)
    if config.train.start is not None:
        folder = start_folder(config.train.start) / f"fold-{fold}"
        _take_weights(frontend, _fitting(folder, config, labels).frontend, folder)
    return frontend


def _take_weights(module: nn.Module, trained: nn.Module, folder: Path) -> None:
    try:
        module.load_state_dict(trained.state_dict())
    except RuntimeError as error:
        reason = " ".join(str(error).split()).partition(": ")[2]
        raise InputError(f"params.yaml train.start: {folder} does not fit what is to be trained: {reason}") from None


def _fitting(folder: Path, config: ModelConfig, labels: list[str] | None) -> AudioClassifier:
    """The trained model, if it computes from the same waveforms, in the same way, probabilities of the same classes."""
    trained = load(folder)
    for knob, own, wanted in _differences(trained.config, config):
        raise InputError(
            f"params.yaml {knob}={wanted}, but train.start names {folder}, which was trained with {own}; set it to that"
        )
    if labels is not None and trained.labels != labels:
        differing = sorted(set(trained.labels) ^ set(labels))
        raise InputError(
            f"params.yaml train.start: {folder} knows {len(trained.labels)} labels, the data set has {len(labels)} "
            f"({', '.join(differing)} in one of the two only); start from models of the same labels"
        )
    return trained


def _differences(trained: ModelConfig, config: ModelConfig) -> Iterator[tuple[str, Any, Any]]:
    """Knob, value that a model was trained with, value now: of those that decide what its weights mean."""
    if trained.audio.sample_rate != config.audio.sample_rate:
        yield "audio.sample_rate", trained.audio.sample_rate, config.audio.sample_rate
    before, now = trained.frontend, config.frontend
    if before.name != now.name:
        yield "frontend.name", before.name, now.name
        return
    knobs = arguments(before) | arguments(now)
    values = all_arguments(before)
    for argument, wanted in all_arguments(now).items():
        # Also what belongs to parts that are no longer learned, such as the constraint of a window, as it still acts.
        if not argument.startswith("learn_") and values[argument] != wanted:
            yield f"frontend.{knobs[argument]}", values[argument], wanted
    own = _backbone(trained.backbone)
    for knob, wanted in _backbone(config.backbone).items():
        if own.get(knob) != wanted:
            yield f"backbone.{knob}", own.get(knob), wanted


def _backbone(config: BackboneConfig) -> dict[str, Any]:
    """Knobs of the configured backbone that its weights are for."""
    section = "timm" if config.timm_name else config.name
    own: Any = getattr(config, section, None)
    settings = {} if own is None else own.model_dump(exclude=set(ONLY_IN_TRAINING))
    shared = {"name": config.name, "head": config.head, "claim": config.claim, "members": config.members}
    return shared | {f"{section}.{name}": value for name, value in settings.items()}
