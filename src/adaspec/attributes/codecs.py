"""Lossy codecs: encoded and decoded in memory by libsndfile, with one channel, aligned to the clip.

Sample rates that a codec does not take are changed to the next that it does, and back.
"""

from __future__ import annotations

import bisect
import io

import soundfile
import soxr

from adaspec.attributes.arithmetic import of_length
from adaspec.attributes.contract import Clip, Samples

__all__ = ["mp3", "opus", "vorbis"]

MP3_HZ = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
# From which sample rate on, bit rates go from and to: MPEG-2.5, MPEG-2 and MPEG-1, layer III.
MP3_KBIT_S = {8000: (8, 64), 16000: (8, 160), 32000: (32, 320)}
MP3_HZ_PER_KBIT = 700
MP3_DELAY = 576 + 529  # samples of LAME and of any decoder, where a frame has no room for the tag that tells them
OPUS_HZ = (8000, 12000, 16000, 24000, 48000)
OPUS_KBIT_S = (6, 256)
VORBIS_HZ = (8000, 192_000)  # lowest and highest: above 200 kHz libvorbis ends the process
SHORTEST = 4096  # samples that are encoded; silence follows shorter clips, of which encoders write nothing
BLOCK = 2**15  # samples that are written at once: libvorbis copies its first ones to the stack, however many there are


def mp3(clip: Clip, kbit_s: float) -> Samples:
    """MP3 by LAME, at a constant bit rate.

    As LAME itself does, low bit rates encode at a lower sample rate, at most 700 Hz for each kbit/s (24 kbit/s at
    16 kHz), so that a bit rate means about the same whatever the clip's sample rate. libsndfile's `compression_level`
    goes from 0, the highest bit rate of the sample rate, to 1, the lowest: 320 to 32 kbit/s from 32 kHz on, 160 to 8
    from 16 kHz, 64 to 8 below. LAME takes the nearest that exists.
    """
    rate = min(_next(MP3_HZ, clip.sample_rate), _last(MP3_HZ, MP3_HZ_PER_KBIT * kbit_s))
    low, high = MP3_KBIT_S[max(each for each in MP3_KBIT_S if each <= rate)]
    level = min(max((high - kbit_s) / (high - low), 0.0), 0.99)  # 1 itself is refused
    return _coded(clip, rate, "MP3", "MPEG_LAYER_III", level, "CONSTANT")


def vorbis(clip: Clip, quality: float) -> Samples:
    """Ogg Vorbis, at a variable bit rate.

    The quality is that of `oggenc -q`, from 10 down to 0, or 1 less a tenth of it as libsndfile's `compression_level`;
    libsndfile offers none below 0. At 44.1 kHz and one channel, 0 is nominally 48 kbit/s.
    """
    return _coded(clip, min(max(VORBIS_HZ[0], clip.sample_rate), VORBIS_HZ[1]), "OGG", "VORBIS", 1 - quality / 10)


def opus(clip: Clip, kbit_s: float) -> Samples:
    """Opus, as calls and streams have it, at a variable bit rate of this mean.

    libsndfile's `compression_level` goes from 0 at 256 kbit/s to 1 at 6 kbit/s. Clips are encoded at the next sample
    rate of Opus, of 8 to 48 kHz, as calls are; `opusenc` always encodes at 48 kHz, which takes more bits at low rates.
    """
    low, high = OPUS_KBIT_S
    return _coded(clip, _next(OPUS_HZ, clip.sample_rate), "OGG", "OPUS", (high - kbit_s) / (high - low))


def _last(rates: tuple[int, ...], most: float) -> int:
    return rates[max(bisect.bisect_right(rates, most) - 1, 0)]


def _next(rates: tuple[int, ...], sample_rate: int) -> int:
    return rates[min(bisect.bisect_left(rates, sample_rate), len(rates) - 1)]


def _coded(
    clip: Clip, rate: int, container: str, codec: str, compression_level: float, bitrate_mode: str | None = None
) -> Samples:
    samples = soxr.resample(clip.samples, clip.sample_rate, rate) if rate != clip.sample_rate else clip.samples
    n_samples, samples = len(samples), of_length(samples, max(len(samples), SHORTEST))
    file = io.BytesIO()
    with soundfile.SoundFile(
        file,
        "w",
        samplerate=rate,
        channels=1,
        format=container,
        subtype=codec,
        compression_level=compression_level,
        bitrate_mode=bitrate_mode,
    ) as encoder:
        for start in range(0, len(samples), BLOCK):
            encoder.write(samples[start : start + BLOCK])
    file.seek(0)
    decoded, _ = soundfile.read(file, dtype="float32")
    if container == "MP3" and len(decoded) > len(samples):
        decoded = decoded[MP3_DELAY:]
    decoded = of_length(decoded, n_samples)
    if rate != clip.sample_rate:
        decoded = soxr.resample(decoded, rate, clip.sample_rate)
    return of_length(decoded, len(clip.samples))
