"""What every front end offers."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor, nn

__all__ = ["Frontend"]


class Frontend(Protocol):
    """Waveforms (batch, n_samples) -> (batch, n_channels, n_features, n_frames); a `torch.nn.Module`.

    `forward` is `spectrogram`, then `compress`. Between the two lies what can be mixed, shifted and stretched in
    training, and what is stored where nothing is learned.

    Attributes
    ----------
    sample_rate : int
        In Hz.
    n_channels, n_features : int
        Spectrograms side by side, and their height.
    hop_length : int
        Samples between frames.
    power : int
        2 where `spectrogram` gives powers, 1 where it gives magnitudes.
    learned : tuple of str
        What is being learned, such as "window"; empty where nothing is.
    rates : dict of str to float
        Parameter, by its name -> the learning rate that suits it: per step of Adam, in the parameter's own unit.
    """

    @property
    def sample_rate(self) -> int: ...

    @property
    def n_channels(self) -> int: ...

    @property
    def n_features(self) -> int: ...

    @property
    def hop_length(self) -> int: ...

    @property
    def power(self) -> int: ...

    @property
    def learned(self) -> tuple[str, ...]: ...

    @property
    def rates(self) -> dict[str, float]: ...

    def forward(self, waveform: Tensor) -> Tensor: ...

    def measures(self) -> dict[str, dict[str, Tensor]]:
        """What can be learned, in physical units, as far as its numbers have any.

        Returns
        -------
        dict of str to dict of str to Tensor of shape (n_transforms, n)
            Part, by its name in `learned` -> measure -> values in use, of transforms side by side and their bands, bins
            or groups. The measures of a part have one shape, and their unit at the end of their names (none: a pure
            number); "center_hz" tells where the others lie.
        """

    def n_frames(self, n_samples: int) -> int:
        """Frames of a waveform of n_samples."""

    def spectrogram(self, waveform: Tensor) -> Tensor:
        """Power or magnitude in each band, never negative."""

    def compress(self, spectrogram: Tensor) -> Tensor:
        """From a spectrogram to a scale that a network can use."""

    def penalty(self) -> Tensor | None:
        """How unevenly frames keep the energy of a waveform, 0 at best: a scalar, differentiable in what is learned.

        Training adds it to the loss with the weight `train.frontend.tightness`. None where nothing is learned that it
        depends on.
        """

    def for_export(self) -> nn.Module:
        """Return what stands for it in an exported model."""
