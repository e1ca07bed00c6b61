"""Methods of re-synthesis by the kind of synthesiser whose traces they leave."""

from __future__ import annotations

from adaspec.tasks.spoofing.resynthesis.arithmetic import Method
from adaspec.tasks.spoofing.resynthesis.codecs import code_excitation, quantise_magnitudes, quantise_samples
from adaspec.tasks.spoofing.resynthesis.concatenation import join_units
from adaspec.tasks.spoofing.resynthesis.conversion import (
    filter_anew,
    play_grains,
    repeat_frames,
    shift_pitch,
    swap_envelopes,
    warp_envelope,
)
from adaspec.tasks.spoofing.resynthesis.copies import (
    advance_phases,
    interpolate_frames,
    invert_bands,
    invert_magnitudes,
    jitter_phases,
    keep_peaks,
    lower_rank,
    smooth_in_time,
)
from adaspec.tasks.spoofing.resynthesis.vocoders import excite_cepstra, excite_prediction, flatten_details

__all__ = ["FAMILIES"]

FAMILIES: dict[str, tuple[Method, ...]] = {
    "copies": (
        *(invert_magnitudes, invert_bands, advance_phases, jitter_phases),
        *(keep_peaks, smooth_in_time, interpolate_frames, lower_rank),
    ),
    "vocoders": (excite_cepstra, excite_prediction, flatten_details),
    "conversion": (shift_pitch, warp_envelope, swap_envelopes, filter_anew, play_grains, repeat_frames),
    "codecs": (code_excitation, quantise_magnitudes, quantise_samples),
    "concatenation": (join_units,),
}
