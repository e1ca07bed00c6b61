"""Containers of chunks: WAV (RIFF, RIFX, RF64, BW64), W64, AIFF, 8SVX and CAF. Each declares how long it is.

libsndfile reads a cut file without a word and a streamed one not at all, and takes what follows a W64 for samples.
"""

from __future__ import annotations

from typing import NamedTuple

from adaspec.audio.content import Content, Stream
from adaspec.audio.mpeg import mpeg_streams
from adaspec.audio.tags import after_tags, unread

__all__ = ["chunk_streams", "layout_of"]

MOST_CHUNKS = 10_000  # of what is no audio, in a file of any size
STREAMED = 0x7FFFF000  # sizes from here on are what programs write to a pipe that cannot know them
W64_TAIL = bytes.fromhex("f3acd3118cd100c04f8edb8a")  # of the identifiers of its chunks
MPEG_IN_WAV = (0x50, 0x55)  # WAVE_FORMAT_MPEG, WAVE_FORMAT_MPEGLAYER3


class Layout(NamedTuple):
    """How chunks are written."""

    first: int  # where they begin
    n_id: int  # bytes of a chunk's identifier
    n_size: int  # bytes of its size
    order: str
    inclusive: bool  # the size counts identifier and size
    align: int  # chunks begin at multiples of it
    samples: tuple[bytes, ...]  # identifiers of the chunk with the samples
    container: int | None  # where the size of the whole stands, which then counts from behind it


class Chunk(NamedTuple):
    """One chunk."""

    name: bytes
    begin: int
    body: int
    size: int  # as declared, of the body


WAV = Layout(12, 4, 4, "little", inclusive=False, align=2, samples=(b"data",), container=4)
RIFX = WAV._replace(order="big")
AIFF = RIFX._replace(samples=(b"SSND", b"BODY"))
W64 = Layout(40, 16, 8, "little", inclusive=True, align=8, samples=(b"data" + W64_TAIL,), container=None)
CAF = Layout(8, 4, 8, "big", inclusive=False, align=1, samples=(b"data",), container=None)


def layout_of(head: bytes) -> Layout | None:
    """The layout of a file that begins with these 16 bytes, or None."""
    if head[:4] in (b"RIFF", b"RF64", b"BW64") and head[8:12] == b"WAVE":
        return WAV
    if head[:4] == b"RIFX" and head[8:12] == b"WAVE":
        return RIFX
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC", b"8SVX", b"16SV"):
        return AIFF
    if head == b"riff" + bytes.fromhex("2e91cf11a5d628db04c10000"):
        return W64
    return CAF if head[:6] == b"caff\x00\x01" else None


def chunk_streams(content: Content, start: int, layout: Layout) -> tuple[list[Stream], int]:
    """What the container at `start` holds, and where it ends."""
    chunks, skewed = _walk(content, start + layout.first, layout)
    samples = chunks[-1] if chunks and chunks[-1].name in layout.samples else None
    if samples is None:
        return [Stream((range(start, content.size),))], content.size
    before = {chunk.name: chunk for chunk in chunks[:-1]}
    available = content.size - samples.body
    size, streamed = _declared(content, samples, before, layout)
    if streamed:
        size = available
    if size > available:
        return [Stream((range(start, content.size),), cut=f"{available} of {size} bytes")], content.size
    end = samples.body + size
    if b"fmt " in before and content.number(before[b"fmt "].body, 2, layout.order) in MPEG_IN_WAV:
        return mpeg_streams(content, samples.body, end), content.size
    samples_end = end
    end, note = _rest(content, start, end, layout)
    pieces: tuple[range | bytes, ...] = (range(start, end),)
    if layout is W64 or samples.name == b"BODY":
        pieces = (range(start, samples_end),)
    elif layout in (WAV, RIFX) and (streamed or skewed):
        kept = [chunk for chunk in chunks if chunk.name in (b"fmt ", b"fact")]
        pieces = _anew(kept, range(samples.body, samples_end), layout)
    elif layout is AIFF and streamed:
        pieces = _with_size(content, start, samples, before, available)
    elif layout is CAF and streamed:
        at = samples.body - layout.n_size
        pieces = (range(start, at), size.to_bytes(layout.n_size, "big"), range(samples.body, end))
    return [Stream(pieces, note=note)], end


