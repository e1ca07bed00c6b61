"""Audio files to mono waveforms, block by block, through the one gate that every recording passes.

soundfile (libsndfile) reads WAV, FLAC, Ogg Vorbis/Opus, MP3, AIFF and AU.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import soundfile

from adaspec.audio.container import streams
from adaspec.audio.content import Content, Pieces, Stream
from adaspec.audio.guard import LONGEST_S, BadClipError, Guard
from adaspec.audio.waveform import Waveform, resample_blocks
from adaspec.runtime.sources import open_regular

__all__ = ["AUDIO_SUFFIXES", "Recording", "clip_digest", "decode", "open_recording", "recording_of"]

AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".opus", ".oga", ".mp3", ".aiff", ".aif", ".au", ".snd"})

BLOCK = 2**18  # numbers read at a time, of all channels: a header may declare any
UNKNOWN_LENGTH = 2**62  # what libsndfile gives for a FLAC stream without a length is larger
# By libsndfile's names: formats that tell where they end. WAVEX is WAV's extended header.
CHECKED = frozenset(["AIFF", "AU", "CAF", "FLAC", "HTK", "MP3", "NIST", "OGG", "RF64", "SVX", "W64", "WAV", "WAVEX"])


class _Sequential(soundfile.SoundFile):  # type: ignore[misc]
    """Read from start to end, without the seek after each read that GSM, G.72x and streamed FLAC lack."""

    def seekable(self) -> bool:
        return False


class Recording:
    """A recording that is decoded as its blocks are asked for, once.

    Parameters
    ----------
    guard : Guard
        That its blocks have passed.
    blocks : iterator of ndarray of shape (n_samples,)
        One channel, float32.
    notes : list of str
        Grows while the blocks are read.

    Attributes
    ----------
    sample_rate : int
        In Hz.
    notes : list of str
        What a user should know of it, predicates such as "is digital silence"; complete once all blocks are read.
    """

    def __init__(self, guard: Guard, blocks: Iterator[Waveform], notes: list[str]) -> None:
        self.sample_rate, self.notes = guard.sample_rate, notes
        self._guard, self._blocks = guard, blocks

    @property
    def n_samples(self) -> int:
        """Samples so far, at its own rate."""
        return self._guard.n_samples

    def blocks(self) -> Iterator[Waveform]:
        """One channel, in blocks (n_samples,) of float32; float and lossy files may pass +-1 and are left as they are.

        Raises
        ------
        BadClipError
            What `Guard` refuses; the file is truncated, damaged or cannot be read.
        """
        yield from self._blocks
        if note := self._guard.finish():
            self.notes.append(note)


def clip_digest(content: bytes | BinaryIO) -> str:
    """Fingerprint of a file's bytes."""
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    digest = hashlib.sha256()
    content.seek(0)
    while block := content.read(2**20):
        digest.update(block)
    return digest.hexdigest()


def decode(content: bytes | BinaryIO) -> tuple[Waveform, int]:
    """Decode an audio file to one channel.

    Parameters
    ----------
    content : bytes or binary file
        A whole file, of at most 4 hours. Channels are averaged; 8, 16, 24 and 32 bit and float samples are scaled to
        +-1. Float and lossy files may pass +-1 and are left as they are. Of files that join several recordings, all
        are read.

    Returns
    -------
    waveform : ndarray of shape (n_samples,), float32
    sample_rate : int
        In Hz.

    Raises
    ------
    BadClipError
        The file is empty, truncated or not audio, or holds samples that no recording has.
    """
    recording = recording_of(content)
    return np.concatenate(list(recording.blocks())), recording.sample_rate


