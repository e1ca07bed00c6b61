"""What containers say of their own length: libsndfile reads cut files without a word."""

from __future__ import annotations

__all__ = ["missing_tail"]


def missing_tail(content: bytes) -> str:
    """Say how much of a container is missing at its end, or nothing."""
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
