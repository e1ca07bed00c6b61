"""The embedded data set: ten classes of generated sound, so that the pipeline runs without any download.

It is designed for a front end that learns where its bands lie. Six classes differ coarsely, in any part of the
spectrum. The other four form two pairs whose members differ only in fine structure between 3 and 4 kHz: partials 90 or
180 Hz apart, carriers whose amplitude beats at 70 or 140 Hz. A band of the default mel spectrogram is wider than that
there, so it blurs the difference within each pair; bands that crowd there show it, and the others do with fewer. The
data set shows that the pipeline works and nothing about real sound.

Clips of one group share a source (pitch, resonances, rates) and differ in noise, level and phase; a fold holds whole
groups.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import soundfile

from adaspec.audio import to_int16
from adaspec.config import DatasetConfig, SyntheticConfig
from adaspec.datasets import manifest
from adaspec.datasets.contract import Dataset
from adaspec.runtime.files import complete_folder, write_csv

__all__ = ["CLASSES", "DATASET", "read", "synthesize"]

SAMPLE_RATE = 22_050  # Hz
N_FOLDS = 5
CLIPS_PER_GROUP = 2
SNR_DB = (3.0, 20.0)  # range of the source over the background
LEVEL_DBFS = (-30.0, -12.0)  # range of a clip's root mean square
FINE_HZ = (3_000.0, 4_000.0)  # range of the partials and carriers of the fine pairs
PEAK = 0.98  # a clip that would pass it is made quieter

Array = npt.NDArray[np.float64]
Source = Callable[[Array, np.random.Generator, np.random.Generator], Array]


def _partials(time: Array, source: np.random.Generator, take: np.random.Generator, spacing_hz: float) -> Array:
    """Two decaying pairs of partials, struck about twice a second."""
    strike_s = 1 / source.uniform(1.5, 2.5)
    since_strike = (time + take.uniform(0, strike_s)) % strike_s
    signal = np.zeros_like(time)
    for centre_hz in source.uniform(*FINE_HZ, 2):
        decay = np.exp(-since_strike * source.uniform(6, 12))
        for sign in (-0.5, 0.5):
            frequency_hz = centre_hz + sign * spacing_hz
            signal += decay * np.sin(2 * np.pi * (frequency_hz * time + take.uniform()))
    return signal


def _tremolo(time: Array, source: np.random.Generator, take: np.random.Generator, rate_hz: float) -> Array:
    """Two steady carriers whose amplitude beats at `rate_hz`."""
    signal = np.zeros_like(time)
    for carrier_hz in source.uniform(*FINE_HZ, 2):
        beat = 1 + 0.9 * np.sin(2 * np.pi * (rate_hz * time + take.uniform()))
        signal += beat * np.sin(2 * np.pi * (carrier_hz * time + take.uniform()))
    return signal


def _siren(time: Array, source: np.random.Generator, take: np.random.Generator) -> Array:
    """A harmonic tone that swings slowly up and down."""
    centre_hz, depth, rate_hz = source.uniform(500, 1_200), source.uniform(0.2, 0.4), source.uniform(0.4, 1.0)
    instantaneous_hz = centre_hz * (1 + depth * np.sin(2 * np.pi * (rate_hz * time + take.uniform())))
    phase = 2 * np.pi * np.cumsum(instantaneous_hz) / SAMPLE_RATE
    return np.asarray(sum(np.sin(h * phase) / h for h in range(1, 6)))


def _chirp(time: Array, source: np.random.Generator, take: np.random.Generator) -> Array:
    """Short upward sweeps."""
    period_s = 1 / source.uniform(2.5, 5)
    since = (time + take.uniform(0, period_s)) % period_s
    low_hz, slope = source.uniform(1_500, 2_500), source.uniform(8_000, 16_000)
    return np.exp(-((since - 0.08) ** 2) / 0.002) * np.sin(2 * np.pi * (low_hz * since + slope * since**2 / 2))


def _click(time: Array, source: np.random.Generator, take: np.random.Generator) -> Array:
    """A train of short resonant clicks."""
    period_s = 1 / source.uniform(5, 11)
    since = (time + take.uniform(0, period_s)) % period_s
    resonance_hz = source.uniform(900, 4_000)
    return np.exp(-since * source.uniform(150, 350)) * np.sin(2 * np.pi * resonance_hz * since)


def _band_noise(n_samples: int, take: np.random.Generator, low_hz: float, high_hz: float) -> Array:
    spectrum = np.fft.rfft(take.standard_normal(n_samples))
    frequency_hz = np.fft.rfftfreq(n_samples, 1 / SAMPLE_RATE)
    return np.fft.irfft(spectrum * ((frequency_hz >= low_hz) & (frequency_hz <= high_hz)), n_samples)


def _hiss(time: Array, source: np.random.Generator, take: np.random.Generator) -> Array:
    """Steady noise in a band."""
    low_hz = source.uniform(800, 3_000)
    return _band_noise(len(time), take, low_hz, low_hz * source.uniform(2, 3))


def _surf(time: Array, source: np.random.Generator, take: np.random.Generator) -> Array:
    """Noise in a band that swells and ebbs."""
    low_hz = source.uniform(800, 3_000)
    noise = _band_noise(len(time), take, low_hz, low_hz * source.uniform(2, 3))
    swell = 0.5 - 0.5 * np.cos(2 * np.pi * (source.uniform(0.5, 1.2) * time + take.uniform()))
    return noise * swell**2


def _growl(time: Array, source: np.random.Generator, take: np.random.Generator) -> Array:
    """A low harmonic tone with two resonances."""
    pitch_hz, formants_hz = source.uniform(60, 130), source.uniform(400, 2_500, 2)
    signal = np.zeros_like(time)
    for harmonic in range(1, int(4_000 / pitch_hz)):
        frequency_hz = harmonic * pitch_hz
        gain = sum(1 / (1 + ((frequency_hz - formant_hz) / 150) ** 2) for formant_hz in formants_hz)
        signal += gain * np.sin(2 * np.pi * (frequency_hz * time + take.uniform()))
    return signal


CLASSES: dict[str, Source] = {
    "chirp": _chirp,
    "click": _click,
    "growl": _growl,
    "hiss": _hiss,
    "partials_narrow": lambda time, source, take: _partials(time, source, take, spacing_hz=90),
    "partials_wide": lambda time, source, take: _partials(time, source, take, spacing_hz=180),
    "siren": _siren,
    "surf": _surf,
    "tremolo_fast": lambda time, source, take: _tremolo(time, source, take, rate_hz=140),
    "tremolo_slow": lambda time, source, take: _tremolo(time, source, take, rate_hz=70),
}


def _background(n_samples: int, take: np.random.Generator) -> Array:
    """Noise that falls by about 3 dB per octave."""
    spectrum = np.fft.rfft(take.standard_normal(n_samples))
    return np.fft.irfft(spectrum / np.sqrt(np.arange(1, len(spectrum) + 1)), n_samples)


def _clip(n_samples: int, class_index: int, group_index: int, take_index: int, seed: int) -> npt.NDArray[np.int16]:
    source = np.random.default_rng([seed, class_index, group_index])
    take = np.random.default_rng([seed, class_index, group_index, 1 + take_index])
    signal = list(CLASSES.values())[class_index](np.arange(n_samples) / SAMPLE_RATE, source, take)
    noise = _background(n_samples, take)
    snr_db, level_dbfs = take.uniform(*SNR_DB), take.uniform(*LEVEL_DBFS)
    mixture = signal / np.std(signal) + noise / np.std(noise) * 10 ** (-snr_db / 20)
    mixture *= 10 ** (level_dbfs / 20) / np.std(mixture)
    mixture *= min(1.0, PEAK / np.abs(mixture).max())
    return to_int16(mixture.astype(np.float32))


def synthesize(config: SyntheticConfig, root: Path) -> pd.DataFrame:
    """Generate the data set as 16 bit mono WAV files at 22.05 kHz with a manifest.

    Parameters
    ----------
    config : SyntheticConfig
    root : Path
        Written whole, or not at all.

    Returns
    -------
    DataFrame
        The manifest: `path`, `label`, `group`, `fold`.
    """
    n_samples = round(config.duration_s * SAMPLE_RATE)
    rows = []
    with complete_folder(root) as partial:
        for class_index, label in enumerate(CLASSES):
            (partial / label).mkdir()
            for clip_index in range(config.clips_per_class):
                group_index, take_index = divmod(clip_index, CLIPS_PER_GROUP)
                group = f"{label}-{group_index:03d}"
                path = f"{label}/{group}-{take_index}.wav"
                waveform = _clip(n_samples, class_index, group_index, take_index, config.seed)
                content = io.BytesIO()  # soundfile tells nothing of why a file cannot be written
                soundfile.write(content, waveform, SAMPLE_RATE, subtype="PCM_16", format="WAV")
                (partial / path).write_bytes(content.getvalue())
                rows.append({"path": path, "label": label, "group": group, "fold": 1 + group_index % N_FOLDS})
        table = pd.DataFrame(rows)
        write_csv(partial / manifest.MANIFEST, table)
    return table


def read(root: Path, config: DatasetConfig) -> pd.DataFrame:
    """List the clips that `synthesize` generated."""
    return manifest.read(root, config)


DATASET = Dataset(
    title="Synthetic sounds",
    licence="MIT, as the project that generates it",
    citation="Generated by adaspec; cite the project as its CITATION.cff says.",
    read=read,
)