def _walk(content: Content, position: int, layout: Layout) -> tuple[list[Chunk], bool]:
    """Chunks up to the samples; and whether one of odd size lacks the byte that fills it up, as old programs write."""
    chunks: list[Chunk] = []
    skewed = False
    n_head = layout.n_id + layout.n_size
    while position + n_head <= content.size and len(chunks) < MOST_CHUNKS:
        head = content.at(position, n_head)
        name, size = head[: layout.n_id], int.from_bytes(head[layout.n_id :], layout.order)  # type: ignore[arg-type]
        if layout.inclusive:
            size = max(0, size - n_head)
        chunks.append(Chunk(name, position, position + n_head, size))
        if name in layout.samples:
            break
        end = position + n_head + size
        position = end + -end % layout.align if layout.align == 8 else end + size % layout.align
        if position > end and layout.align == 2 and content.at(end, 4) in (b"data", b"fmt ", b"fact", b"SSND", b"COMM"):
            position, skewed = end, True
    return chunks, skewed


def _declared(content: Content, samples: Chunk, before: dict[bytes, Chunk], layout: Layout) -> tuple[int, bool]:
    """The size of the samples in bytes, and whether it is unknown because the file was written to a pipe."""
    available = content.size - samples.body
    size = samples.size
    if layout is CAF:
        return size, size == 2**64 - 1
    if b"ds64" in before:  # RF64: sizes of 64 bits; those of 32 are all ones
        long = content.number(before[b"ds64"].body + 8, 8, "little")
        if size == 0xFFFFFFFF:
            return long, long in (0, 2**64 - 1) and available > 0
    if layout is W64:
        return size, size == 0 and available > 0
    if size == 0 and available:
        chunks, _ = _walk(content, samples.body, layout)  # no samples, if other chunks follow
        last = chunks[-1] if chunks else None
        return 0, last is None or last.name in layout.samples or last.body + last.size > content.size
    return size, size >= STREAMED and size > available


def _anew(chunks: list[Chunk], samples: range, layout: Layout) -> tuple[range | bytes, ...]:
    """A WAV file of its format and its samples alone, with sizes that are true."""

    def number(value: int) -> bytes:
        return min(value, 0xFFFFFFFF).to_bytes(4, layout.order)  # type: ignore[arg-type]

    kept: list[range | bytes] = []
    for chunk in chunks:
        kept += [chunk.name + number(chunk.size), range(chunk.body, chunk.body + chunk.size), bytes(chunk.size % 2)]
    kept += [b"data" + number(len(samples)), samples, bytes(len(samples) % 2)]
    magic = b"RIFF" if layout.order == "little" else b"RIFX"
    return magic + number(4 + sum(len(piece) for piece in kept)) + b"WAVE", *kept


def _with_size(
    content: Content, start: int, samples: Chunk, before: dict[bytes, Chunk], size: int
) -> tuple[range | bytes, ...]:
    """An AIFF file whose sizes, and number of samples, are those of what it holds."""
    whole = (content.size - start - 8).to_bytes(4, "big")
    common = before.get(b"COMM")
    if common is None or content.at(start + 8, 4) != b"AIFF":  # a compressed one's number of samples is not known
        return (range(start, content.size),)
    n_channels, bits = content.number(common.body, 2, "big"), content.number(common.body + 6, 2, "big")
    per_sample = max(1, n_channels * -(-bits // 8))
    n_samples = (size - 8) // per_sample  # offset and block size stand before the samples
    return (
        range(start, start + 4),
        whole,
        range(start + 8, common.body + 2),
        max(0, n_samples).to_bytes(4, "big"),
        range(common.body + 6, samples.begin + 4),
        size.to_bytes(4, "big"),
        range(samples.body, content.size),
    )


def _rest(content: Content, start: int, end: int, layout: Layout) -> tuple[int, str]:
    """Where the container ends, and what is to be told of what follows its samples."""
    position = end
    for _ in range(MOST_CHUNKS):
        after = after_tags(content, position)
        if after > position:
            position = after
        if position >= content.size or layout_of(content.at(position, 16)) is not None:
            return position, ""
        begin = position + (-(position - start) % 8 if layout.align == 8 else (position - start) % layout.align)
        if begin > position and layout_of(content.at(begin, 16)) is not None:
            return begin, ""
        chunk = next((found for found in (begin, position) if _is_chunk(content, found, layout)), None)
        if chunk is None:
            break
        n_head = layout.n_id + layout.n_size
        size = content.number(chunk + layout.n_id, layout.n_size, layout.order)
        position = chunk + (size if layout.inclusive else n_head + size)
    return content.size, unread(content, position)


def _is_chunk(content: Content, position: int, layout: Layout) -> bool:
    """Whether a chunk with a printable name begins here and ends within the file."""
    name = content.at(position, layout.n_id)
    if len(name) < layout.n_id or not name[:4].isascii() or not name[:4].decode("ascii").isprintable():
        return False
    size = content.number(position + layout.n_id, layout.n_size, layout.order)
    n_head = 0 if layout.inclusive else layout.n_id + layout.n_size
    return size >= (layout.n_id + layout.n_size if layout.inclusive else 0) and position + n_head + size <= content.size
