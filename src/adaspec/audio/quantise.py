"""From a recording of any length to what is kept of it: 16 bits at one rate, without its silent ends."""

from __future__ import annotations

import io
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from adaspec.audio.decode import Recording
from adaspec.audio.waveform import SoundingPart, resample_blocks, to_int16
from adaspec.runtime.files import naming

__all__ = ["Quantised", "Samples", "SamplesOnDisk", "quantise"]

MOST_IN_MEMORY = 2**24  # samples: 32 MiB, or 6 minutes at 48 kHz


class SamplesOnDisk:
    """Samples in a temporary file, of which slices are read: an hour takes no memory.

    The file has no name, so that nothing is left of it whatever ends the process.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed with this
        self._part = range(0)

    def __del__(self) -> None:
        self._file.close()

    def append(self, content: bytearray) -> None:
        """Take further samples, as bytes."""
        with naming(Path(tempfile.gettempdir())):
            self._file.seek(0, io.SEEK_END)
            self._file.write(content)
            self._file.flush()

    def limit(self, part: slice) -> None:
        """Let only these count."""
        self._part = range(part.start, part.stop)

    def __len__(self) -> int:
        return len(self._part)

    def __getitem__(self, part: slice, /) -> npt.NDArray[np.int16]:
        wanted = self._part[part.start : part.stop]
        self._file.seek(2 * wanted.start)
        return np.fromfile(self._file, dtype=np.int16, count=len(wanted))


Samples: TypeAlias = npt.NDArray[np.int16] | SamplesOnDisk


@dataclass(frozen=True)
class Quantised:
    """What is kept of a recording.

    Attributes
    ----------
    samples : ndarray of shape (n_kept,), int16, or SamplesOnDisk
        Its sounding part; of a long recording on the disk.
    start : int
        Samples before that part.
    n_samples : int
        Of the whole recording, at the new rate.
    saturates : bool
        Samples pass full scale.
    """

    samples: Samples
    start: int
    n_samples: int
    saturates: bool


def quantise(recording: Recording, sample_rate: int, trim_db: float | None) -> Quantised:
    """Resample, cut off silent ends and round to 16 bits, block by block, in memory that no length adds to.

    Parameters
    ----------
    recording : Recording
        Its blocks are used up.
    sample_rate : int
        In Hz, of what is kept.
    trim_db : float, optional
        Ends this far below the peak are cut off.

    Raises
    ------
    BadClipError
        It cannot be used.
    OSError
        The disk of temporary files is full.
    """
    kept, on_disk = bytearray(), None
    sounding, saturates = SoundingPart(trim_db), False
    for block in resample_blocks(recording.blocks(), recording.sample_rate, sample_rate):
        sounding.add(block)
        saturates = saturates or bool(len(block) and np.abs(block).max() > 1)
        kept += to_int16(block).data
        if len(kept) > 2 * MOST_IN_MEMORY:
            on_disk = SamplesOnDisk() if on_disk is None else on_disk
            on_disk.append(kept)
            kept.clear()
    part = sounding.part()
    samples: Samples
    if on_disk is None:
        samples = np.frombuffer(kept, dtype=np.int16)[part]
    else:
        on_disk.append(kept)
        on_disk.limit(part)
        samples = on_disk if len(on_disk) > MOST_IN_MEMORY else on_disk[:]
    return Quantised(samples, part.start, sounding.n_samples, saturates)
