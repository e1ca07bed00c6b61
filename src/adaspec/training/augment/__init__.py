"""Random changes to a training batch, on its device; PyTorch's global generator is seeded by the caller.

Waveforms and spectrograms are changed in the same way, each by its own arithmetic (`sounds`). What may be done to
either, in order, is listed in `changes.CHANGES`; what only spectrograms allow, before and after their compression, in
`spectrograms`.
"""

from adaspec.training.augment.changes import augment_inputs, longest_window
from adaspec.training.augment.sounds import Sound, sound_of
from adaspec.training.augment.spectrograms import augment_compressed, augment_spectrograms

__all__ = ["Sound", "augment_compressed", "augment_inputs", "augment_spectrograms", "longest_window", "sound_of"]
