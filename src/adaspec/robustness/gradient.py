"""Attacks on a fold's test clips that follow the gradient through the front end, and random noise beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from adaspec.audio import to_int16, trimmed_int16
from adaspec.features.representation import feature_contract, representation_of
from adaspec.features.windows import EvenWindows, vote
from adaspec.models.attacks import Objective, alarm, cross_entropy_of, noise, perturbed, pgd, universal
from adaspec.models.classifier import AudioClassifier
from adaspec.models.evaluated import Evaluated
from adaspec.models.scoring import window_probabilities, windows_at_a_time
from adaspec.robustness.asked import Evaluator, decided, recordings
from adaspec.runtime.seeding import torch_seed
from adaspec.tables.predictions import own_scores

__all__ = ["GRADIENT", "alarms", "attack_fold"]

NOISE, PGD, TRANSFER, UNIVERSAL = GRADIENT = ("random", "pgd", "transfer", "universal")
SMALLEST = 1e-12  # of a probability whose logarithm is taken
Attack = Callable[[Tensor, Tensor], Tensor]  # windows and their classes -> changed windows
Key = tuple[str, int, float]  # name, level and signal-to-noise ratio of an attack


@dataclass
class _Windows:
    """Evaluation windows of some clips, batch by batch."""

    model: AudioClassifier
    rows: pd.DataFrame
    root: Path
    overlap: float

    def __post_init__(self) -> None:
        contract = feature_contract(self.model.config)
        self.representation = representation_of(contract)
        self.rate, self.trim_db = contract["sample_rate"], contract["trim_db"]
        self.targets = torch.tensor([self.model.labels.index(label) for label in self.rows["label"]])

    def tensor(self, clip_id: str) -> Tensor:
        """A clip as the feature store has it."""
        [waveform] = recordings([self.root / clip_id], self.rate)
        return torch.from_numpy(trimmed_int16(waveform, self.trim_db))

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Positions of clips, and windows (batch, n_samples) of +-1."""
        pad = self.model.config.features.window.pad
        size = windows_at_a_time(self.model)
        each = EvenWindows(self, list(self.rows["path"]), self.model.n_samples, pad, self.overlap, size)
        for positions, stored in each:
            yield positions, self.representation.decode(stored).to(self.model.device)


def attack_fold(
    evaluator: Evaluator,
    surrogate: Evaluator | None,
    rows: pd.DataFrame,
    trained: pd.DataFrame,
    root: Path,
    snr_db: Sequence[float],
    n_steps: int,
    seed: int,
) -> pd.DataFrame:
    """Ask a model about its test clips after each attack.

    Windows are attacked one by one, and rounded to 16 bits as a file would have them.

    Parameters
    ----------
    evaluator : Evaluator
    surrogate : Evaluator or None
        Another fold's model, whose gradients are followed for "transfer"; it may have been trained on these clips.
    rows, trained : DataFrame
        Test clips, and training clips of which the universal perturbation is made: `path`, `label` and more.
    root : Path
    snr_db : sequence of float
    n_steps : int
    seed : int

    Returns
    -------
    DataFrame
        As `ask_chunk` returns; `change` is one of `GRADIENT`, the level counts the ratios from the highest, 1 on.
    """
    model, evaluated = evaluator.load()
    other = None if surrogate is None else surrogate.load()[0]
    windows = _Windows(model, rows, root, evaluated.overlap)
    seen = _Windows(model, trained, root, 0.0)
    batches = [
        (waveforms, cross_entropy_of(model, seen.targets[positions].to(model.device))) for positions, waveforms in seen
    ]
    keys = (seed, int(rows["fold"].iloc[0]))
    attacks = {
        (name, level, ratio): attack
        for level, ratio in enumerate(sorted({*snr_db}, reverse=True), start=1)
        for name, attack in _attacks(model, other, batches, ratio, n_steps, keys).items()
    }
    tables = []
    for (name, level, ratio), scores in _scores(windows, attacks, evaluated).items():
        about = rows.assign(change=name, level=level, change_db=-float(ratio))
        tables.append(decided(about, scores, model.labels, evaluated))
    return pd.concat(tables, ignore_index=True)


def _attacks(
    model: AudioClassifier,
    other: AudioClassifier | None,
    batches: Sequence[tuple[Tensor, Objective]],
    snr_db: float,
    n_steps: int,
    keys: tuple[int, int],
) -> dict[str, Attack]:
    def drawn(name: str) -> torch.Generator:
        return torch.Generator().manual_seed(torch_seed(*keys, "robustness", name))

    def ascend(attacked: AudioClassifier, rng: torch.Generator) -> Attack:
        return lambda waveforms, classes: pgd(cross_entropy_of(attacked, classes), waveforms, snr_db, n_steps, rng)

    random = drawn(NOISE)
    everywhere = universal(batches, snr_db, n_steps, drawn(UNIVERSAL))
    attacks: dict[str, Attack] = {
        NOISE: lambda waveforms, _: noise(waveforms, snr_db, random),
        PGD: ascend(model, drawn(PGD)),
        UNIVERSAL: lambda waveforms, _: perturbed(waveforms, everywhere, snr_db),
    }
    if other is not None:
        attacks[TRANSFER] = ascend(other, drawn(TRANSFER))
    return {name: attacks[name] for name in GRADIENT if name in attacks}


def _scores(windows: _Windows, attacks: Mapping[Key, Attack], evaluated: Evaluated) -> dict[Key, Tensor]:
    """Scores of all clips after each attack; every recording is read once."""
    model = windows.model
    seen: list[Tensor] = []
    found: dict[Key, list[Tensor]] = {key: [] for key in attacks}
    for positions, waveforms in windows:
        seen.append(positions)
        for key, attack in attacks.items():
            changed = attack(waveforms, windows.targets[positions].to(model.device))
            stored = torch.from_numpy(to_int16(changed.detach().cpu().numpy()))
            found[key].append(window_probabilities(model, [(stored, None)], windows.representation))
    where = torch.cat(seen)
    return {key: vote(torch.cat(own), where, len(windows.rows), evaluated.vote) for key, own in found.items()}


def alarms(predictions: pd.DataFrame) -> list[str]:
    """A line for each ratio at which the attack is weaker than noise, so that nothing can be concluded from it."""
    lines = []
    for _, rows in predictions[predictions["change"].isin([NOISE, PGD])].groupby("level"):
        loss = -np.log(np.maximum(own_scores(rows), SMALLEST))
        losses = rows.assign(loss=loss).pivot(index=["fold", "clip_id"], columns="change", values="loss")
        told = alarm(*(torch.tensor(losses[name].to_numpy(np.float64)) for name in (PGD, NOISE)))
        if told:
            ratio = -float(rows["change_db"].iloc[0])
            lines.append(f"at {ratio:g} dB {told}")
    return lines
