"""Codecs are aligned, and do what the programs of their authors do: lame, oggenc and opusenc."""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from sounds import noise_bursts, speech_like

from adaspec.attributes import ATTRIBUTES, Clip, Samples, change, change_db

AUDIO = Path(os.environ.get("ADASPEC_SHARED", Path(__file__).parents[3] / "shared")) / "data" / "esc10" / "audio"
RECORDINGS = ("1-172649-B-40.ogg", "4-157297-A-21.ogg", "5-203739-A-10.ogg")  # a helicopter, sneezing, rain
SAMPLE_RATE = 44100

# What encodes a file in.wav to a file coded at a severity, and what decodes that to out.wav.
PEERS = {
    "mp3": ("lame --quiet -m m --cbr -b {} in.wav coded", "lame --quiet --mp3input --decode coded out.wav"),
    "vorbis": ("oggenc --quiet -q {} in.wav -o coded", "oggdec --quiet coded -o out.wav"),
    "opus": ("opusenc --quiet --bitrate {} in.wav coded", "opusdec --quiet --float --rate 44100 coded out.wav"),
}
WITHIN_DB = {"mp3": 1.0, "vorbis": 0.2, "opus": 2.0}


def lag(samples: Samples, changed: Samples) -> int:
    """Samples by which the changed ones come later, where both match best."""
    n_fft = len(samples) + len(changed)
    matches = np.fft.irfft(np.fft.rfft(changed, n_fft) * np.fft.rfft(samples, n_fft).conj(), n_fft)
    best = int(matches.argmax())
    return best if best < n_fft // 2 else best - n_fft


def band_edge_hz(samples: Samples) -> float:
    """Highest frequency that is less than 70 dB below the loudest, on average over the clip."""
    n_fft = 1024
    frames = np.lib.stride_tricks.sliding_window_view(samples, n_fft)[:: n_fft // 2] * np.hanning(n_fft)
    power = np.square(np.abs(np.fft.rfft(frames))).mean(axis=0)
    return float(np.flatnonzero(power > power.max() * 1e-7).max()) * SAMPLE_RATE / n_fft


@pytest.mark.parametrize("level", [1, 5])
@pytest.mark.parametrize("name", ["mp3", "vorbis", "opus"])
@pytest.mark.parametrize("sample_rate", [1000, 96000, 384000])
def test_single_sample_is_coded(name: str, sample_rate: int, level: int) -> None:
    samples = np.array([0.5], dtype=np.float32)
    changed = change(name, level, Clip(samples, sample_rate, np.random.default_rng(1)))
    assert changed.shape == (1,)
    assert np.isfinite(changed).all()


@pytest.mark.parametrize("level", [1, 5])
@pytest.mark.parametrize("sample_rate", [4000, 8000, 11025, 22050, 44100, 96000])
@pytest.mark.parametrize("name", ["mp3", "vorbis", "opus"])
def test_codec_delays_nothing_and_keeps_the_end(name: str, sample_rate: int, level: int) -> None:
    samples = speech_like(sample_rate, 0.6)
    samples = np.concatenate([samples, samples[::-1]])  # loud at its very end
    changed = change(name, level, Clip(samples, sample_rate, np.random.default_rng(0)))
    assert len(changed) == len(samples)
    assert abs(lag(samples, changed)) <= max(1, round(1e-4 * sample_rate))
    part = slice(-sample_rate // 20, None)
    assert np.square(changed[part]).sum() > 0.3 * np.square(samples[part]).sum()


def test_long_clip_needs_no_larger_stack() -> None:
    """libvorbis crashes the process where 2 million samples are written at once."""
    samples = np.zeros(2**22, np.float32)
    samples[-4000:] = speech_like(8000, 0.5)
    changed = change("vorbis", 3, Clip(samples, 8000, np.random.default_rng(0)))
    assert np.square(changed[-4000:]).sum() > 0.5 * np.square(samples).sum()


@pytest.mark.parametrize("name", ["mp3", "vorbis", "opus"])
def test_codec_of_noise_keeps_a_band_that_narrows(name: str) -> None:
    clip = Clip(noise_bursts(SAMPLE_RATE), SAMPLE_RATE, np.random.default_rng(0))
    edges = [band_edge_hz(change(name, level, clip)) for level in (1, 5)]
    assert edges[1] < edges[0] <= SAMPLE_RATE / 2


@pytest.mark.skipif(not AUDIO.is_dir(), reason="the recordings of ESC-10 are not at hand; see ADASPEC_SHARED")
@pytest.mark.parametrize("name", sorted(PEERS))
@pytest.mark.parametrize("recording", RECORDINGS)
def test_codec_does_what_its_own_program_does(recording: str, name: str, tmp_path: Path) -> None:
    encode, decode = PEERS[name]
    for program in {encode.split()[0], decode.split()[0]}:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed; Debian has it in lame, vorbis-tools and opus-tools")
    with soundfile.SoundFile(AUDIO / recording) as file:
        samples = file.read(2 * SAMPLE_RATE, dtype="float32")
    soundfile.write(tmp_path / "in.wav", samples, SAMPLE_RATE, subtype="FLOAT")
    for level in (1, 5):
        ours = change(name, level, Clip(samples, SAMPLE_RATE, np.random.default_rng(0)))
        for command in (encode.format(ATTRIBUTES[name].severity(level)), decode):
            subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True)
        theirs, rate = soundfile.read(tmp_path / "out.wav", dtype="float32")
        theirs = soxr.resample(theirs, rate, SAMPLE_RATE)
        # Where a frame has no room for its tag, `lame --decode` leaves the codec's delay.
        theirs = np.pad(theirs[max(0, lag(samples, theirs)) :], (0, len(samples)))[: len(samples)]
        theirs *= np.sqrt(np.square(samples).mean() / np.square(theirs).mean())
        told = change_db(name, samples, ours), change_db(name, samples, theirs)
        assert told[0] == pytest.approx(told[1], abs=WITHIN_DB[name]), level
        assert band_edge_hz(ours) == pytest.approx(band_edge_hz(theirs), rel=0.06), level
