"""Recordings to waveforms: decode, guard against bad input, trim, resample."""

from adaspec.audio.decode import AUDIO_SUFFIXES, Recording, clip_digest, decode, open_recording, recording_of
from adaspec.audio.given import recording_of_array
from adaspec.audio.guard import LONGEST_S, BadClipError
from adaspec.audio.quantise import Quantised, Samples, quantise
from adaspec.audio.waveform import Waveform, resample, sounding_part, to_int16, trim_silence, trimmed_int16

__all__ = [
    "AUDIO_SUFFIXES",
    "LONGEST_S",
    "BadClipError",
    "Quantised",
    "Recording",
    "Samples",
    "Waveform",
    "clip_digest",
    "decode",
    "open_recording",
    "quantise",
    "recording_of",
    "recording_of_array",
    "resample",
    "sounding_part",
    "to_int16",
    "trim_silence",
    "trimmed_int16",
]
