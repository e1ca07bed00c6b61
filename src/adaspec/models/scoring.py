"""Probabilities of windows, and of clips by a vote over their windows: the only place that computes them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import torch
from torch import Tensor

from adaspec.backbones import combined
from adaspec.errors import InputError
from adaspec.features.representation import Decoder
from adaspec.features.windows import Clips, EvenWindows, vote
from adaspec.models.classifier import AudioClassifier

__all__ = ["Window", "probabilities", "score_clips", "window_probabilities", "windows_at_a_time"]

BATCH_SIZE, BATCH_SAMPLES, BATCH_VALUES = 32, 2**23, 2**20  # windows, samples and spectrograms' values at a time
Vote = Literal["mean", "majority"]
Window = tuple[Tensor, Tensor | None]


def windows_at_a_time(model: AudioClassifier) -> int:
    """Windows that are scored together, in bounded memory: 32, or fewer long ones."""
    n_values = model.frontend.n_channels * model.frontend.n_features * model.n_frames
    return max(1, min(BATCH_SIZE, BATCH_SAMPLES // model.n_samples, BATCH_VALUES // n_values))


def probabilities(
    model: AudioClassifier, stored: Tensor, representation: Decoder, claimed: Tensor | None = None
) -> Tensor:
    """Probabilities (batch, n_classes) of a batch of windows as stored, where they lie; the mean of an ensemble's."""
    return combined(model.logits(stored, representation, claimed)).float().softmax(dim=1)


def window_probabilities(model: AudioClassifier, batches: Iterable[Window], representation: Decoder) -> Tensor:
    """Probabilities of windows, without a gradient.

    Parameters
    ----------
    model : AudioClassifier
        On any device.
    batches : iterable of (Tensor of shape (batch, n_steps, ...), Tensor of shape (batch, n_claimed) or None)
        Windows as stored, and the vectors of claimed speakers where the model takes such.
    representation : Decoder
        What they are.

    Returns
    -------
    Tensor of shape (n_windows, n_classes)
        On the CPU; rows sum to 1.

    Raises
    ------
    InputError
        They are not finite.
    """
    with torch.inference_mode():
        rows = []
        for stored, claimed in batches:
            own = None if claimed is None else claimed.to(model.device)
            rows.append(probabilities(model, stored.to(model.device), representation, own).cpu())
    found = torch.cat(rows)
    if not found.isfinite().all():
        raise InputError("the model gives probabilities that are not finite, and so none; train it again")
    return found


def score_clips(
    model: AudioClassifier,
    clip_ids: Sequence[str],
    clips: Clips,
    method: Vote,
    overlap: float,
    claimed: Tensor | None = None,
) -> Tensor:
    """Score clips with a trained model.

    Parameters
    ----------
    model : AudioClassifier
    clip_ids : sequence of str
    clips : Clips
        Such as a `FeatureStore`.
    method : {"mean", "majority"}
        How windows vote.
    overlap : float
        Of neighbouring windows, 0 <= overlap < 1.
    claimed : Tensor of shape (n_clips, n_claimed), optional
        Vectors of the claimed speakers, for a model that takes them.

    Returns
    -------
    Tensor of shape (n_clips, n_classes)
        Voted over windows; rows sum to 1.
    """
    n_window = clips.representation.length(model.n_samples)
    pad = model.config.features.window.pad
    windows = EvenWindows(clips, clip_ids, n_window, pad, overlap, windows_at_a_time(model))
    positions: list[Tensor] = []

    def batches() -> Iterable[Window]:
        for position, stored in windows:
            positions.append(position)
            yield stored, None if claimed is None else claimed[position]

    scores = window_probabilities(model, batches(), clips.representation)
    return vote(scores, torch.cat(positions), len(clip_ids), method)
