import io
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adaspec.audio import BadClipError, decode, open_recording, resample, to_int16, trim_silence

RATE = 8000
FEW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def sine(
    n_samples: int = RATE, frequency: float = 440.0, rate: int = RATE, peak: float = 0.5
) -> npt.NDArray[np.float32]:
    return (peak * np.sin(2 * np.pi * frequency * np.arange(n_samples) / rate)).astype(np.float32)


def encode(samples: npt.NDArray[np.floating], container: str, subtype: str, rate: int = RATE) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=container, subtype=subtype)
    return file.getvalue()


# Linear codecs, with the step between neighbouring values.
LINEAR = [
    *((container, "PCM_16", 2.0**-15) for container in ("WAV", "WAVEX", "RF64", "FLAC", "AIFF", "AU")),
    *((container, "PCM_24", 2.0**-23) for container in ("WAV", "WAVEX", "RF64", "FLAC", "AIFF", "AU")),
    *((container, "PCM_32", 2.0**-24) for container in ("WAV", "WAVEX", "RF64", "AIFF", "AU")),
    *((container, "PCM_U8", 2.0**-7) for container in ("WAV", "WAVEX", "RF64", "AIFF")),
    *((container, "PCM_S8", 2.0**-7) for container in ("FLAC", "AIFF", "AU")),
    *((container, subtype, 0.0) for container in ("WAV", "RF64", "AIFF", "AU") for subtype in ("FLOAT", "DOUBLE")),
]
# The rest, with the mean error that each makes on a sine of peak 0.5.
LOSSY = [
    *((container, subtype, 0.006) for container in ("WAV", "AIFF", "AU") for subtype in ("ULAW", "ALAW")),
    ("WAV", "IMA_ADPCM", 0.015),
    ("AIFF", "IMA_ADPCM", 0.015),
    ("WAV", "MS_ADPCM", 0.01),
    ("WAV", "GSM610", 0.02),
    ("AIFF", "GSM610", 0.02),
    ("WAV", "G721_32", 0.004),
    ("AU", "G721_32", 0.004),
    ("AU", "G723_24", 0.01),
    ("WAV", "NMS_ADPCM_32", 0.004),
    ("OGG", "VORBIS", 0.006),
    ("OGG", "OPUS", 0.025),
    pytest.param(
        *("MP3", "MPEG_LAYER_III", 0.02),
        marks=pytest.mark.skipif("MP3" not in soundfile.available_formats(), reason="libsndfile without MP3"),
    ),
]
# Containers that tell where they end; an MP3 does so in its first frame.
SELF_DELIMITED = [
    ("WAV", "PCM_16"),
    ("WAV", "FLOAT"),
    ("RF64", "PCM_16"),
    ("FLAC", "PCM_16"),
    ("OGG", "VORBIS"),
    ("OGG", "OPUS"),
    ("AIFF", "PCM_16"),
    ("AU", "PCM_16"),
]


@pytest.mark.parametrize(("container", "subtype", "step"), LINEAR)
def test_decode_linear_codecs_give_the_written_values(container: str, subtype: str, step: float) -> None:
    # An odd number of bytes is filled up by one, which must not become a sample; for AIFF libsndfile itself writes one.
    written = sine(1000 if container == "AIFF" else 1001)
    waveform, rate = decode(encode(written, container, subtype, 11_025))
    assert rate == 11_025
    assert waveform.dtype == np.float32
    assert waveform.shape == written.shape
    np.testing.assert_allclose(waveform, written, rtol=0, atol=1.001 * step)


@pytest.mark.parametrize(("container", "subtype", "mean_error"), LOSSY)
def test_decode_lossy_codecs_give_nearly_the_written_values(container: str, subtype: str, mean_error: float) -> None:
    written = sine()
    waveform, rate = decode(encode(written, container, subtype))
    assert rate == RATE
    assert len(written) <= len(waveform) <= len(written) + 1024  # codecs of fixed blocks fill up the last
    assert np.abs(waveform[: len(written)] - written).mean() < mean_error
    assert np.corrcoef(waveform[: len(written)], written)[0, 1] > 0.995


