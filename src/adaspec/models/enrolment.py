"""Who is claimed to speak, told by recordings: their vector, for models that ask."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from adaspec.audio import BadClipError, Quantised, open_recording, quantise, recording_of
from adaspec.errors import InputError
from adaspec.features.representation import Contract, Waveform
from adaspec.models.saved import SPEAKER
from adaspec.speakers.embedding import embed
from adaspec.speakers.network import SpeakerNetwork, load_network

__all__ = ["network_of", "read_enrolment", "vector_of", "waveform_of"]


class _Waveforms:
    """Clips that were just read."""

    representation = Waveform()

    def __init__(self, waveforms: Sequence[Tensor]) -> None:
        self.of = dict(zip(map(str, range(len(waveforms))), waveforms, strict=True))

    def tensor(self, clip_id: str) -> Tensor:
        """One of them."""
        return self.of[clip_id]


def read_enrolment(paths: Sequence[Path], contract: Contract) -> list[Tensor]:
    """Waveforms (n_samples,) int16 of recordings, as the feature store would hold them.

    Parameters
    ----------
    paths : sequence of Path
    contract : dict
        Of the models' features.

    Raises
    ------
    InputError
        One cannot be used as audio.
    """
    found = []
    for path in paths:
        try:
            with open_recording(path) as file:
                kept = quantise(recording_of(file), contract["sample_rate"], contract["trim_db"])
        except BadClipError as error:
            raise InputError(f"{path}: {error}; enrol the speaker by another recording") from None
        found.append(waveform_of(kept))
    return found


def waveform_of(kept: Quantised) -> Tensor:
    """Waveform (n_samples,) int16 of one recording, also of a long one whose samples lie on the disk."""
    return torch.from_numpy(kept.samples[:])


def network_of(folder: Path) -> SpeakerNetwork:
    """The speaker network that a model brings.

    Raises
    ------
    InputError
        It brings none.
    """
    if not (folder / SPEAKER).is_dir():
        raise InputError(
            f"{folder} brings no speaker network, so that it can make no vectors of new recordings: it was trained "
            "with those of speaker.file; evaluate these recordings in the pipeline, with their vectors in that file"
        )
    return load_network(folder / SPEAKER)


def vector_of(network: SpeakerNetwork, waveforms: Sequence[Tensor]) -> Tensor:
    """Vector (1, n_claimed) of the speaker of all these waveforms."""
    clips = _Waveforms(waveforms)
    vectors = embed(network, list(clips.of), clips)
    return torch.nn.functional.normalize(vectors.sum(dim=0, keepdim=True))
