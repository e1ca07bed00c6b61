"""Fingerprint of a training, under which its checkpoints and its record are found again."""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from adaspec.config import Config
from adaspec.config.knobs import code_digest, deciding, training_stages
from adaspec.tables.stored import data_digest

__all__ = ["training_digest"]

PACKAGES = ("torch", "torchaudio", "numpy", "lightning", "timm")


def training_digest(config: Config, clips: pd.DataFrame, folds: pd.DataFrame, package: Path | None = None) -> str:
    """Digest everything that decides the result: knobs, data, folds, code and the libraries that compute.

    Parameters
    ----------
    config : Config
        Resolved.
    clips, folds : DataFrame
        clips.csv and folds.csv.
    package : Path, optional
        Source of adaspec; by default this one.
    """
    stages = training_stages(config)
    content = hashlib.sha256()
    for stage in stages:
        content.update(json.dumps(deciding(config, stage), sort_keys=True).encode())
    content.update(data_digest(clips, folds))
    content.update(code_digest(*stages, package=package).encode())
    content.update(" ".join(f"{package}={version(package)}" for package in PACKAGES).encode())
    weights = Path(config.backbone.timm.weights or "")
    if weights.is_file():
        content.update(weights.read_bytes())
    return content.hexdigest()[:16]