def test_decode_full_scale_integers_map_to_plus_minus_one() -> None:
    extremes = np.array([-32768, 32767, 0, 1], dtype=np.int16)
    file = io.BytesIO()
    soundfile.write(file, extremes, RATE, format="WAV", subtype="PCM_16")
    waveform, _ = decode(file.getvalue())
    np.testing.assert_array_equal(waveform, np.array([-1.0, 32767 / 32768, 0.0, 1 / 32768], dtype=np.float32))


@pytest.mark.parametrize("n_channels", [1, 2, 3, 8])
def test_decode_channels_are_averaged(n_channels: int) -> None:
    channels = np.random.default_rng(0).uniform(-1, 1, (500, n_channels)).astype(np.float32)
    waveform, _ = decode(encode(channels, "WAV", "FLOAT"))
    np.testing.assert_allclose(waveform, channels.mean(axis=1), rtol=0, atol=1e-6)
    assert waveform.flags.c_contiguous


@pytest.mark.parametrize("other", [-1.0, -0.999])
def test_decode_channels_that_cancel_are_refused(other: float) -> None:
    with pytest.raises(BadClipError, match="the channels cancel each other in their mean"):
        decode(encode(np.stack([sine(), other * sine()], axis=1), "WAV", "PCM_16"))


def test_decode_float_beyond_full_scale_is_kept() -> None:
    loud = sine(peak=3.5)
    waveform, _ = decode(encode(loud, "WAV", "FLOAT"))
    np.testing.assert_array_equal(waveform, loud)


