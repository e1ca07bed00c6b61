"""Ogg (RFC 3533): pages with checksums; a file may chain several streams, of which libsndfile reads the first."""

from __future__ import annotations

import zlib

from adaspec.audio.content import Content, Stream
from adaspec.audio.tags import after_tags

__all__ = ["ogg_streams"]

HEADER = 27  # bytes, then the segment table
FIRST, LAST = 2, 4  # flags of a page
MIRRORED = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))


def ogg_streams(content: Content, start: int) -> list[Stream]:
    """The links of a chain that begins at `start`, or what is wrong with the one that is not whole."""
    links: list[Stream] = []
    begin = position = start
    flags = FIRST
    while position < content.size:
        head = content.at(position, HEADER + 255)
        if head[:4] != b"OggS"[: len(head)]:
            break
        n_segments = head[26] if len(head) >= HEADER else 255
        table = head[HEADER : HEADER + n_segments]
        n_bytes = HEADER + n_segments + sum(table)
        if len(table) < n_segments or position + n_bytes > content.size:
            return [*links, Stream((range(begin, content.size),), cut="the last Ogg page is cut")]
        if head[5] & FIRST and not flags & FIRST:  # the pages that begin the streams of a link stand together
            links.append(_link(begin, position, flags))
            begin = position
        flags = head[5]
        if not _is_whole(content.at(position, n_bytes)):
            return [*links, Stream((range(begin, position),), cut=f"the Ogg page at byte {position} is damaged")]
        position += n_bytes
    last = _link(begin, position, flags)
    end = after_tags(content, position)
    rest = range(end, content.size)
    note = "" if content.is_blank(rest) else f"ends in {len(rest)} bytes that are no Ogg page and are not read"
    return [*links, Stream(last.pieces, last.cut, note=note)]


def _link(begin: int, end: int, flags: int) -> Stream:
    return Stream((range(begin, end),), cut="" if flags & LAST else "the Ogg stream has no last page")


def _is_whole(page: bytes) -> bool:
    """Whether the checksum is that of the page: CRC-32 of 0x04C11DB7, highest bit first, over a zero in its place."""
    blanked = page[:22] + bytes(4) + page[26:]
    mirrored = zlib.crc32(blanked.translate(MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{mirrored:032b}"[::-1], 2) == int.from_bytes(page[22:26], "little")
