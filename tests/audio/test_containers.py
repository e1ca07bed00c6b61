"""What files declare of their own length, against what they hold."""

import io
import struct
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from adaspec.audio import BadClipError, decode, recording_of
from adaspec.audio.content import Content
from adaspec.audio.mpeg import mpeg_streams

RATE = 8000
NOISE = (0.3 * np.random.default_rng(0).uniform(-1, 1, RATE)).astype(np.float32)
ID3V1 = b"TAG" + b"a" * 125
JOINED = "joins 2 recordings, which are read one after the other"

Change = Callable[[bytes], bytes]


def encode(
    container: str, subtype: str, rate: int = RATE, samples: npt.NDArray[np.float32] = NOISE, **how: object
) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=container, subtype=subtype, **how)
    return file.getvalue()


def id3(n_bytes: int) -> bytes:
    size = bytes(n_bytes >> shift & 127 for shift in (21, 14, 7, 0))
    return b"ID3\3\0\0" + size + b"\xff\xfb\x90" * (n_bytes // 3) + bytes(n_bytes % 3)


def ape(n_bytes: int) -> bytes:
    size = (n_bytes + 32).to_bytes(4, "little")
    header, footer = (
        b"APETAGEX" + struct.pack("<I", 2000) + size + struct.pack("<II", 1, flags) + bytes(8)
        for flags in (0xA0000000, 0x80000000)
    )
    return header + b"x" * n_bytes + footer


def sized(content: bytes, size: int) -> bytes:
    """A WAV that declares `size` bytes of samples, and of file."""
    changed, position = bytearray(content), content.find(b"data") + 4
    changed[position : position + 4] = changed[4:8] = size.to_bytes(4, "little")
    return bytes(changed)


def with_odd_chunk(content: bytes) -> bytes:
    """A WAV with a chunk of odd size that lacks the byte to fill it up."""
    position = content.find(b"data")
    return content[:position] + b"LIST" + struct.pack("<I", 7) + b"INFOabc" + content[position:]


def read(content: bytes) -> tuple[npt.NDArray[np.float32], list[str]]:
    recording = recording_of(content)
    return np.concatenate(list(recording.blocks())), recording.notes


PCM = ["WAV", "RIFX", "RF64", "W64", "AIFF", "AU", "CAF", "SVX", "NIST", "FLAC"]


def pcm(container: str) -> bytes:
    return encode("WAV", "PCM_16", endian="BIG") if container == "RIFX" else encode(container, "PCM_16")


@pytest.mark.parametrize("container", PCM)
def test_tags_around_a_recording_change_nothing(container: str) -> None:
    content = pcm(container)
    expected = decode(content)[0]
    for around in (id3(3000) + content, id3(5) + id3(7) + content + ID3V1, content + ape(50), content + bytes(500)):
        samples, notes = read(around)
        np.testing.assert_array_equal(samples, expected)
        assert notes == []


@pytest.mark.parametrize("container", PCM)
def test_cut_recordings_are_told(container: str) -> None:
    content = pcm(container)
    for n_missing in (1001, len(content) // 2):
        with pytest.raises(BadClipError, match=r"^(truncated \(\d+ of \d+ bytes\)|not readable as audio \(.+\))$"):
            decode(content[:-n_missing])


@pytest.mark.parametrize("container", [name for name in PCM if name != "NIST"])
def test_joined_recordings_are_all_read(container: str) -> None:
    content = pcm(container)
    expected = decode(content)[0]
    samples, notes = read(content + id3(30) * (container == "WAV") + content)
    np.testing.assert_array_equal(samples, np.concatenate([expected, expected]))
    assert notes == [JOINED]


@pytest.mark.parametrize("size", [0, 0x7FFFF000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
@pytest.mark.parametrize("change", [bytes, with_odd_chunk, lambda content: id3(9) + content])
def test_streamed_wav_is_read_to_its_end(size: int, change: Change) -> None:
    content = encode("WAV", "PCM_16")
    np.testing.assert_array_equal(read(change(sized(content, size)))[0], decode(content)[0])


@pytest.mark.parametrize(
    ("container", "chunk", "n_size", "sizes"),
    [("RF64", b"ds64", 8, (0, 2**64 - 1)), ("AIFF", b"SSND", 4, (0, 2**31 - 1)), ("CAF", b"data", 8, (2**64 - 1,))],
)
def test_other_streamed_containers_are_read_to_their_end(
    container: str, chunk: bytes, n_size: int, sizes: tuple[int, ...]
) -> None:
    content = encode(container, "PCM_16")
    at = content.find(chunk) + (16 if container == "RF64" else 4)
    for size in sizes:
        changed = (
            content[:at] + size.to_bytes(n_size, "little" if container == "RF64" else "big") + content[at + n_size :]
        )
        np.testing.assert_array_equal(read(changed)[0], decode(content)[0])


def test_odd_chunk_without_its_filling_byte_hides_no_samples() -> None:
    content = encode("WAV", "PCM_16")
    np.testing.assert_array_equal(read(with_odd_chunk(content))[0], decode(content)[0])


def test_samples_behind_the_declared_ones_are_told() -> None:
    samples, notes = read(sized(encode("WAV", "PCM_16"), 1000))
    assert len(samples) == 500
    assert notes == ["ends in 15000 bytes behind its declared samples that are not read"]


@pytest.mark.parametrize("declared", [0, 100])
def test_flac_that_declares_too_few_samples_is_read_to_its_end(declared: int) -> None:
    content = bytearray(encode("FLAC", "PCM_16"))
    content[21] &= 0xF0
    content[22:26] = declared.to_bytes(4, "big")
    np.testing.assert_array_equal(read(bytes(content) + ID3V1)[0], decode(encode("FLAC", "PCM_16"))[0])


@pytest.mark.parametrize(("subtype", "rate"), [("VORBIS", 8000), ("OPUS", 48000)])
def test_chained_ogg_is_read_link_by_link(subtype: str, rate: int) -> None:
    whole, half = encode("OGG", subtype, rate), encode("OGG", subtype, rate, NOISE[:4000])
    for content, n_samples in ((whole + half, 12_000), (whole + half + whole, 20_000), (id3(99) + whole + ID3V1, 8000)):
        assert len(read(content)[0]) == n_samples
    other_rate = encode("OGG", subtype, 16_000, NOISE[:4000])
    assert len(read(whole + other_rate)[0]) == 8000 + 4000 * rate // 16_000
    with pytest.raises(BadClipError, match=r"^truncated \(the last Ogg page is cut\)$"):
        decode(whole + half[:-50])


def test_damaged_ogg_page_is_told() -> None:
    content = bytearray(encode("OGG", "VORBIS"))
    content[len(content) // 2] ^= 1
    with pytest.raises(BadClipError, match=r"^damaged \(the Ogg page at byte \d+ is damaged\)$"):
        decode(bytes(content))


def mp3(mode: str, rate: int = 22_050, n_channels: int = 1) -> bytes:
    samples = (0.3 * np.random.default_rng(0).standard_normal((2 * rate, n_channels))).astype(np.float32)
    return encode("MP3", "MPEG_LAYER_III", rate, samples, bitrate_mode=mode, compression_level=0.3)


def without_table(content: bytes) -> bytes:
    """An MP3 without the first frame, which tells its length."""
    head = int.from_bytes(content[:4], "big")
    low = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
    return content[72 * low[head >> 12 & 15] * 1000 // 22_050 + (head >> 9 & 1) :]


VBR, CBR = mp3("VARIABLE"), mp3("CONSTANT")
BARE = without_table(VBR)
N_BARE = 576 * 79  # samples of its frames, which begin before and end after the 44,100 that were encoded


@pytest.mark.parametrize(
    ("content", "n_samples"),
    [
        (VBR, 44_100),
        (BARE, N_BARE),
        (id3(300_000) + without_table(CBR), N_BARE),
        (CBR + ape(100_000) + ID3V1, 44_100),
        (BARE + ape(30_000) + ID3V1, N_BARE),
        (BARE + bytes(5000), N_BARE),
        (bytes(3000) + BARE, N_BARE),
        (VBR + CBR, 88_200),
        (VBR + ID3V1 + id3(500) + CBR, 88_200),
        (BARE + BARE, 2 * N_BARE),
        (VBR + BARE, 44_100 + N_BARE),
        (BARE + VBR, N_BARE + 44_100),
        (VBR + mp3("CONSTANT", 44_100), 88_200),  # resampled to the first one's rate
        (VBR + mp3("CONSTANT", 22_050, 2), 88_200),
    ],
    ids=lambda value: str(value) if isinstance(value, int) else f"{len(value)}B",
)
def test_mp3_is_read_to_its_end_with_or_without_a_table(content: bytes, n_samples: int) -> None:
    assert len(read(content)[0]) == n_samples


@pytest.mark.parametrize("content", [VBR[:-300], BARE[:-300], BARE[:-2], VBR + CBR[:-300], BARE + BARE[:-100]])
def test_cut_mp3_is_told(content: bytes) -> None:
    with pytest.raises(BadClipError, match=r"^truncated \((\d+ of \d+ samples|the last frame is cut)\)$"):
        decode(content)


def test_mp3_in_a_wav_is_read() -> None:
    form = b"fmt " + struct.pack("<IHHIIHHH", 18, 0x55, 1, 22_050, 8000, 1, 0, 0)
    data = b"data" + struct.pack("<I", len(BARE)) + BARE
    content = b"RIFF" + struct.pack("<I", 4 + len(form) + len(data)) + b"WAVE" + form + data
    assert len(read(content)[0]) == N_BARE


def test_bytes_between_frames_are_told() -> None:
    [stream] = mpeg_streams(Content(io.BytesIO(BARE + b"\x12" * 500 + BARE)), 0)
    assert stream.n_samples == 2 * N_BARE
    assert stream.note == "has 500 bytes between its frames that are not read"
