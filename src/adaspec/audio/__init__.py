"""Recordings to waveforms: decode, guard against bad input, trim, resample."""

from adaspec.audio.decode import AUDIO_SUFFIXES, BadClipError, clip_digest, decode, read_bytes
from adaspec.audio.waveform import Waveform, resample, sounding_part, to_int16, trim_silence

__all__ = [
    "AUDIO_SUFFIXES",
    "BadClipError",
    "Waveform",
    "clip_digest",
    "decode",
    "read_bytes",
    "resample",
    "sounding_part",
    "to_int16",
    "trim_silence",
]
