"""What containers say of their own length, and how many recordings a file joins.

libsndfile believes a declared length: it reads cut files without a word, and the first of several recordings alone.
"""

from __future__ import annotations

import dataclasses

from adaspec.audio.chunks import chunk_streams, layout_of
from adaspec.audio.content import Content, Stream
from adaspec.audio.mpeg import first_frame, mpeg_streams
from adaspec.audio.ogg import ogg_streams
from adaspec.audio.tags import after_tags, unread

__all__ = ["streams"]

FLAC_MARKS = (b"fLaC\x00\x00\x00\x22", b"fLaC\x80\x00\x00\x22")  # and the header of the block that comes first


def streams(content: Content) -> list[Stream]:
    """The recordings that a file joins, in order: mostly one.

    What none of these containers is goes to libsndfile as it is.
    """
    start = after_tags(content, 0)
    found: list[Stream] = []
    while start < content.size:
        head = content.at(start, 16)
        layout = layout_of(head)
        if layout is not None:
            more, start = chunk_streams(content, start, layout)
            found += more
        elif head[:4] == b".snd":
            stream, start = _au(content, start)
            found.append(stream)
        elif found:  # what else follows a container of this kind is told with it
            break
        else:
            return _alone(content, start, head)
    return found or [Stream((range(0, content.size),))]


def _alone(content: Content, start: int, head: bytes) -> list[Stream]:
    """Containers that go on to the end of the file."""
    if head[:4] == b"OggS":
        return ogg_streams(content, start)
    if head[:4] == b"fLaC":
        return _flac(content, start)
    if head[:7] == b"NIST_1A":
        return [_nist(content, start)]
    # Recorders leave the end of a frame that was cut in front of the first.
    first = first_frame(content, start, content.size)
    return [Stream((range(start, content.size),))] if first is None else mpeg_streams(content, first)


def _flac(content: Content, start: int) -> list[Stream]:
    """FLAC tells its length and has checksums, which libFLAC reads; a file of several is cut where the next begins."""
    begins = [start]
    step, overlap = 2**20, 7
    for at in range(start + 1, content.size, step):
        window = content.at(at, step + overlap)
        for mark in FLAC_MARKS:
            position = window.find(mark)
            while position >= 0:
                begins.append(at + position)
                position = window.find(mark, position + 1)
    begins.sort()
    return [_flac_stream(content, begin, end) for begin, end in zip(begins, [*begins[1:], content.size], strict=True)]


def _flac_stream(content: Content, begin: int, end: int) -> Stream:
    """With an unknown length in place of the declared one, where libsndfile would stop."""
    if end - begin > 128 and content.at(end - 128, 3) == b"TAG":  # ID3v1
        end -= 128
    total = content.number(begin + 21, 5, "big") & 0xFFFFFFFFF  # 36 bits; 0 means unknown
    if not total or end - begin < 42 or content.at(begin + 4, 1)[0] & 0x7F:
        return Stream((range(begin, end),))
    rate = bytes([content.at(begin + 21, 1)[0] & 0xF0])  # the lower half of this byte belongs to the length
    return Stream((range(begin, begin + 21), rate + bytes(4), range(begin + 26, end)), n_samples=total)


def _au(content: Content, start: int) -> tuple[Stream, int]:
    header, size = (content.number(start + at, 4, "big") for at in (4, 8))
    available = content.size - start - header
    if size in (0, 0xFFFFFFFF) and available > 0:  # 0xFFFFFFFF: length unknown
        return Stream((range(start, start + 8), b"\xff" * 4, range(start + 12, content.size))), content.size
    if size > available:
        return Stream((range(start, content.size),), cut=f"{max(0, available)} of {size} bytes"), content.size
    end = start + header + size
    next_at = after_tags(content, end)
    is_next = content.at(next_at, 4) == b".snd"
    note = "" if is_next else unread(content, next_at)
    return Stream((range(start, end),), note=note), next_at if is_next else content.size


def _nist(content: Content, start: int) -> Stream:
    """NIST SPHERE: a header of text, in which TIMIT's .WAV files tell their length."""
    lines = content.at(start, 1024).decode("latin-1").splitlines()
    fields = dict(line.split(" -i ") for line in lines if line.count(" -i ") == 1)
    whole = Stream((range(start, content.size),))
    try:
        header = int(lines[1])
        size = int(fields["sample_count"]) * int(fields.get("channel_count", "1")) * int(fields["sample_n_bytes"])
    except (IndexError, KeyError, ValueError):
        return whole
    available = content.size - start - header
    if min(header, size) <= 0:
        return whole
    if size > available:
        return dataclasses.replace(whole, cut=f"{max(0, available)} of {size} bytes")
    end = start + header + size
    return Stream((range(start, end),), note=unread(content, after_tags(content, end)))
