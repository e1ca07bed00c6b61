"""Fingerprint of a training, under which its checkpoints and its MLflow runs are found again."""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import version
from pathlib import Path

import pandas as pd

import adaspec
from adaspec.config import Config, flatten

__all__ = ["training_digest"]

KNOBS = ("seed", "audio.", "features.fbank.", "split.balance", "frontend.", "backbone.", "train.", "augment.")
PACKAGES = ("torch", "torchaudio", "numpy", "lightning", "timm")


def training_digest(config: Config, clips: pd.DataFrame, folds: pd.DataFrame) -> str:
    """Digest everything that decides the result: knobs, data, folds, code and the libraries that compute.

    Parameters
    ----------
    config : Config
        Resolved.
    clips, folds : DataFrame
        clips.csv and folds.csv.
    """
    knobs = {key: value for key, value in flatten(config).items() if key.startswith(KNOBS)}
    content = hashlib.sha256(json.dumps(knobs, sort_keys=True).encode())
    content.update(clips[["clip_id", "digest", "label"]].to_csv(index=False).encode())
    content.update(folds.to_csv(index=False).encode())
    source = Path(adaspec.__file__).parent
    for path in sorted(source.rglob("*.py")):
        content.update(path.relative_to(source).as_posix().encode() + path.read_bytes())
    content.update(" ".join(f"{package}={version(package)}" for package in PACKAGES).encode())
    weights = Path(config.backbone.timm.weights or "")
    if weights.is_file():
        content.update(weights.read_bytes())
    return content.hexdigest()[:16]
