"""Arithmetic of sound in a batch: of waveforms (batch, n_samples), and of spectrograms before their compression.

A spectrogram of a sound that is made louder by a factor is multiplied by the factor to its power, and two sounds
together have the sum of both powers, as they have on average where phases are random.
"""

from __future__ import annotations

from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from adaspec.config import AugmentConfig
from adaspec.frontends import Frontend

__all__ = ["Sound", "SpectrogramSound", "WaveformSound", "equalizer_gains", "sound_of", "uniform"]

N_GAINS = 8  # of an equaliser, evenly spaced from the lowest frequency or band to the highest
EDGE_HZ = 100.0  # over which a band limit goes from all to nothing


def uniform(inputs: Tensor, low: float, high: float) -> Tensor:
    """A number for each clip: (batch,)."""
    return low + (high - low) * torch.rand(len(inputs), device=inputs.device)


def equalizer_gains(inputs: Tensor, n: int, equalizer_db: float) -> Tensor:
    """Factors (batch, n) of the sound of each clip, smooth from the lowest frequency to the highest."""
    drawn = equalizer_db * torch.randn(len(inputs), 1, N_GAINS, device=inputs.device)
    decibels = nn.functional.interpolate(drawn, size=n, mode="linear", align_corners=True)[:, 0]
    return 10 ** (decibels / 20)


class Sound(Protocol):
    """What can be done to a batch; the last axis is time."""

    def amplify(self, inputs: Tensor, factor: Tensor) -> Tensor:
        """Scale the sound of each clip by its factor (batch,)."""

    def together(self, inputs: Tensor, others: Tensor) -> Tensor:
        """Let two sounds be heard at once."""

    def level(self, inputs: Tensor) -> Tensor:
        """Root mean square of each clip: (batch,)."""

    def take(self, inputs: Tensor, index: Tensor) -> Tensor:
        """What each clip holds at the times (batch, n) of its index."""

    def mute(self, inputs: Tensor, sounds: Tensor) -> Tensor:
        """Silence where (batch, n_times) is false."""

    def channel(self, inputs: Tensor, config: AugmentConfig) -> Tensor:
        """Send each clip through a channel of its own."""

    def noise(self, inputs: Tensor, config: AugmentConfig) -> Tensor:
        """Noise of the shape of the inputs, at any level."""


class WaveformSound:
    """Waveforms (batch, n_samples).

    Parameters
    ----------
    frontend : Frontend
        Tells the sample rate.
    """

    def __init__(self, frontend: Frontend) -> None:
        self.sample_rate = frontend.sample_rate

    def amplify(self, inputs: Tensor, factor: Tensor) -> Tensor:
        """Multiply."""
        return inputs * factor[:, None]

    def together(self, inputs: Tensor, others: Tensor) -> Tensor:
        """Add."""
        return inputs + others

    def level(self, inputs: Tensor) -> Tensor:
        """Root mean square."""
        return inputs.square().flatten(1).mean(dim=1).sqrt()

    def take(self, inputs: Tensor, index: Tensor) -> Tensor:
        """Samples at (batch, n)."""
        return inputs.gather(1, index)

    def mute(self, inputs: Tensor, sounds: Tensor) -> Tensor:
        """Zero where there is no sound."""
        return inputs * sounds

    def channel(self, inputs: Tensor, config: AugmentConfig) -> Tensor:
        """Gains at `N_GAINS` frequencies, and a band."""
        return self._filter(inputs, config.equalizer_db, config.band_limit_hz)

    def noise(self, inputs: Tensor, config: AugmentConfig) -> Tensor:
        """White noise, or coloured."""
        noise = torch.randn_like(inputs)
        return self._filter(noise, config.noise.color_db, None) if config.noise.color_db else noise

    def _filter(self, waveforms: Tensor, equalizer_db: float, band_limit_hz: tuple[float, float] | None) -> Tensor:
        n_samples = waveforms.shape[1]
        spectra = torch.fft.rfft(waveforms)
        gains = equalizer_gains(waveforms, spectra.shape[1], equalizer_db)
        if band_limit_hz is not None:
            half = self.sample_rate / 2
            frequency = torch.linspace(0, half, spectra.shape[1], device=waveforms.device)
            low = uniform(waveforms, 0, band_limit_hz[0])[:, None]
            high = uniform(waveforms, min(band_limit_hz[1], half), half)[:, None]
            inside = torch.minimum(frequency - low, high - frequency)  # Hz from the nearer edge
            gains = gains * (1 + inside / EDGE_HZ).clamp(0, 1)
        return torch.fft.irfft(spectra * gains, n=n_samples)


class SpectrogramSound:
    """Spectrograms (batch, n_channels, n_features, n_frames) before their compression.

    Parameters
    ----------
    frontend : Frontend
        What they are of.
    """

    def __init__(self, frontend: Frontend) -> None:
        self.frontend, self.power = frontend, frontend.power

    def amplify(self, inputs: Tensor, factor: Tensor) -> Tensor:
        """Multiply by the factor to the power."""
        return inputs * (factor**self.power)[:, None, None, None]

    def together(self, inputs: Tensor, others: Tensor) -> Tensor:
        """Add powers; of magnitudes, the squares."""
        return torch.hypot(inputs, others) if self.power == 1 else inputs + others

    def level(self, inputs: Tensor) -> Tensor:
        """Root of the mean power."""
        squares = inputs if self.power == 2 else inputs.square()
        return squares.flatten(1).mean(dim=1).sqrt()

    def take(self, inputs: Tensor, index: Tensor) -> Tensor:
        """Frames at (batch, n)."""
        frames = inputs.movedim(3, 1)  # as spectrograms lie in memory: whole frames are copied
        n_clips, n_times = frames.shape[:2]
        rows = index + n_times * torch.arange(n_clips, device=index.device)[:, None]
        taken = frames.flatten(0, 1).index_select(0, rows.flatten())
        return taken.view(*index.shape, *frames.shape[2:]).movedim(1, 3)

    def mute(self, inputs: Tensor, sounds: Tensor) -> Tensor:
        """Zero where there is no sound."""
        return inputs * sounds[:, None, None]

    def channel(self, inputs: Tensor, config: AugmentConfig) -> Tensor:
        """Gains at `N_GAINS` bands.

        References
        ----------
        H. Nam et al., "FilterAugment: An Acoustic Environmental Data Augmentation Method", ICASSP 2022, section 2,
        https://arxiv.org/abs/2110.03282
        """
        gains = equalizer_gains(inputs, inputs.shape[2], config.equalizer_db)
        return inputs * (gains**self.power)[:, None, :, None]

    def noise(self, inputs: Tensor, config: AugmentConfig) -> Tensor:
        """One noise for all, of which each clip takes another part."""
        n_times = inputs.shape[3]
        waveform = torch.randn(1, 2 * n_times * self.frontend.hop_length, device=inputs.device)
        noise = self.frontend.spectrogram(waveform)
        start = torch.randint(noise.shape[3], (len(inputs), 1), device=inputs.device)
        index = (start + torch.arange(n_times, device=inputs.device)) % noise.shape[3]
        return self.take(noise.expand(len(inputs), -1, -1, -1), index)


def sound_of(domain: Literal["waveform", "spectrogram"], frontend: Frontend) -> WaveformSound | SpectrogramSound:
    """The arithmetic of what a representation decodes to."""
    return WaveformSound(frontend) if domain == "waveform" else SpectrogramSound(frontend)
