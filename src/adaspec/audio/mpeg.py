"""MPEG audio (ISO 11172-3, 13818-3): a row of frames that tells no length, unless its first frame holds a table.

libsndfile estimates the number of samples from the first frames and the size of the file, and stops there.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

from adaspec.audio.content import Content, Stream
from adaspec.audio.tags import after_tags, is_tag

__all__ = ["first_frame", "mpeg_streams"]

# kbit/s by (version is 1, layer), ISO 11172-3 table 3-B.2 and 13818-3 table 3-B.2
_LOW = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
BITRATES = {
    (True, 1): tuple(32 * index for index in range(15)),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): _LOW,
    (False, 3): _LOW,
}
SAMPLE_RATES = (44_100, 48_000, 32_000)  # Hz, of version 1; halved in 2, quartered in 2.5
SEARCHED = 2**16  # bytes in which frames begin after others
CONFIRMED = 3  # frames in a row that make bytes a stream


class Frame(NamedTuple):
    """What a frame's header tells."""

    size: int  # bytes; 0: a free bit rate, which the distance to the next frame tells
    n_samples: int
    side_info: int  # bytes between the header and a table, of layer 3
    kind: tuple[int, ...]  # version, layer, sample rate, one channel or two: alike in all frames of a recording


class _Run:
    """Frames in a row, in pieces of the file."""

    def __init__(self, frame: Frame) -> None:
        self.kind, self.samples_per_frame = frame.kind, frame.n_samples
        self.pieces: list[range] = []
        self.n_frames, self.n_samples = 0, 0
        self.table: _Table | None = None

    def add(self, begin: int, frame: Frame) -> None:
        """Add a frame, to the last piece where it follows it."""
        if self.pieces and self.pieces[-1].stop == begin:
            self.pieces[-1] = range(self.pieces[-1].start, begin + frame.size)
        else:
            self.pieces.append(range(begin, begin + frame.size))
        self.n_frames += 1
        self.n_samples += frame.n_samples


class _Table(NamedTuple):
    """What Xing's, LAME's or Fraunhofer's table in a first frame declares; 0 where it does not."""

    n_frames: int
    n_bytes: int
    is_known: bool  # to libsndfile, which then neither decodes its frame nor the padding that it tells


def is_mpeg(content: Content, position: int) -> bool:
    """Whether frames begin at `position`: three of a kind in a row, or fewer that end with the file."""
    kind: tuple[int, ...] | None = None
    for index in range(CONFIRMED):
        frame = _frame(content, position)
        if frame is None:
            return index > 0 and (position >= content.size or is_tag(content, position))
        if frame.size == 0 or frame.kind != (kind or frame.kind):
            return False
        kind = frame.kind
        position += frame.size
        if position > content.size:
            return index > 0
    return True


def mpeg_streams(content: Content, start: int, end: int | None = None) -> list[Stream]:
    """The recordings in the frames from `start` on: a file may join several, each with or without a table.

    Tags between them are passed over. What is no frame in the middle is told.
    """
    end = content.size if end is None else end
    runs: list[_Run] = []
    position, n_lost, cut, trailing = start, 0, False, 0
    while position < end:
        frame = _frame(content, position)
        if frame is not None and frame.size and position + frame.size <= end:
            _take(content, runs, position, frame)
            position += frame.size
            continue
        after = after_tags(content, position)
        if after > position:
            position = after
            continue
        again = first_frame(content, position + 1, end)
        if again is None:
            like_last = frame is not None and bool(runs) and frame.kind == runs[-1].kind
            cut = like_last or (end - position < 4 and content.at(position, end - position)[:1] == b"\xff")
            trailing = 0 if content.is_blank(range(position, end)) else end - position
            break
        if not content.is_blank(range(position, again)):
            n_lost += again - position
        position = again
    streams = [_stream(run) for run in runs]
    if not streams:
        return [Stream((range(start, end),))]  # whose reason libsndfile tells
    last = streams[-1]
    note = f"has {n_lost} bytes between its frames that are not read" if n_lost else ""
    if not note and trailing and runs[-1].table is None:
        note = f"ends in {trailing} bytes that are no frame and are not read"
    told_cut = last.cut or ("the last frame is cut" if cut else "")
    return [*streams[:-1], dataclasses.replace(last, cut=told_cut, note=note)]


