"""Audio files that lie: changed, cut and contradictory headers end in samples or in one reason, in bounded memory."""

import io
import tracemalloc

import numpy as np
import pytest
import soundfile

from adaspec.audio import BadClipError, quantise, recording_of

N_INPUTS = 24  # of each format
MOST_BYTES = 100 * 2**20  # allocated at a time, whatever a file of some kB declares
LONGEST_S = 600.0
FORMATS = [
    ("WAV", "PCM_16"),
    ("WAV", "FLOAT"),
    ("WAV", "IMA_ADPCM"),
    ("RF64", "PCM_24"),
    ("W64", "PCM_16"),
    ("AIFF", "PCM_16"),
    ("AU", "ULAW"),
    ("CAF", "PCM_16"),
    ("FLAC", "PCM_16"),
    ("OGG", "VORBIS"),
    ("OGG", "OPUS"),
    ("MP3", "MPEG_LAYER_III"),
]
EXTREMES = (0, 1, 0x7F, 0x80, 0xFF)


def mutated(content: bytes, rng: np.random.Generator) -> bytes:
    """Change the header, or anything; cut, repeat, or put a number of 4 bytes that is an extreme."""
    changed = bytearray(content)
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(0, min(120, len(changed)) if rng.random() < 0.8 else len(changed)))
        match int(rng.integers(5)):
            case 0:
                changed[at] ^= 1 << int(rng.integers(8))
            case 1:
                changed[at : at + 4] = bytes([int(rng.choice(EXTREMES))]) * len(changed[at : at + 4])
            case 2:
                del changed[int(rng.integers(1, len(changed))) :]
            case 3:
                changed[at:at] = rng.bytes(int(rng.integers(1, 40)))
            case _:
                changed += changed[at : at + 2000]
    return bytes(changed)


@pytest.mark.parametrize(("container", "subtype"), FORMATS)
def test_changed_files_give_samples_or_a_reason(container: str, subtype: str) -> None:
    rng = np.random.default_rng(FORMATS.index((container, subtype)))
    file = io.BytesIO()
    samples = 0.3 * rng.standard_normal((3000, 2))
    soundfile.write(file, samples, 16_000, format=container, subtype=subtype)
    tracemalloc.start()
    try:
        for _ in range(N_INPUTS):
            content = mutated(file.getvalue(), rng)
            reason = ""
            try:
                kept = quantise(recording_of(content, LONGEST_S), 16_000, 60.0)
            except BadClipError as error:
                reason = str(error)
            else:
                assert 0 < len(kept.samples) <= kept.n_samples <= LONGEST_S * 16_000 + 1
            assert "\n" not in reason
        assert tracemalloc.get_traced_memory()[1] < MOST_BYTES
    finally:
        tracemalloc.stop()
