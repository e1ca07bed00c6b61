"""From audio files to labels, with one trained model or those of several folds together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from adaspec.audio import AUDIO_SUFFIXES, BadClipError, Waveform, decode, resample, sounding_part, to_int16
from adaspec.engine import torch_device
from adaspec.errors import InputError
from adaspec.features.store import feature_contract
from adaspec.frontends.fbank import Fbank
from adaspec.frontends.stored import to_stored
from adaspec.model import DESCRIPTION, AudioClassifier, load
from adaspec.windows import cut, even_starts, vote

__all__ = ["Prediction", "Predictor", "find_audio", "find_models"]

BATCH_SIZE = 32  # windows
HIGHEST_PEAK = 8.0  # of a waveform that is given: float recordings may pass +-1, by 18 dB at the very most
SAMPLE_RATES = (1000, 1_000_000)  # Hz; a mistaken 1 Hz would be resampled to thousands of times as many samples


@dataclass(frozen=True)
class Prediction:
    """What a recording was taken for.

    Attributes
    ----------
    label : str
    probabilities : dict of str to float
        Of each label; they sum to 1.
    windows : list of dict
        `start_s` and `end_s` in the recording, and the `probabilities` of that part alone.
    """

    label: str
    probabilities: dict[str, float]
    windows: list[dict[str, Any]]


class Predictor:
    """Classify recordings as the pipeline's evaluation does: resample, cut off silent ends, and vote over windows.

    Parameters
    ----------
    folders : sequence of Path
        Models such as models/fold-1. The probabilities of several are averaged.
    vote : {"mean", "majority"}
        Over the windows of a recording.
    overlap : float
        Of neighbouring windows, 0 <= overlap < 1.

    Raises
    ------
    InputError
        A folder holds no model, or the models differ in labels, audio or features.
    """

    def __init__(
        self, folders: Sequence[Path], *, vote: Literal["mean", "majority"] = "mean", overlap: float = 0.0
    ) -> None:
        self.models: list[AudioClassifier] = [load(folder).to(torch_device()) for folder in folders]
        first = self.models[0]
        self.vote, self.overlap = vote, overlap
        self.labels, self.audio = first.labels, first.config.audio
        self.contract = feature_contract(first.config)
        for folder, model in zip(folders, self.models, strict=True):
            same = model.labels == self.labels and model.config.audio == self.audio
            if not same or feature_contract(model.config) != self.contract:
                raise InputError(
                    f"{folder} and {folders[0]} differ in labels, audio or features; give models of one training"
                )

    def predict(self, content: bytes) -> Prediction:
        """Classify one recording.

        Parameters
        ----------
        content : bytes
            A whole audio file, of any sample rate, number of channels and length.

        Raises
        ------
        BadClipError
            It cannot be used as audio.
        """
        return self._classify(*decode(content))

    def predict_waveform(self, waveform: npt.ArrayLike, sample_rate: int) -> Prediction:
        """Classify one recording that is decoded already.

        Parameters
        ----------
        waveform : array-like of shape (n_samples,)
            One channel, +-1.
        sample_rate : int
            In Hz; any that recordings have, 1000 to 1000000.

        Raises
        ------
        BadClipError
            It cannot be used as audio.
        """
        return self._classify(_checked(waveform), _checked_rate(sample_rate))

    def _classify(self, waveform: Waveform, sample_rate: int) -> Prediction:
        stored, start, rate, length_s = self._stored(waveform, sample_rate)
        n_window = self.models[0].n_samples if stored.ndim == 1 else self.models[0].n_frames
        starts = even_starts(len(stored), n_window, self.overlap)
        windows = torch.stack([cut(stored, begin, n_window, self.audio.pad) for begin in starts])
        probabilities = torch.stack([self._probabilities(model, windows) for model in self.models]).mean(dim=0)
        voted = vote(probabilities, torch.zeros(len(starts), dtype=torch.int64), 1, self.vote)[0]
        shown = []
        for begin, row in zip(starts, probabilities, strict=True):
            start_s = start + begin / rate
            end_s = min(start_s + n_window / rate, length_s)
            shown.append({"start_s": round(start_s, 3), "end_s": round(end_s, 3), "probabilities": self._named(row)})
        return Prediction(self.labels[int(voted.argmax())], self._named(voted), shown)

    def _stored(self, recorded: Waveform, sample_rate: int) -> tuple[torch.Tensor, float, float, float]:
        """What the feature store would hold, where in the recording it begins (s), its steps per second; its length."""
        rate = self.contract["sample_rate"]
        waveform = resample(recorded, sample_rate, rate)
        part = sounding_part(waveform, self.contract["trim_db"])
        samples = torch.from_numpy(to_int16(waveform[part]))
        start, length_s = part.start / rate, len(waveform) / rate
        if self.contract["representation"] == "waveform":
            return samples, start, rate, length_s
        fbank = Fbank.from_contract(self.contract)
        return to_stored(fbank, samples), start, rate / fbank.hop_length, length_s

    def _probabilities(self, model: AudioClassifier, windows: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            logits = [
                model.classify(model.input_of(part.to(model.device))) for part in torch.split(windows, BATCH_SIZE)
            ]
            return torch.cat(logits).softmax(dim=1).cpu()

    def _named(self, probabilities: torch.Tensor) -> dict[str, float]:
        values: npt.NDArray[np.float32] = probabilities.numpy()
        return {label: round(float(value), 6) for label, value in zip(self.labels, values, strict=True)}


def _checked(waveform: npt.ArrayLike) -> Waveform:
    """One channel of finite samples in +-1, as `decode` returns them."""
    try:
        samples = np.asarray(waveform)
    except ValueError:
        raise BadClipError("waveform holds lists of different lengths; give one channel") from None
    if samples.ndim > 1:
        raise BadClipError(f"waveform has {samples.ndim} dimensions; give one channel, such as the mean over channels")
    if samples.size == 0:
        raise BadClipError("no samples")
    if samples.ndim == 0 or samples.dtype.kind not in "iuf":
        raise BadClipError("waveform is no list of numbers")
    if not np.isfinite(samples).all():
        raise BadClipError("NaN or infinite samples")
    peak = float(np.abs(samples.astype(np.float64)).max())
    if peak > HIGHEST_PEAK:
        raise BadClipError(f"waveform reaches {peak:g}, full scale is 1; divide integer samples by theirs")
    return np.ascontiguousarray(samples, dtype=np.float32)


def _checked_rate(sample_rate: int) -> int:
    if not SAMPLE_RATES[0] <= sample_rate <= SAMPLE_RATES[1]:
        raise BadClipError(f"sample_rate={sample_rate} Hz is not within {SAMPLE_RATES[0]} and {SAMPLE_RATES[1]} Hz")
    return sample_rate


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


def find_audio(paths: Sequence[Path]) -> list[Path]:
    """Files as they are named, and the audio files below folders, in order; hidden ones are passed over.

    Raises
    ------
    InputError
        A folder holds no audio file.
    """
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        below = [
            file
            for file in sorted(path.rglob("*"))
            if file.suffix.lower() in AUDIO_SUFFIXES
            and file.is_file()
            and not any(part.startswith(".") for part in file.relative_to(path).parts)
        ]
        if not below:
            raise InputError(f"{path} holds no audio file ({', '.join(sorted(AUDIO_SUFFIXES))})")
        found += below
    return found
