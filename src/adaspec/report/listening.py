"""Clips to look at and listen to: the start of each as a player and a spectrogram that a page holds by itself."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import soundfile
from matplotlib.image import imsave

from adaspec.audio import BadClipError, decode
from adaspec.audio.waveform import resample
from adaspec.tables.columns import labels_of, score_column

__all__ = ["Example", "examples", "least_sure"]

Waveform = npt.NDArray[np.float32]

LONGEST_S = 10.0  # of what is played
PEAK = 0.9
MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)  # Hz, ISO/IEC 11172-3 and 13818-3, MPEG 2.5
N_BANDS, N_COLUMNS, WINDOW_S, FLOOR_DB = 96, 300, 0.03, -80.0
N_TOP = 3


@dataclass(frozen=True)
class Example:
    """A test clip as a page shows it.

    Attributes
    ----------
    path, fold, label, predicted : str
    top : list of (str, float)
        The most probable labels with their probabilities.
    duration_s : float
        Of the recording.
    attack : str
        Of a spoofed one.
    change : str
        What was done to it, such as "mp3, level 3".
    audio, picture : str or None
        MP3 and PNG as data URIs: the first seconds, low frequencies at the bottom. None where it cannot be read.
    problem : str
        Why, there.
    """

    path: str
    fold: str
    label: str
    predicted: str
    top: list[tuple[str, float]]
    duration_s: float
    attack: str = ""
    change: str = ""
    audio: str | None = None
    picture: str | None = None
    problem: str = ""


def least_sure(predictions: pd.DataFrame, number: int) -> pd.DataFrame:
    """Rows that are right by the smallest lead over the second label."""
    right = predictions[predictions["label"] == predictions["predicted"]]
    scores = right[[score_column(label) for label in labels_of(right)]].to_numpy(np.float64)
    second, first = np.partition(scores, -2, axis=1)[:, -2:].T
    return right.assign(lead=first - second).sort_values(["lead", "clip_id"], kind="stable").head(number)


def examples(rows: pd.DataFrame, clips: pd.DataFrame, root: Path, sample_rate: int) -> list[Example]:
    """Read the recordings of some predictions.

    Parameters
    ----------
    rows : DataFrame
        Of predictions.csv; or of flips.csv, with `change` and `level`, and `file`: the recording below `root` that is
        played in place of the clip's own.
    clips : DataFrame
        clips.csv.
    root : Path
        Folder of the data set.
    sample_rate : int
        That the models hear, in Hz; what lies above half of it is neither played nor drawn.
    """
    of_clip, labels = clips.set_index("clip_id"), labels_of(rows)
    return [_example(row, labels, of_clip.loc[row["clip_id"]], root, sample_rate) for row in rows.to_dict("records")]


def _example(row: dict[Any, Any], labels: list[str], clip: pd.Series[Any], root: Path, sample_rate: int) -> Example:
    scores = {label: float(row[score_column(label)]) for label in labels}
    top = sorted(scores.items(), key=lambda each: -each[1])[:N_TOP]
    duration_s = float(clip["n_samples"]) / float(clip["sample_rate"])
    attack = str(clip.get("attack", "")).strip("-")
    change = f"{row['change']}, level {row['level']}".replace("_", " ") if "change" in row else ""
    about = (str(clip["path"]), str(row["fold"]), str(row["label"]), str(row["predicted"]), top, duration_s, attack)
    try:
        waveform, found_rate = decode((root / str(row.get("file", clip["path"]))).read_bytes())
    except OSError as error:
        return Example(*about, change, problem=f"cannot be read: {error.strerror}")
    except BadClipError as error:
        return Example(*about, change, problem=str(error))
    rate = max([each for each in MP3_RATES if each <= sample_rate] or [MP3_RATES[0]])
    heard = resample(waveform[: int(LONGEST_S * found_rate)], found_rate, rate)
    heard = heard * np.float32(PEAK / max(float(np.abs(heard).max(initial=0.0)), 1e-6))
    return Example(*about, change, _player(heard, rate), _spectrogram(heard, rate))


def _player(waveform: Waveform, sample_rate: int) -> str:
    sink = io.BytesIO()
    soundfile.write(sink, waveform, sample_rate, format="MP3")
    return _uri("audio/mpeg", sink.getvalue())


def _spectrogram(waveform: Waveform, sample_rate: int) -> str:
    """Decibels under the peak, time to the right, frequency upwards in steps of mel (HTK's formula)."""
    length = min(2 ** round(np.log2(WINDOW_S * sample_rate)), max(len(waveform), 16))
    hop = min(max(length // 4, len(waveform) // N_COLUMNS), length)
    # Not scipy.signal, whose import takes longer than all pictures.
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(waveform, length // 2), length)[::hop]
    power = np.square(np.abs(np.fft.rfft(frames * np.hanning(length), axis=1)))
    frequencies = np.fft.rfftfreq(length, 1 / sample_rate)
    places = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + sample_rate / 1400), N_BANDS) / 2595) - 1)
    bands = np.stack([np.interp(places, frequencies, frame) for frame in power], axis=1)
    decibels = 10 * np.log10(np.maximum(bands / max(float(bands.max()), 1e-20), 10 ** (FLOOR_DB / 10)))
    sink = io.BytesIO()
    shades: dict[str, Any] = {"cmap": "magma", "vmin": FLOOR_DB, "vmax": 0, "metadata": {"Software": None}}
    imsave(sink, decibels, origin="lower", format="png", **shades)
    return _uri("image/png", sink.getvalue())


def _uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