def recording_of(content: bytes | BinaryIO, longest_s: float = LONGEST_S) -> Recording:
    """Open an audio file.

    Parameters
    ----------
    content : bytes or binary file
        As of `decode`.
    longest_s : float
        Longest duration that is taken, in seconds.

    Raises
    ------
    BadClipError
        It is empty, truncated or not audio, or its sample rate is out of range.
    """
    file = io.BytesIO(content) if isinstance(content, bytes) else content
    try:
        whole = Content(file)
        if whole.size == 0:
            raise BadClipError("empty file (0 bytes)")
        parts = streams(whole)
    except OSError as error:
        raise BadClipError(f"cannot be read ({error.strerror})") from None
    notes = [stream.note for stream in parts if stream.note]
    if len(parts) > 1:
        notes.append(f"joins {len(parts)} recordings, which are read one after the other")
    first = _Decoder(whole, parts[0])
    if first.note:
        notes.append(first.note)
    guard = Guard(first.sample_rate, longest_s)
    return Recording(guard, _joined(whole, first, parts[1:], guard), notes)


def _joined(whole: Content, first: _Decoder, others: list[Stream], guard: Guard) -> Iterator[Waveform]:
    """Blocks of all recordings of a file, at the rate of the first."""
    yield from (guard.pass_on(block) for block in first.blocks(guard))
    for stream in others:
        decoder = _Decoder(whole, stream)
        own = Guard(decoder.sample_rate, guard.longest_s)
        if own.sample_rate == guard.sample_rate:
            yield from (guard.pass_on(block) for block in decoder.blocks(guard))
            continue
        blocks = (own.pass_on(block) for block in decoder.blocks(own))
        for block in resample_blocks(blocks, own.sample_rate, guard.sample_rate):
            yield guard.pass_on(block[:, None])
        own.finish()


class _Decoder:
    """Decodes one stream."""

    def __init__(self, whole: Content, stream: Stream) -> None:
        if stream.cut:
            damaged = stream.cut.endswith("is damaged")
            raise BadClipError(f"damaged ({stream.cut})" if damaged else f"truncated ({stream.cut})")
        self.pieces = Pieces(whole, stream.pieces, endless=stream.endless)
        self.file = self._checked(_Sequential, self.pieces)
        self.sample_rate: int = self.file.samplerate
        self.note = "" if self.file.format in CHECKED else f"is a {self.file.format} file, whose end is not checked"
        self.n_declared: int = self.file.frames if stream.n_samples is None else stream.n_samples

    def blocks(self, guard: Guard) -> Iterator[npt.NDArray[np.float32]]:
        """Samples (n_samples, n_channels).

        Raises
        ------
        BadClipError
            The stream is too long, or ends before its declared length.
        """
        if self.n_declared < UNKNOWN_LENGTH:
            guard.check_length(guard.n_samples + self.n_declared)
        most = max(1, BLOCK // self.file.channels)
        n_samples = 0
        with self.file:
            while True:
                n_left = self.n_declared - n_samples
                length = min(most, n_left) if n_left > 0 else most
                try:
                    block = self._checked(self.file.read, length, dtype="float32", always_2d=True)
                except BadClipError:
                    if n_left > 0:
                        raise
                    break  # behind all declared samples: tags at the end of a FLAC file
                n_samples += len(block)
                yield block
                if len(block) < length:
                    break
        if n_samples < self.n_declared < UNKNOWN_LENGTH:
            raise BadClipError(f"truncated ({n_samples} of {self.n_declared} samples)")

    def _checked(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        try:
            result = function(*arguments, **options)
        except soundfile.SoundFileError as error:
            reason = str(error).split(": ", 1)[-1].rstrip(".")
            raise BadClipError(f"not readable as audio ({reason})") from None
        if self.pieces.error is not None:
            raise BadClipError(f"cannot be read ({self.pieces.error.strerror})")
        return result


@contextmanager
def open_recording(path: Path) -> Iterator[BinaryIO]:
    """Open a recording's file.

    Raises
    ------
    BadClipError
        It is missing, cannot be opened, is no regular file, or changed while it was open.
    """
    with ExitStack() as opened:
        try:
            file = opened.enter_context(open_regular(path))
        except OSError as error:
            raise BadClipError(f"cannot be opened ({error.strerror})") from None
        before = os.fstat(file.fileno())
        yield file
        after = os.fstat(file.fileno())
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise BadClipError("the file changed while it was read")
