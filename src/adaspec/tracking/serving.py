"""The trained model as MLflow loads and serves it: recordings in, a label and a score per class out.

A run's record holds it, with this package's source beside the weights; MLflow's loader calls `_load_pyfunc`.
"""

from __future__ import annotations

import base64
import binascii
import importlib.metadata
import json
import logging
import math
import numbers
import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, BinaryIO

import pandas as pd

from adaspec.audio import BadClipError, open_recording
from adaspec.errors import InputError
from adaspec.models.predictor import Prediction, Predictor, find_models
from adaspec.models.saved import read_description

__all__ = ["EXAMPLE", "INPUTS", "REQUIREMENTS", "ServedModel", "requirements", "signature"]

log = logging.getLogger(__name__)

INPUTS = ("audio", "path", "waveform")  # a row gives one of them
# MLflow's types, all optional. With its `binary`, `array`, `long` and `double` it would refuse requests whose rows give
# different inputs, and whole numbers in a waveform, without telling the row; so what a row holds is checked here.
COLUMN_TYPES = {"audio": "string", "path": "string", "waveform": "any", "sample_rate": "any"}
EXAMPLE = {"path": "/data/recording.wav"}
# What classifying imports, of what pyproject.toml lists; MLflow adds itself.
LONGEST_REQUEST_S = 3600.0  # of all its recordings together: a request of some kB may hold days of silence
REQUIREMENTS = (
    *("joblib", "numpy", "pandas", "pydantic", "pyyaml", "safetensors", "scipy", "soundfile", "soxr"),
    *("filelock", "timm", "torch", "torchaudio"),
)


def signature(model: Path) -> dict[str, str]:
    """Columns of requests to a model, such as models/fold-1, and of its answers, in MLflow's notation."""
    labels = read_description(model)["labels"]
    inputs = [{"name": name, "type": kind, "required": False} for name, kind in COLUMN_TYPES.items()]
    scores = [{"name": f"score_{label}", "type": "double"} for label in labels]
    return {"inputs": json.dumps(inputs), "outputs": json.dumps([{"name": "label", "type": "string"}, *scores])}


def further_settings(model: Path) -> dict[str, None]:
    """What a server may set of `_load_pyfunc` besides vote and overlap; MLflow passes on no others."""
    return {"enrolment": None} if read_description(model).get("n_claimed") else {}


def requirements() -> list[str]:
    """The packages that a server needs, at the versions that are installed here."""
    versions = {name: importlib.metadata.version(name) for name in REQUIREMENTS}
    return [f"{name}=={version.partition('+')[0]}" for name, version in sorted(versions.items())]


class RowError(InputError):
    """A row of a request that does not give one recording."""


class ServedModel:
    """What `mlflow.pyfunc.load_model` returns calls its `predict`.

    Parameters
    ----------
    predictor : Predictor
    """

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor

    def predict(self, recordings: pd.DataFrame) -> pd.DataFrame:
        """Classify recordings.

        Parameters
        ----------
        recordings : DataFrame
            Of each row one of `audio` (a whole audio file: bytes, or base64 text), `path` (of a file that this process
            can read) and `waveform` (one channel, +-1, with its `sample_rate` in Hz). Cells without a value are None
            or NaN.

        Returns
        -------
        DataFrame
            `label`, and `score_<label>` for each label; the index is that of `recordings`.

        Raises
        ------
        MlflowException
            A row cannot be classified, or lies beyond the hour that all together may last; it is named, counted from 0.
        """
        if not set(INPUTS) & set(recordings.columns):
            raise _bad_request("no recordings: each row needs audio, path or waveform")
        rows, left_s = [], LONGEST_REQUEST_S
        for position, row in enumerate(recordings.to_dict("records")):
            cells = {str(name): cell for name, cell in row.items() if not _is_missing(cell)}
            try:
                prediction = self._classify(cells, left_s)
            except (BadClipError, RowError) as error:
                raise _bad_request(f"row {position}: {error}") from None
            left_s = max(0.0, left_s - prediction.duration_s)
            for note in prediction.notes:
                log.warning("row %s %s", position, note)
            rows.append([prediction.label, *prediction.probabilities.values()])
        columns = ["label", *(f"score_{label}" for label in self.predictor.labels)]
        return pd.DataFrame(rows, columns=columns, index=recordings.index)

    def _classify(self, row: dict[str, Any], longest_s: float) -> Prediction:
        given = [name for name in INPUTS if name in row]
        if len(given) != 1:
            raise RowError(f"{' and '.join(given) or 'nothing'} given; give one of audio, path and waveform")
        if given == ["waveform"]:
            return self.predictor.predict_waveform(row["waveform"], _hertz(row.get("sample_rate")), longest_s)
        if "sample_rate" in row:
            raise RowError(f"sample_rate belongs to waveform; the file in {given[0]} has its own")
        if given == ["audio"]:
            return self.predictor.predict(_bytes(row["audio"]), longest_s)
        try:
            with _file(row["path"]) as file:
                return self.predictor.predict(file, longest_s)
        except (BadClipError, RowError) as error:
            raise RowError(f"path={row['path']}: {error}") from None


def _bad_request(reason: str) -> Exception:
    """The error that a served model raises: MLflow answers with status 400 and the reason."""
    from mlflow.exceptions import MlflowException

    return MlflowException.invalid_parameter_value(reason)


def _is_missing(cell: object) -> bool:
    return cell is None or cell is pd.NA or (isinstance(cell, float) and math.isnan(cell))


def _hertz(sample_rate: object) -> int:
    if sample_rate is None:
        raise RowError("waveform without sample_rate (Hz)")
    if not isinstance(sample_rate, numbers.Real) or not float(sample_rate).is_integer():
        raise RowError(f"sample_rate={sample_rate!r} is no whole number of Hz")
    return int(float(sample_rate))


def _bytes(audio: object) -> bytes:
    if isinstance(audio, bytes):
        return audio
    if not isinstance(audio, str):
        raise RowError(f"audio is of type {type(audio).__name__}; give a whole audio file as base64 text")
    try:
        return base64.b64decode("".join(audio.split()), validate=True)  # some encoders break lines
    except (binascii.Error, ValueError) as error:
        raise RowError(f"audio is no base64 text ({error}); give a whole audio file as such") from None


def _file(path: object) -> AbstractContextManager[BinaryIO]:
    if not isinstance(path, str | os.PathLike) or not os.path.isfile(path):
        raise RowError("no file here, where the model runs")
    return open_recording(Path(path))


def _load_pyfunc(data_path: str, model_config: dict[str, Any] | None = None) -> ServedModel:
    """Load what was logged; MLflow calls this by its name.

    Parameters
    ----------
    data_path : str
        Folder with model.json and model.safetensors.
    model_config : dict, optional
        `vote` and `overlap` of `Predictor`, and `enrolment`: paths of recordings of the claimed speaker.
    """
    settings = dict(model_config or {})
    enrolment = settings.pop("enrolment", None)
    predictor = Predictor(find_models(Path(data_path)), **settings)
    if enrolment is not None:
        predictor.enrol([Path(path) for path in enrolment])
    predictor.claimed()
    return ServedModel(predictor)
