"""From knobs to the arguments of a front end."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adaspec.config import FrontendConfig

__all__ = ["arguments"]

# Of the adaptive STFT: argument -> knob below `frontend`.
ALWAYS = {
    **{name: name for name in ("n_fft", "win_length", "hop_length", "window", "center", "power", "phase")},
    **{name: name for name in ("n_transforms", "window_ratio")},
    **{name: name for name in ("learn_window", "learn_length", "learn_kernels", "learn_mel", "learn_compression")},
    "n_mels": "mel.n_mels",
    "compression": "compression.name",
    "gamma": "compression.gamma",
}
OF_MEL = {"f_min": "mel.f_min", "f_max": "mel.f_max", "mel_scale": "mel.scale", "mel_norm": "mel.norm"}
OF_LEARNED_WINDOW = {name: name for name in ("window_nonnegative", "window_symmetric")}
OF_LEARNED_LENGTH = {"length_groups": "length_groups"}
OF_LEARNED_MEL = {"mel_form": "mel.form", "mel_smooth": "mel.smooth", "mel_placement": "mel.placement"}
OF_LEARNED_KERNELS = {
    "kernel_form": "kernels.form",
    "band_width": "kernels.band_width",
    "kernel_smooth": "kernels.smooth",
    "kernel_constraint": "kernels.constraint",
    "precision": "kernels.precision",
}
OF_PCEN = {
    f"pcen_{name}": f"compression.pcen.{name}"
    for name in ("time_constant_s", "gain", "bias", "power", "eps", "initial", "shared")
}


def arguments(config: FrontendConfig) -> dict[str, str]:
    """Arguments of the configured front end that are read, and the knob below `frontend` that each comes from.

    One that learns nothing has them all in a section of its name; of the STFT, those of bands, of PCEN and of what
    is learned are read where there are such.
    """
    if config.section is not None:
        return {name: f"fixed.{config.name}.{name}" for name in type(config.section).model_fields}
    read = dict(ALWAYS)
    for is_read, further in (
        (config.mel.n_mels is not None, OF_MEL),
        (config.learn_window, OF_LEARNED_WINDOW),
        (config.learn_length, OF_LEARNED_LENGTH),
        (config.learn_mel, OF_LEARNED_MEL),
        (config.learn_kernels, OF_LEARNED_KERNELS),
        (config.compression.name == "pcen", OF_PCEN),
    ):
        read |= further if is_read else {}
    return read