def _take(content: Content, runs: list[_Run], position: int, frame: Frame) -> None:
    """Add a frame to the run that it belongs to, or begin another with it."""
    run = runs[-1] if runs else None
    complete = run is not None and run.table is not None and 0 < run.table.n_frames <= run.n_frames
    # Looked for where a recording may begin: in any frame of layer 3 it would be four bytes of chance.
    table = _table(content, position, frame)
    if run is None or run.kind != frame.kind or complete or table is not None:
        run = _Run(frame)
        run.table = table
        runs.append(run)
        if table is not None:
            if table.is_known:
                run.pieces.append(range(position, position + frame.size))
            return
    run.add(position, frame)


def _stream(run: _Run) -> Stream:
    pieces: tuple[range | bytes, ...] = tuple(run.pieces)
    table = run.table
    bare = Stream(pieces, n_samples=run.n_samples, endless=True)
    if table is None or not table.n_frames:  # a table without a number of frames: libsndfile decodes it as one
        return bare
    n_missing = table.n_frames - run.n_frames
    n_bytes = sum(len(piece) for piece in run.pieces)
    if n_missing > 1 or (n_missing == 1 and not 0 < table.n_bytes <= n_bytes):  # some encoders count the table's frame
        return Stream(pieces, f"{run.n_samples} of {table.n_frames * run.samples_per_frame} samples")
    return Stream(pieces) if table.is_known else bare


def _frame(content: Content, position: int) -> Frame | None:
    """Read a header; None where there is none."""
    head = content.at(position, 4)
    if len(head) < 4 or head[0] != 0xFF or head[1] < 0xE0:
        return None
    version, layer_bits = head[1] >> 3 & 3, head[1] >> 1 & 3  # version 3: 1, 2: 2, 0: 2.5
    bitrate_index, rate_index, padding = head[2] >> 4, head[2] >> 2 & 3, head[2] >> 1 & 1
    if version == 1 or layer_bits == 0 or bitrate_index == 15 or rate_index == 3:
        return None
    layer, is_first = 4 - layer_bits, version == 3
    sample_rate = SAMPLE_RATES[rate_index] >> {3: 0, 2: 1, 0: 2}[version]
    is_mono = head[3] >> 6 == 3
    n_samples = 384 if layer == 1 else 1152 if layer == 2 or is_first else 576
    bitrate = BITRATES[is_first, layer][bitrate_index] * 1000
    if bitrate == 0:
        size = 0
    elif layer == 1:
        size = (12 * bitrate // sample_rate + padding) * 4
    else:
        size = n_samples // 8 * bitrate // sample_rate + padding
    side_info = (17 if is_mono else 32) if is_first else (9 if is_mono else 17)
    return Frame(size, n_samples, side_info, (version, layer, rate_index, is_mono))


def _table(content: Content, position: int, frame: Frame) -> _Table | None:
    """The table that a frame of layer 3 holds instead of sound, if it does."""
    if frame.kind[1] != 3:
        return None
    head = content.at(position, min(frame.size, 64))
    at = 4 + frame.side_info
    if head[at : at + 4] in (b"Xing", b"Info") and not any(head[6:at]):
        flags = int.from_bytes(head[at + 4 : at + 8], "big")
        fields = [int.from_bytes(head[at + 8 + 4 * index : at + 12 + 4 * index], "big") for index in range(2)]
        n_frames = fields.pop(0) if flags & 1 else 0
        return _Table(n_frames, fields[0] if flags & 2 else 0, is_known=True)
    if head[36:40] == b"VBRI" and not any(head[6:36]):
        return _Table(int.from_bytes(head[50:54], "big"), int.from_bytes(head[46:50], "big"), is_known=False)
    return None


def first_frame(content: Content, begin: int, end: int) -> int | None:
    """Where the first frame after other bytes begins, if not too far on."""
    window = content.at(begin, min(SEARCHED, end - begin))
    at = window.find(b"\xff")
    while at >= 0:
        if is_mpeg(content, begin + at):
            return begin + at
        at = window.find(b"\xff", at + 1)
    return None
