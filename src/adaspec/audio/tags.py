"""Tags around a recording, which any program may have put there: ID3, APE, Lyrics3, and blank bytes."""

from __future__ import annotations

from adaspec.audio.content import Content

__all__ = ["after_tags", "is_tag", "unread"]

FEW = 16  # bytes that are no recording
LONGEST_LYRICS = 2**16  # bytes; Lyrics3 ends in a mark of its own


def after_tags(content: Content, position: int) -> int:
    """Position after the tags that begin at `position`; the size of the file where one leads beyond it."""
    while position < content.size:
        size = _tag_size(content, position)
        if not size:
            break
        position = min(content.size, position + size)
    return position


def is_tag(content: Content, position: int) -> bool:
    """Whether a tag begins at `position`."""
    return _tag_size(content, position) > 0


def unread(content: Content, position: int) -> str:
    """What is to be told of the bytes from `position` to the end: "" where they are few, or blank."""
    rest = range(min(position, content.size), content.size)
    if len(rest) < FEW or content.is_blank(rest):
        return ""
    return f"ends in {len(rest)} bytes behind its declared samples that are not read"


def _tag_size(content: Content, position: int) -> int:
    head = content.at(position, 32)
    if head[:3] == b"ID3" and len(head) >= 10 and head[3] < 0xFF and head[4] < 0xFF and max(head[6:10]) < 0x80:
        # Seven bits a byte; flag 0x10: a footer as long as the header.
        size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
        return 10 + size + (10 if head[5] & 0x10 else 0)
    if head[:4] == b"TAG+":
        return 227
    if head[:3] == b"TAG" and position + 128 == content.size:  # ID3v1, always the last 128 bytes
        return 128
    if head[:3] == b"TAG" and content.at(position + 128, 1) in (b"\xff", b"I", b"R", b"O", b"f"):  # of a joined file
        return 128
    if head[:8] == b"APETAGEX" and len(head) >= 32:
        # The size counts the items and the footer, not the header, which is the one with flag 2^29 in its own.
        is_header = head[23] & 0x20
        return int.from_bytes(head[12:16], "little") + 32 if is_header else 32
    if head[:11] == b"LYRICSBEGIN":
        text = content.at(position, LONGEST_LYRICS)
        ends = [text.find(mark) for mark in (b"LYRICS200", b"LYRICSEND") if mark in text]
        return min(ends) + 9 if ends else 0
    return 0
