"""Audio files to mono waveforms: decode, and guard against bad input.

soundfile (libsndfile) reads WAV, FLAC, Ogg Vorbis/Opus, MP3, AIFF and AU.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import soundfile

from adaspec.audio.container import missing_tail
from adaspec.audio.waveform import Waveform

__all__ = ["AUDIO_SUFFIXES", "BadClipError", "clip_digest", "decode", "read_bytes"]

AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".opus", ".oga", ".mp3", ".aiff", ".aif", ".au", ".snd"})

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
    cut = missing_tail(content)
    if cut or len(channels) < n_declared < UNKNOWN_LENGTH:
        raise BadClipError(f"truncated ({cut or f'{len(channels)} of {n_declared} samples'})")
    if len(channels) == 0:
        raise BadClipError("no samples")
    if not np.isfinite(channels).all():
        raise BadClipError("NaN or infinite samples")
    waveform = channels[:, 0] if channels.shape[1] == 1 else channels.mean(axis=1, dtype=np.float32)
    return np.ascontiguousarray(waveform), sample_rate


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
