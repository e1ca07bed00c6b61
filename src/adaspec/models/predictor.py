"""From audio files to labels, with one trained model or those of several folds together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt
import torch

from adaspec.audio import LONGEST_S, BadClipError, Quantised, Recording, quantise, recording_of, recording_of_array
from adaspec.config.types import MOST_OVERLAP
from adaspec.errors import InputError
from adaspec.features.representation import feature_contract, representation_of, steps_of
from adaspec.features.windows import cut, even_starts, vote
from adaspec.models.classifier import AudioClassifier
from adaspec.models.enrolment import network_of, read_enrolment, vector_of
from adaspec.models.evaluated import Evaluated, Threshold, decide
from adaspec.models.recordings import find_audio
from adaspec.models.saved import DESCRIPTION, load, read_evaluated
from adaspec.models.scoring import Window, window_probabilities, windows_at_a_time
from adaspec.runtime.engine import torch_device

__all__ = ["Prediction", "Predictor", "find_models"]

MOST_WINDOWS = 500_000  # of a recording; four hours in windows of a second have 288,000 at the most overlap


@dataclass(frozen=True)
class Prediction:
    """What a recording was taken for.

    Attributes
    ----------
    label : str
    probabilities : dict of str to float
        Of each label; they sum to 1.
    windows : list of dict
        `start_s` and `end_s` in the recording, and `label` and `probabilities` of that part alone.
    duration_s : float
        Of the recording.
    notes : list of str
        What its user should know: predicates, such as "is digital silence".
    """

    label: str
    probabilities: dict[str, float]
    windows: list[dict[str, Any]]
    duration_s: float
    notes: list[str]


class Predictor:
    """Classify recordings as the pipeline's evaluation does: resample, cut off silent ends, and vote over windows.

    Parameters
    ----------
    folders : sequence of Path
        Models such as models/fold-1. The probabilities of several are averaged.
    vote : {"mean", "majority"}, optional
        Over the windows of a recording; None: as the models were evaluated.
    overlap : float, optional
        Of neighbouring windows, 0 to 0.95; None: as the models were evaluated.

    Attributes
    ----------
    asks_claim : bool
        Whether `enrol` must say who is claimed to speak, before anything is classified.
    claims : list of Tensor of shape (1, n_claimed)
        Vectors of the speaker who is claimed, one for each model; empty until `enrol`.
    threshold : Threshold or None
        At which the label of a detector is decided: the mean of the models' own.

    Raises
    ------
    InputError
        A folder holds no model, the models differ in labels, audio, features or evaluation, or they were not evaluated
        and vote or overlap is not given; overlap is out of range.
    """

    def __init__(
        self, folders: Sequence[Path], *, vote: Literal["mean", "majority"] | None = None, overlap: float | None = None
    ) -> None:
        self.models: list[AudioClassifier] = [load(folder).to(torch_device()) for folder in folders]
        first = self.models[0]
        self.folders, self.asks_claim, self.claims = list(folders), first.n_claimed > 0, list[torch.Tensor]()
        self.labels, self.window = first.labels, first.config.features.window
        self.contract = feature_contract(first.config)
        self.representation = representation_of(self.contract)
        for folder, model in zip(folders, self.models, strict=True):
            same = model.labels == self.labels and model.config.features.window == self.window
            same = same and model.n_claimed == first.n_claimed
            if not same or feature_contract(model.config) != self.contract:
                raise InputError(
                    f"{folder} and {folders[0]} differ in labels, audio or features; give models of one training"
                )
        evaluated = _common(folders, vote, overlap)
        self.vote, self.overlap, self.threshold = evaluated.vote, evaluated.overlap, evaluated.threshold

    def enrol(self, paths: Sequence[Path]) -> None:
        """Say who is claimed to speak in what is classified from now on.

        Parameters
        ----------
        paths : sequence of Path
            Recordings of that speaker, or folders of such.

        Raises
        ------
        InputError
            The models do not ask who is claimed, or bring no network that makes vectors of speakers; or there is no
            recording, or one cannot be used.
        """
        if not self.asks_claim:
            raise InputError(f"{self.folders[0]} does not ask who is claimed to speak; leave the enrolment out")
        waveforms = read_enrolment(find_audio(paths), self.contract)
        self.claims = [vector_of(network_of(folder), waveforms) for folder in self.folders]

    def claimed(self) -> Sequence[torch.Tensor | None]:
        """Vector (1, n_claimed) of the claimed speaker for each model; None for one that does not ask.

        Raises
        ------
        InputError
            A model asks, and nobody is enrolled.
        """
        if not self.asks_claim:
            return [None] * len(self.models)
        if not self.claims:
            raise InputError(
                f"{self.folders[0]} must know who is claimed to speak; give recordings of that speaker by --enrolment "
                "(in Python: Predictor.enrol; served: enrolment in model_config)"
            )
        return self.claims

    def predict(self, content: bytes | BinaryIO, longest_s: float = LONGEST_S) -> Prediction:
        """Classify one recording.

        Parameters
        ----------
        content : bytes or binary file
            A whole audio file, of any sample rate and number of channels; a file is read block by block.
        longest_s : float
            Longest duration that is taken, in seconds.

        Raises
        ------
        BadClipError
            It cannot be used as audio.
        """
        recording = recording_of(content, longest_s)
        return self.predict_quantised(recording, self.quantise(recording))

    def predict_waveform(self, waveform: npt.ArrayLike, sample_rate: int, longest_s: float = LONGEST_S) -> Prediction:
        """Classify one recording that is decoded already.

        Parameters
        ----------
        waveform : array-like of shape (n_samples,)
            One channel, +-1.
        sample_rate : int
            In Hz; any that recordings have, 1000 to 1000000.
        longest_s : float
            Longest duration that is taken, in seconds.

        Raises
        ------
        BadClipError
            It cannot be used as audio.
        """
        recording = recording_of_array(waveform, sample_rate, longest_s)
        return self.predict_quantised(recording, self.quantise(recording))

    def quantise(self, recording: Recording) -> Quantised:
        """What the models see of a recording, whose blocks are used up.

        Raises
        ------
        BadClipError
            It cannot be used as audio.
        """
        return quantise(recording, self.contract["sample_rate"], self.contract["trim_db"])

    def predict_quantised(self, recording: Recording, kept: Quantised) -> Prediction:
        """Classify one recording of which `quantise` has taken what is kept.

        Raises
        ------
        BadClipError
            It makes too many windows.
        """
        rate = self.contract["sample_rate"]
        stored = self.representation.encode(steps_of(kept.samples))  # what the feature store would hold
        kept_from, n_samples = kept.start, kept.n_samples
        n_window = self.representation.length(self.models[0].n_samples)
        if len(stored) > MOST_WINDOWS * n_window * (1 - self.overlap):
            raise BadClipError(f"makes more than {MOST_WINDOWS} windows; cut it in parts, or lower the overlap")
        starts = even_starts(len(stored), n_window, self.overlap)

        def batches(claimed: torch.Tensor | None) -> Iterator[Window]:
            n_batch = windows_at_a_time(self.models[0])
            for first in range(0, len(starts), n_batch):
                some = starts[first : first + n_batch]
                pad, how = self.window.pad, self.representation
                windows = torch.stack([cut(stored, begin, n_window, pad, how) for begin in some])
                yield windows, None if claimed is None else claimed.expand(len(some), -1)

        of_models = [
            window_probabilities(model, batches(claimed), self.representation)
            for model, claimed in zip(self.models, self.claimed(), strict=True)
        ]
        probabilities = torch.stack(of_models).mean(dim=0)
        voted = vote(probabilities, torch.zeros(len(starts), dtype=torch.int64), 1, self.vote)[0]
        shown = []
        step_s, length_s = self.representation.samples_per_step / rate, n_samples / rate
        for begin, row in zip(starts, probabilities, strict=True):
            start_s = kept_from / rate + begin * step_s
            end_s = min(start_s + n_window * step_s, length_s)
            times = {"start_s": round(start_s, 3), "end_s": round(end_s, 3)}
            shown.append({**times, "label": self._label(row), "probabilities": self._named(row)})
        duration_s = recording.n_samples / recording.sample_rate
        return Prediction(self._label(voted), self._named(voted), shown, duration_s, recording.notes)

    def _label(self, probabilities: torch.Tensor) -> str:
        return decide(probabilities[None].numpy(), self.labels, self.threshold)[0]

    def _named(self, probabilities: torch.Tensor) -> dict[str, float]:
        values: npt.NDArray[np.float32] = probabilities.numpy()
        return {label: float(value) for label, value in zip(self.labels, values, strict=True)}


def _common(folders: Sequence[Path], vote: Literal["mean", "majority"] | None, overlap: float | None) -> Evaluated:
    """What models were evaluated with, where vote and overlap are not given; their mean threshold."""
    if overlap is not None and not 0 <= overlap <= MOST_OVERLAP:
        raise InputError(f"overlap={overlap} of windows; 0 to {MOST_OVERLAP} is allowed, as a fraction of one")
    each = [read_evaluated(folder) for folder in folders]
    known = [evaluated for evaluated in each if evaluated is not None]
    thresholds = [evaluated.threshold for evaluated in known if evaluated.threshold is not None]
    voting = [(vote or evaluated.vote, evaluated.overlap if overlap is None else overlap) for evaluated in known]
    if vote is not None and overlap is not None:
        voting = [(vote, overlap)]
    elif None in each:
        raise InputError(
            f"{folders[each.index(None)]} was trained, but not evaluated, so that nothing says how its windows are to "
            "be combined; give models out of the stage evaluate, such as models/fold-1, or both vote and overlap"
        )
    if len(set(voting)) > 1 or len({threshold.label for threshold in thresholds}) > 1:
        raise InputError(f"{folders[0]} and others were evaluated with different settings; give models of one training")
    threshold = None
    if thresholds:
        mean = sum(each.log_odds for each in thresholds) / len(thresholds)
        threshold = Threshold(label=thresholds[0].label, log_odds=mean)
    return Evaluated(vote=voting[0][0], overlap=voting[0][1], threshold=threshold)


def find_models(folder: Path) -> list[Path]:
    """The model that a folder holds, or those of its folders fold-1, fold-2, ...

    Raises
    ------
    InputError
        There is none.
    """
    if (folder / DESCRIPTION).is_file():
        return [folder]
    folds = sorted(path.parent for path in folder.glob(f"fold-*/{DESCRIPTION}"))
    if not folds:
        raise InputError(f"{folder} holds no model; give a folder such as models/fold-1, or models for all folds")
    return folds
