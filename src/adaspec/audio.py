"""Audio files to mono waveforms: decode, guard against bad input, resample.

soundfile (libsndfile) reads WAV, FLAC, Ogg Vorbis/Opus, MP3, AIFF and AU; soxr resamples.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

__all__ = [
    "AUDIO_SUFFIXES",
    "BadClipError",
    "clip_digest",
    "decode",
    "read_bytes",
    "resample",
    "sounding_part",
    "to_int16",
    "trim_silence",
]

AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".opus", ".oga", ".mp3", ".aiff", ".aif", ".au", ".snd"})

Waveform = npt.NDArray[np.float32]


BLOCK = 2**20  # samples read at a time: a header may declare any number
UNKNOWN_LENGTH = 2**62  # what libsndfile gives for a FLAC stream without a length is larger


class _Memory(io.BytesIO):
    """Bytes as a file; libsndfile seeks before the start of some cut AIFF files."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return super().seek(max(0, offset) if whence == 0 else offset, whence)


class _Sequential(soundfile.SoundFile):  # type: ignore[misc]
    """Read from start to end, without the seek after each read that GSM, G.72x and streamed FLAC lack."""

    def seekable(self) -> bool:
        return False


class BadClipError(ValueError):
    """A file that cannot be used as audio; the message is the reason alone, the caller adds which file."""


def clip_digest(content: bytes) -> str:
    """Fingerprint of a file's bytes."""
    return hashlib.sha256(content).hexdigest()


def decode(content: bytes) -> tuple[Waveform, int]:
    """Decode the bytes of an audio file to one channel.

    Parameters
    ----------
    content : bytes
        A whole file. Channels are averaged; 8, 16, 24 and 32 bit and float samples are scaled to +-1. Float and
        lossy files may pass +-1 and are left as they are.

    Returns
    -------
    waveform : ndarray of shape (n_samples,), float32
    sample_rate : int
        In Hz.

    Raises
    ------
    BadClipError
        The file is empty, truncated or not audio, or holds no, NaN or infinite samples.
    """
    if not content:
        raise BadClipError("empty file (0 bytes)")
    try:
        with _Sequential(_Memory(content)) as file:
            n_declared, sample_rate = file.frames, file.samplerate
            blocks = [file.read(BLOCK, dtype="float32", always_2d=True)]
            while len(blocks[-1]) == BLOCK:
                blocks.append(file.read(BLOCK, dtype="float32", always_2d=True))
            channels = np.concatenate(blocks)
    except soundfile.SoundFileError as error:
        reason = str(error).split(": ", 1)[-1].rstrip(".")
        raise BadClipError(f"not readable as audio ({reason})") from None
    cut = _missing_tail(content)
    if cut or len(channels) < n_declared < UNKNOWN_LENGTH:
        raise BadClipError(f"truncated ({cut or f'{len(channels)} of {n_declared} samples'})")
    if len(channels) == 0:
        raise BadClipError("no samples")
    if not np.isfinite(channels).all():
        raise BadClipError("NaN or infinite samples")
    waveform = channels[:, 0] if channels.shape[1] == 1 else channels.mean(axis=1, dtype=np.float32)
    return np.ascontiguousarray(waveform), sample_rate


def _missing_tail(content: bytes) -> str:
    """Say how much of a container is missing at its end; libsndfile reads such files without a word."""
    if content[:4] in (b"RIFF", b"FORM"):
        order = "little" if content[:4] == b"RIFF" else "big"
        position = 12
        while position + 8 <= len(content):
            size = int.from_bytes(content[position + 4 : position + 8], order)  # type: ignore[arg-type]
            streamed = size in (0, 0x7FFFFFFF, 0xFFFFFFFF) or size >= 0x7FFFF000  # written to a pipe: length unknown
            available = len(content) - position - 8
            if content[position : position + 4] in (b"data", b"SSND") and not streamed and size > available:
                return f"{available} of {size} bytes"
            position += 8 + size + size % 2
    elif content[:4] == b".snd":
        start, size = (int.from_bytes(content[at : at + 4], "big") for at in (4, 8))
        if size != 0xFFFFFFFF and start + size > len(content):  # 0xFFFFFFFF: length unknown
            return f"{len(content) - start} of {size} bytes"
    elif content[:4] == b"RF64" and content[12:16] == b"ds64":
        size = int.from_bytes(content[28:36], "little")
        position = 12
        while position + 8 <= len(content) and content[position : position + 4] != b"data":
            chunk = int.from_bytes(content[position + 4 : position + 8], "little")
            position += 8 + chunk + chunk % 2
        available = len(content) - position - 8
        if size > available:
            return f"{max(0, available)} of {size} bytes"
    elif content[:4] == b"OggS":
        # RFC 3533: the last page of a stream carries flag 4, and its segment table tells how long it is.
        page = content.rfind(b"OggS")
        n_segments = content[page + 26] if len(content) > page + 26 else 256
        table = content[page + 27 : page + 27 + n_segments]
        if len(table) < n_segments or page + 27 + n_segments + sum(table) > len(content):
            return "the last Ogg page is cut"
        if not content[page + 5] & 4:
            return "the Ogg stream has no last page"
    return ""


def read_bytes(path: Path) -> bytes:
    """Read a whole file.

    Raises
    ------
    BadClipError
        It is missing or cannot be opened.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadClipError(f"cannot be opened ({error.strerror})") from None


def resample(waveform: Waveform, from_rate: int, to_rate: int) -> Waveform:
    """Change the sample rate (Hz) with soxr at high quality; equal rates return the waveform itself."""
    if from_rate == to_rate:
        return waveform
    resampled = np.asarray(soxr.resample(waveform, from_rate, to_rate), dtype=np.float32)
    return resampled if len(resampled) else np.zeros(1, dtype=np.float32)


def sounding_part(waveform: Waveform, trim_db: float | None) -> slice:
    """From the first to the last sample above the peak less `trim_db`; all of digital silence, and where it is None."""
    if trim_db is None:
        return slice(0, len(waveform))
    level = np.abs(waveform)
    loud = level > level.max() * 10 ** (-trim_db / 20)
    if not loud.any():  # digital silence
        return slice(0, len(waveform))
    return slice(int(loud.argmax()), len(loud) - int(loud[::-1].argmax()))


def trim_silence(waveform: Waveform, trim_db: float | None) -> Waveform:
    """Cut off silent ends."""
    return waveform[sounding_part(waveform, trim_db)]


def to_int16(waveform: Waveform) -> npt.NDArray[np.int16]:
    """Quantise +-1 to 16 bit; what passes full scale saturates."""
    quantised: npt.NDArray[np.int16] = np.clip(np.rint(waveform * 32768.0), -32768, 32767).astype(np.int16)
    return quantised