@pytest.mark.parametrize(("container", "subtype"), [("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("AIFF", "PCM_24")])
def test_decode_one_sample_clip(container: str, subtype: str) -> None:
    waveform, _ = decode(encode(np.array([0.25], dtype=np.float32), container, subtype))
    np.testing.assert_array_equal(waveform, [0.25])


@pytest.mark.parametrize(("container", "subtype"), [("WAV", "PCM_16"), ("FLAC", "PCM_24"), ("OGG", "VORBIS")])
def test_decode_silence_is_allowed(container: str, subtype: str) -> None:
    waveform, _ = decode(encode(np.zeros(3000, dtype=np.float32), container, subtype))
    assert waveform.shape == (3000,)
    assert not waveform.any()


def test_decode_empty_file_is_refused() -> None:
    with pytest.raises(BadClipError, match=r"^empty file \(0 bytes\)$"):
        decode(b"")


@pytest.mark.parametrize(("container", "subtype"), [("WAV", "PCM_16"), ("AIFF", "PCM_16"), ("AU", "PCM_16")])
def test_decode_zero_samples_are_refused(container: str, subtype: str) -> None:
    with pytest.raises(BadClipError, match=r"^no samples$"):
        decode(encode(np.zeros(0, dtype=np.float32), container, subtype))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
def test_decode_not_finite_samples_are_refused(value: float, subtype: str) -> None:
    samples = sine(100)
    samples[57] = value
    with pytest.raises(BadClipError, match=r"^NaN or infinite samples$"):
        decode(encode(samples, "WAV", subtype))


def test_decode_not_finite_samples_in_one_channel_are_refused() -> None:
    samples = np.stack([sine(100), sine(100)], axis=1)
    samples[3] = np.inf, -np.inf
    with pytest.raises(BadClipError, match=r"^NaN or infinite samples$"):
        decode(encode(samples, "WAV", "FLOAT"))


@pytest.mark.parametrize(
    "content", [b"path,label\na.wav,dog\n" * 50, b"\n", b"<!DOCTYPE html><html></html>", bytes(5000), b"RIFF"]
)
def test_decode_what_is_not_audio_is_refused_with_a_reason(content: bytes) -> None:
    with pytest.raises(BadClipError, match=r"^not readable as audio \(.+\)$"):
        decode(content)


@FEW
@given(content=st.binary(min_size=1, max_size=400))
def test_decode_random_bytes_are_refused_with_a_reason(content: bytes) -> None:
    with pytest.raises(BadClipError, match=r".{10,}"):
        decode(content)


@pytest.mark.parametrize(("container", "subtype"), SELF_DELIMITED)
@FEW
@given(data=st.data())
def test_decode_truncated_file_is_refused_with_a_reason(container: str, subtype: str, data: st.DataObject) -> None:
    content = encode(sine(3000), container, subtype)
    n_kept = data.draw(st.integers(1, len(content) - 1))
    with pytest.raises(BadClipError, match=r"^(truncated|not readable as audio) \(.+\)$|^no samples$"):
        decode(content[:n_kept])


@pytest.mark.skipif("MP3" not in soundfile.available_formats(), reason="libsndfile without MP3")
@pytest.mark.parametrize("part", [0.3, 0.5, 0.9])
def test_decode_truncated_mp3_is_refused(part: float) -> None:
    content = encode(sine(4 * RATE), "MP3", "MPEG_LAYER_III")
    with pytest.raises(BadClipError, match=r"^truncated \(\d+ of \d+ samples\)$"):
        decode(content[: int(part * len(content))])


def test_decode_ogg_cut_between_pages_is_refused() -> None:
    content = encode(np.random.default_rng(0).uniform(-1, 1, 20 * RATE).astype(np.float32), "OGG", "VORBIS")
    last_page = content.rfind(b"OggS")
    assert content.count(b"OggS") > 4
    with pytest.raises(BadClipError, match=r"^truncated \(the Ogg stream has no last page\)$"):
        decode(content[:last_page])


@pytest.mark.parametrize(("container", "word"), [("WAV", b"data"), ("AIFF", b"SSND")])
def test_decode_truncated_samples_are_counted(container: str, word: bytes) -> None:
    content = encode(sine(1000), container, "PCM_16")
    size = 2000 if container == "WAV" else 2008  # AIFF: offset and block size precede the samples
    with pytest.raises(BadClipError, match=rf"^truncated \({size - 100} of {size} bytes\)$"):
        decode(content[: content.find(word) + 8 + size - 100])


@pytest.mark.parametrize("size", [0x7FFFFFFF, 0xFFFFFFFF])
def test_decode_wav_of_unknown_length_is_read_to_its_end(size: int) -> None:
    """A program that writes WAV to a pipe cannot go back and fill in the length."""
    content = bytearray(encode(sine(1000), "WAV", "FLOAT"))
    for word in (b"RIFF", b"data"):
        position = content.find(word) + 4
        content[position : position + 4] = size.to_bytes(4, "little")
    waveform, _ = decode(bytes(content))
    np.testing.assert_array_equal(waveform[:1000], sine(1000))


def _with_flac_total(content: bytes, total: int) -> bytes:
    """Set the total samples of the STREAMINFO block: 36 bits from the low half of byte 21 on; 0 means unknown."""
    changed = bytearray(content)
    changed[21] = changed[21] & 0xF0 | total >> 32
    changed[22:26] = (total & 0xFFFFFFFF).to_bytes(4, "big")
    return bytes(changed)


def test_decode_flac_of_unknown_length_is_read_to_its_end() -> None:
    """A program that writes FLAC to a pipe leaves the total at 0, which the format defines as unknown."""
    content = encode(sine(10_000), "FLAC", "PCM_16")
    waveform, _ = decode(_with_flac_total(content, 0))
    np.testing.assert_array_equal(waveform, decode(content)[0])


@pytest.mark.parametrize("total", [5001, 50_000, 2**36 - 1])
def test_decode_flac_that_declares_more_samples_than_it_holds_is_refused(total: int) -> None:
    content = encode(sine(5000), "FLAC", "PCM_16")
    with pytest.raises(BadClipError, match=r"^(truncated|not readable as audio) \(.+\)$|^longer than 14400 s"):
        decode(_with_flac_total(content, total))


@pytest.mark.parametrize(("container", "subtype"), [("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS")])
@FEW
@given(data=st.data())
def test_decode_damaged_header_gives_samples_or_a_reason(container: str, subtype: str, data: st.DataObject) -> None:
    content = bytearray(encode(sine(1500), container, subtype))
    content[data.draw(st.integers(0, 60))] ^= data.draw(st.integers(1, 255))
    reason = ""
    try:
        waveform, rate = decode(bytes(content))
    except BadClipError as error:
        reason = str(error)
    if reason:
        assert len(reason) >= 10
    else:
        assert np.isfinite(waveform).all()
        assert len(waveform) > 0
        assert rate > 0


def test_open_regular_tells_why_a_file_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "clip.wav").write_bytes(b"abc")
    with open_recording(tmp_path / "clip.wav") as file:
        assert file.read() == b"abc"
    os.mkfifo(tmp_path / "pipe.wav")
    told = {
        tmp_path / "gone.wav": "No such file or directory",
        tmp_path: "Is a directory",
        tmp_path / "pipe.wav": "a pipe where a file is needed",
        Path("/dev/zero"): "a device where a file is needed",
    }
    for path, reason in told.items():
        with pytest.raises(BadClipError) as refusal, open_recording(path):
            pass
        assert str(refusal.value) == f"cannot be opened ({reason})"


@pytest.mark.parametrize(
    ("from_rate", "to_rate"), [(44_100, 22_050), (16_000, 22_050), (48_000, 16_000), (8000, 44_100)]
)
def test_resample_keeps_frequency_level_and_duration(from_rate: int, to_rate: int) -> None:
    resampled = resample(sine(from_rate, 1000.0, from_rate), from_rate, to_rate)
    assert resampled.dtype == np.float32
    assert abs(len(resampled) - to_rate) <= 1
    inner = slice(to_rate // 10, -to_rate // 10)  # the ends ring
    expected = sine(len(resampled), 1000.0, to_rate)
    np.testing.assert_allclose(resampled[inner], expected[inner], rtol=0, atol=2e-3)


def test_resample_removes_what_would_alias() -> None:
    resampled = resample(sine(44_100, 15_000.0, 44_100), 44_100, 16_000)
    assert np.abs(resampled[1000:-1000]).max() < 1e-3


def test_resample_equal_rates_change_nothing() -> None:
    waveform = sine(123)
    np.testing.assert_array_equal(resample(waveform.copy(), RATE, RATE), waveform)


@pytest.mark.parametrize("n_samples", [1, 2, 5])
def test_resample_shortest_clips_keep_a_sample(n_samples: int) -> None:
    resampled = resample(np.full(n_samples, 0.5, dtype=np.float32), 48_000, 1000)
    assert len(resampled) >= 1
    assert np.isfinite(resampled).all()


def test_to_int16_rounds_to_the_nearest_step() -> None:
    steps = np.array([-32768, -1000, -1, 0, 1, 2, 32767])
    for offset in (-0.4, 0.0, 0.4):
        np.testing.assert_array_equal(to_int16(((steps + offset) / 32768).astype(np.float32)), steps)


def test_to_int16_saturates_beyond_full_scale() -> None:
    loud = np.array([1.0, 1.5, 1e6, -1.0, -1.5, -1e6], dtype=np.float32)
    quantised = to_int16(loud)
    assert quantised.dtype == np.int16
    np.testing.assert_array_equal(quantised, [32767, 32767, 32767, -32768, -32768, -32768])


@given(st.lists(st.integers(-32768, 32767), min_size=1, max_size=50))
def test_to_int16_undoes_decoding(samples: list[int]) -> None:
    written = np.array(samples, dtype=np.int16)
    file = io.BytesIO()
    soundfile.write(file, written, RATE, format="WAV", subtype="PCM_16")
    np.testing.assert_array_equal(to_int16(decode(file.getvalue())[0]), written)


def test_trim_silence_cuts_the_ends_and_nothing_within() -> None:
    body = np.array([0.5, 0.0, 0.0, 0.0, -0.25], dtype=np.float32)
    clip = np.concatenate([np.zeros(7, np.float32), body, np.full(9, 1e-4, np.float32)])
    np.testing.assert_array_equal(trim_silence(clip, 60.0), body)


def test_trim_silence_threshold_is_relative_to_the_peak() -> None:
    clip = np.array([0.009, 0.011, 1.0, 0.011, 0.009], dtype=np.float32)
    for scale in (1.0, 1e-3, 5.0):
        np.testing.assert_array_equal(trim_silence(scale * clip, 40.0), scale * clip[1:-1])
        np.testing.assert_array_equal(trim_silence(scale * clip, 60.0), scale * clip)


@pytest.mark.parametrize("clip", [np.zeros(5), np.ones(1), -np.ones(4), np.array([0.0])])
def test_trim_silence_keeps_silent_and_one_sample_clips(clip: npt.NDArray[np.float64]) -> None:
    waveform = clip.astype(np.float32)
    np.testing.assert_array_equal(trim_silence(waveform, 60.0), waveform)


def test_trim_silence_none_keeps_silent_ends() -> None:
    waveform = np.array([0, 0, 1, 0], dtype=np.float32)
    np.testing.assert_array_equal(trim_silence(waveform, None), waveform)
