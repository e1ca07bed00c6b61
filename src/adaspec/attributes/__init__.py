"""What may change in a recording while its label stays: noise, channel, codec, room, level, pitch, pace.

Each attribute is a function in one of this room's files, and a line in `ATTRIBUTES` with its unit and five severities.
The clip's level (root mean square over its length) is restored after a change, unless the level is the attribute.
Where a sample would pass full scale, the whole changed clip is scaled down until it fits: only `clipping` clips.
Nothing here needs torch.
"""

from __future__ import annotations

from collections.abc import Sequence

from adaspec.attributes import arithmetic, codecs, filters, noise, recorder, room, size, tempo
from adaspec.attributes.contract import N_LEVELS, Attribute, Clip, Samples
from adaspec.config.types import ALL
from adaspec.errors import InputError
from adaspec.runtime.text import did_you_mean, shown

__all__ = ["ATTRIBUTES", "N_LEVELS", "Attribute", "Clip", "Samples", "attributes_of", "change", "change_db"]

ATTRIBUTES: dict[str, Attribute] = {
    "white_noise": Attribute("dB SNR", (40, 30, 20, 10, 0), noise.white_noise),
    "colored_noise": Attribute("dB SNR", (30, 20, 10, 5, 0), noise.colored_noise),
    "babble": Attribute("dB SNR", (30, 20, 10, 5, 0), noise.babble),
    "gain": Attribute("dB quieter", (6, 12, 24, 36, 48), recorder.gain, keeps_level=False),
    "clipping": Attribute("dB over full scale", (6, 12, 20, 30, 40), recorder.clipping),
    "dc_offset": Attribute("of the clip's rms", (0.1, 0.3, 1, 2, 5), recorder.dc_offset, keeps_level=False),
    "mu_law": Attribute("bits", (8, 6, 4, 3, 2), recorder.mu_law),
    "silence": Attribute(
        "s at either end", (0.1, 0.25, 0.5, 1, 2), recorder.silence, keeps_time=False, keeps_level=False
    ),
    "low_pass": Attribute("octaves cut off", (0.5, 1, 2, 3, 4), filters.low_pass),
    "telephone": Attribute("octaves about 1 kHz", (6, 5, 3.5, 2.5, 1.5), filters.telephone),
    "aliasing": Attribute("times fewer samples", (2, 3, 4, 6, 8), filters.aliasing),
    "equalizer": Attribute("dB", (3, 6, 10, 15, 20), filters.equalizer),
    "phase": Attribute("degrees", (30, 60, 90, 135, 180), filters.phase),
    "reverb": Attribute("s RT60", (0.2, 0.4, 0.8, 1.5, 3), room.reverb),
    "mp3": Attribute("kbit/s", (64, 32, 24, 16, 8), codecs.mp3),
    "vorbis": Attribute("quality", (8, 6, 4, 2, 0), codecs.vorbis),
    "opus": Attribute("kbit/s", (48, 24, 12, 8, 6), codecs.opus),
    "pitch": Attribute("semitones", (1, 2, 4, 6, 9), tempo.pitch, keeps_time=False),
    "speed": Attribute("ratio", (1.05, 1.1, 1.25, 1.5, 2), tempo.speed, keeps_time=False),
    "time_stretch": Attribute("ratio", (1.1, 1.25, 1.5, 2, 2.5), tempo.time_stretch, keeps_time=False),
}


def change(name: str, level: float, clip: Clip) -> Samples:
    """Change one attribute of a clip.

    Parameters
    ----------
    name : str
        One of `ATTRIBUTES`.
    level : float
        0 for no change, or 1 (mild) to 5 (harsh); between two levels the severity lies between theirs.
    clip : Clip
        Of 10 samples or more.

    Returns
    -------
    ndarray of shape (n_changed_samples,), float32
        Within +-1. At level 0 the clip's very samples. As many as the clip has, other than for `speed`, `time_stretch`
        and `silence`.

    Raises
    ------
    InputError
        There is no such attribute, or level.
    """
    attribute = _named(name)
    if level == 0:
        return clip.samples
    changed = attribute.change(clip, attribute.severity(level))
    if attribute.keeps_level:
        changed = arithmetic.restored(changed, arithmetic.rms(clip.samples))
    return arithmetic.within_full_scale(changed)


def change_db(name: str, before: Samples, after: Samples) -> float:
    """Size of a change in dB, which rises with the severity.

    Of attributes that keep time it is the power of the difference relative to the clip's (`change_to_signal_db`, from
    -120 to 120 dB), of the others the distance of the log spectra (`log_spectral_distance_db`, 0 dB or more): figures
    of the two kinds cannot be compared.

    Parameters
    ----------
    name : str
        One of `ATTRIBUTES`.
    before, after : ndarray of shape (n_samples,) and (n_changed_samples,), float32
        The clip and its change.
    """
    measure = size.change_to_signal_db if _named(name).keeps_time else size.log_spectral_distance_db
    return measure(before, after)


def _named(name: str) -> Attribute:
    if name not in ATTRIBUTES:
        raise InputError(f"attribute {name!r} is not known; use one of {', '.join(ATTRIBUTES)}")
    return ATTRIBUTES[name]


def attributes_of(knob: str, names: Sequence[str]) -> list[str]:
    """Attributes that a knob names, of which `all` alone means every one.

    Raises
    ------
    InputError
        One is not known.
    """
    if list(names) == [ALL]:
        return list(ATTRIBUTES)
    for name in names:
        if name not in ATTRIBUTES:
            otherwise = f"; use {ALL} alone, or {', '.join(ATTRIBUTES)}"
            raise InputError(
                f"params.yaml {knob}: {shown(name)} is no attribute{did_you_mean(name, ATTRIBUTES, otherwise)}"
            )
    return list(names)
