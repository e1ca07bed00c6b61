"""The one gate: files and arrays are judged alike."""

import importlib
import io
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from adaspec.audio import BadClipError, Recording, quantise, recording_of, recording_of_array, resample, trim_silence
from adaspec.audio.quantise import SamplesOnDisk
from adaspec.audio.waveform import SoundingPart, resample_blocks

RATE = 8000
NOISE = (0.3 * np.random.default_rng(0).uniform(-1, 1, RATE)).astype(np.float32)


def from_file(samples: npt.NDArray[np.float32], rate: int = RATE, longest_s: float = 100) -> Recording:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV", subtype="FLOAT")
    return recording_of(file.getvalue(), longest_s)


def judged(recording: Recording) -> list[str]:
    for _ in recording.blocks():
        pass
    return recording.notes


def spiked(value: float) -> npt.NDArray[np.float32]:
    samples = NOISE.copy()
    samples[400] = value
    return samples


@pytest.mark.parametrize("source", [from_file, lambda *given: recording_of_array(*given)])
@pytest.mark.parametrize(
    ("samples", "rate", "longest_s", "told"),
    [
        (spiked(1e29), RATE, 100, r"samples reach 1e\+29, full scale is 1 \(1 of 8000 pass 8, the first at 0\.050 s\)"),
        (NOISE * 32767, RATE, 100, r"samples reach 98\d+(\.\d+)?, full scale is 1 .* divide integer samples by theirs"),
        (np.rint(NOISE * 10), RATE, 100, "all samples are whole numbers, up to 3, full scale is 1"),
        (spiked(np.nan), RATE, 100, "NaN or infinite samples"),
        (NOISE, 1, 100, "sample_rate=1 Hz is not within 1000 and 1000000 Hz"),
        (NOISE, RATE, 0.99, "longer than 0.99 s"),
    ],
)
def test_what_no_recording_has_is_refused(
    source: Callable[..., Recording], samples: npt.NDArray[np.float32], rate: int, longest_s: float, told: str
) -> None:
    with pytest.raises(BadClipError, match=rf"^{told}"):
        judged(source(samples, rate, longest_s))


@pytest.mark.parametrize("source", [from_file, recording_of_array])
def test_what_a_user_should_know_is_noted(source: Callable[..., Recording]) -> None:
    assert judged(source(NOISE, RATE)) == []
    assert judged(source(7 * spiked(1.0), RATE)) == []
    assert judged(source(0 * NOISE, RATE)) == ["is digital silence"]
    assert judged(source(1e-5 * NOISE, RATE)) == ["is silent at 16 bits (its peak is 3.0e-06 of full scale)"]


@pytest.mark.parametrize(("from_rate", "to_rate"), [(44_100, 22_050), (8000, 48_000), (1000, 1000)])
@pytest.mark.parametrize("length", [7, 1000, 10_000])
def test_blocks_change_nothing_in_resampling(from_rate: int, to_rate: int, length: int) -> None:
    blocks = [NOISE[start : start + length] for start in range(0, len(NOISE), length)]
    found = np.concatenate(list(resample_blocks(blocks, from_rate, to_rate)))
    np.testing.assert_array_equal(found, resample(NOISE, from_rate, to_rate))


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from([0.0, 1e-4, 5e-3, 0.01, -0.02, 0.1, -0.5, 1.0]), min_size=1, max_size=60),
    st.integers(1, 20),
    st.sampled_from([None, 20.0, 40.0]),
)
def test_blocks_change_nothing_in_trimming(samples: list[float], length: int, trim_db: float | None) -> None:
    waveform = np.array(samples, dtype=np.float32)
    sounding = SoundingPart(trim_db)
    for start in range(0, len(waveform), length):
        sounding.add(waveform[start : start + length])
    loud = np.flatnonzero(np.abs(waveform) > np.abs(waveform).max() * 10 ** (-(trim_db or 0) / 20))
    everything = trim_db is None or len(loud) == 0
    assert sounding.part() == (slice(0, len(waveform)) if everything else slice(loud[0], loud[-1] + 1))


def test_quantise_keeps_the_sounding_part() -> None:
    samples = np.concatenate([np.zeros(300_000, np.float32), NOISE, np.zeros(5, np.float32)])
    kept = quantise(recording_of_array(samples, RATE), RATE, 60.0)
    np.testing.assert_array_equal(kept.samples, np.rint(trim_silence(samples, 60.0) * 32768))
    assert (kept.start, kept.n_samples, kept.saturates) == (
        300_000 + int(np.abs(NOISE).argmin() == 0),
        len(samples),
        False,
    )


def test_quantise_leaves_the_samples_of_long_recordings_on_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = np.concatenate([np.zeros(300_000, np.float32), np.tile(NOISE, 40), np.zeros(100_000, np.float32)])
    whole = quantise(recording_of_array(samples, RATE), RATE, 60.0)
    monkeypatch.setattr(importlib.import_module("adaspec.audio.quantise"), "MOST_IN_MEMORY", 100_000)
    found = quantise(recording_of_array(samples, RATE), RATE, 60.0)
    assert isinstance(found.samples, SamplesOnDisk)
    assert (found.start, found.n_samples, found.saturates) == (whole.start, whole.n_samples, whole.saturates)
    assert len(found.samples) == len(whole.samples)
    for part in (slice(None), slice(1000, 1010), slice(319_000, None), slice(-5, None), slice(7, 7), slice(9, 3)):
        np.testing.assert_array_equal(found.samples[part], whole.samples[part])
    short = quantise(recording_of_array(samples[:310_000], RATE), RATE, 60.0)  # but what sounds of it is short
    assert isinstance(short.samples, np.ndarray)
    np.testing.assert_array_equal(short.samples, whole.samples[: len(short.samples)])
