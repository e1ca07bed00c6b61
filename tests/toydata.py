"""A tiny data set that trains in a second: three kinds of tones in noise, 0.3 s at 8 kHz."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import soundfile
import yaml

from adaspec.config import Config
from adaspec.config.resolve import resolve
from adaspec.datasets.clips import examine_clips
from adaspec.features.extract import extract
from adaspec.tables.splits import make_folds
from adaspec.tracking.outcome import FoldOutcome, Outcome

RATE = 8000
TONES_HZ = {"high": 2800.0, "low": 400.0, "middle": 1300.0, "bonafide": 600.0, "spoof": 2000.0}
PARAMS = yaml.safe_load((Path(__file__).parents[1] / "params.yaml").read_text(encoding="utf-8"))
SMALL: dict[str, Any] = {
    "audio.sample_rate": RATE,
    "features.window.length_s": 0.2,
    "audio.trim_db": None,
    "features.clips_per_shard": 8,
    "split.scheme": "group_kfold",
    "split.n_folds": 2,
    "split.validation_fraction": 0.3,
    "frontend.n_fft": 128,
    "frontend.win_length": 128,
    "frontend.hop_length": 64,
    "frontend.mel.n_mels": 16,
    "train.epochs": 3,
    "train.batch_size": 6,
    "train.precision": 32,
    "evaluate.n_bootstrap": 100,
    "engine.workers": 1,
    "engine.parallel_folds": 1,
}

Fit = Callable[..., tuple[bytes, list[dict[str, float]]]]  # the fixture `fit`: weights and history


def changed(config: Config, **knobs: Any) -> Config:
    """A copy with other values, by their dotted names."""
    content = config.model_dump()
    for name, value in knobs.items():
        *sections, key = name.split(".")
        section = content
        for part in sections:
            section = section[part]
        assert key in section, name
        section[key] = value
    return Config.model_validate(content)


def small_config(root: Path, **knobs: Any) -> Config:
    """The repository's params.yaml for the tones below `root`, with a front end and a training of toy size."""
    content = copy.deepcopy(PARAMS)
    content["dataset"] |= {"name": "folder", "root": str(root)}
    return changed(Config.model_validate(content), **(SMALL | knobs))


@dataclass(frozen=True)
class Toy:
    """What the stages before training leave behind."""

    clips: pd.DataFrame
    folds: pd.DataFrame
    config: Config
    features: Path

    @property
    def labels(self) -> list[str]:
        return sorted(self.clips["label"].unique())

    def rows(self, fold: int = 1) -> pd.DataFrame:
        """The rows of one fold as `fit_fold` takes them."""
        rows = self.folds.merge(self.clips[["clip_id", "label"]], on="clip_id")
        return rows[rows["fold"] == fold].drop(columns="fold").reset_index(drop=True)


def write_tones(
    folder: Path, n_per_label: dict[str, int], seed: int = 3, seconds: tuple[float, float] = (0.25, 0.35)
) -> pd.DataFrame:
    """Write WAV files and return the table that `examine_clips` takes."""
    rng = np.random.default_rng(seed)
    rows = []
    for label, n_clips in n_per_label.items():
        for index in range(n_clips):
            time = np.arange(int(RATE * rng.uniform(*seconds))) / RATE
            tone = 0.3 * np.sin(2 * np.pi * TONES_HZ[label] * rng.uniform(0.9, 1.1) * time + rng.uniform(0, 6))
            path = f"{label}/{index:02d}.wav"
            (folder / label).mkdir(parents=True, exist_ok=True)
            soundfile.write(folder / path, tone + 0.05 * rng.standard_normal(len(time)), RATE, subtype="PCM_16")
            rows.append({"path": path, "label": label, "group": path, "fold": "", "subset": ""})
    return pd.DataFrame(rows)


def make_toy(
    folder: Path, n_per_label: dict[str, int], seconds: tuple[float, float] = (0.25, 0.35), **knobs: Any
) -> Toy:
    """Data set, clips, folds and features below `folder`."""
    table = write_tones(folder / "raw", n_per_label, seconds=seconds)
    clips, _ = examine_clips(table, folder / "raw", "fail", "fail", 1)
    config = resolve(small_config(folder / "raw", **knobs), clips)
    extract(clips, config, folder / "features")
    return Toy(clips, make_folds(clips, config.split, config.seed), config, folder / "features")


def differing(first: Path, second: Path) -> list[str]:
    """Names of the files below two folders that are not the same bytes in both."""
    names = {path.relative_to(folder) for folder in (first, second) for path in folder.rglob("*") if path.is_file()}
    return sorted(
        name.as_posix()
        for name in names
        if not ((first / name).is_file() and (second / name).is_file())
        or (first / name).read_bytes() != (second / name).read_bytes()
    )


def make_outcome(
    folds: dict[int, FoldOutcome],
    summary: dict[str, dict[str, float]] | None = None,
    learned: dict[str, float] | None = None,
    artifacts: Sequence[Path] = (),
    worst: Sequence[tuple[str, str, str]] = (),
    recordings: Path = Path(),
) -> Outcome:
    """What evaluation leaves; `worst` are path, label and what it was taken for."""
    errors = pd.DataFrame(worst, columns=["path", "label", "predicted"])
    return Outcome(summary or {}, learned or {}, folds, list(artifacts), errors, recordings)
