"""Kaldi-compatible log-mel filterbank: a fixed front end, whose spectrogram is stored."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn
from torchaudio.compliance import kaldi

from adaspec.errors import SettingError
from adaspec.frontends.waveform import check_waveform

__all__ = ["Fbank"]


class Fbank(nn.Module):
    """Log-mel filterbank energies as Kaldi computes them, on waveforms of +-1.

    Hann window, no dither, the FFT at the next power of two (25 ms at 16 kHz: n_fft 512), as the Audio Spectrogram
    Transformer uses it.

    Parameters
    ----------
    sample_rate : int
        In Hz.
    frame_length_ms, frame_shift_ms : float
        Window and hop.
    n_mels : int
        Bands between 20 Hz and half the sample rate.
    normalize : bool
        Bring each spectrogram to mean 0 and standard deviation 1.

    Attributes
    ----------
    n_channels, n_features, hop_length, power : int

    Shapes
    ------
    (batch, n_samples) -> (batch, 1, n_mels, n_frames); n_frames = 1 + (n_samples - frame) // hop. Waveforms shorter
    than a frame are filled up with zeros.

    References
    ----------
    Y. Gong, Y.-A. Chung and J. Glass, "AST: Audio Spectrogram Transformer", Interspeech 2021, section 2.1,
    https://arxiv.org/abs/2104.01778
    """

    def __init__(
        self, *, sample_rate: int, frame_length_ms: float, frame_shift_ms: float, n_mels: int, normalize: bool = False
    ) -> None:
        super().__init__()
        self.sample_rate = sample_rate
        self.frame_length_ms, self.frame_shift_ms = frame_length_ms, frame_shift_ms
        self.n_channels, self.n_features, self.power, self.normalize = 1, n_mels, 2, normalize
        self.frame_length = int(sample_rate * frame_length_ms * 0.001)  # samples, rounded down as Kaldi does
        self.hop_length = int(sample_rate * frame_shift_ms * 0.001)
        if self.frame_length < 2 or self.hop_length < 1:
            raise SettingError(
                "frame_length_ms",
                f"={frame_length_ms} and frame_shift_ms={frame_shift_ms} give {self.frame_length} and "
                f"{self.hop_length} samples at {sample_rate} Hz; at least 2 and 1 are needed",
            )

    @property
    def learned(self) -> tuple[str, ...]:
        """Nothing."""
        return ()

    @property
    def rates(self) -> dict[str, float]:
        """Of no parameters."""
        return {}

    def penalty(self) -> Tensor | None:
        """None, as nothing is learned."""
        return None

    def for_export(self) -> nn.Module:
        """Refuse: PyTorch does not export Kaldi's filterbank.

        Raises
        ------
        SettingError
            Always.
        """
        raise SettingError("name", "=fbank is Kaldi's filterbank, which PyTorch does not export; use name=stft")

    def measures(self) -> dict[str, dict[str, Tensor]]:
        """Nothing."""
        return {}

    def n_frames(self, n_samples: int) -> int:
        """Frames of a waveform of n_samples."""
        return 1 + max(0, n_samples - self.frame_length) // self.hop_length

    def forward(self, waveform: Tensor) -> Tensor:
        return self.compress(self.spectrogram(waveform))

    def spectrogram(self, waveform: Tensor) -> Tensor:
        """Power in each band, shaped as the output of `forward`, with Kaldi's floor of 1.2e-7."""
        check_waveform(waveform)
        if waveform.shape[1] < self.frame_length:
            waveform = nn.functional.pad(waveform, (0, self.frame_length - waveform.shape[1]))
        features = torch.stack([self._one(clip) for clip in waveform])  # (batch, n_frames, n_mels)
        return features.transpose(1, 2).unsqueeze(1).exp()

    def compress(self, spectrogram: Tensor) -> Tensor:
        """Second half of `forward`: natural logarithm, normalised where that is asked for."""
        features = spectrogram.clamp_min(torch.finfo(torch.float32).eps).log()
        if self.normalize:
            mean, std = (
                features.mean(dim=(1, 2, 3), keepdim=True),
                features.std(dim=(1, 2, 3), correction=0, keepdim=True),
            )
            features = (features - mean) / (std + 1e-5)  # digital silence has no spread
        return features

    def _one(self, clip: Tensor) -> Tensor:
        with warnings.catch_warnings():
            # Many narrow bands leave some without any FFT bin: Kaldi's own behaviour, told at length by torchaudio.
            warnings.filterwarnings("ignore", message="At least one mel filterbank has all zero values")
            return kaldi.fbank(
                clip.unsqueeze(0),
                sample_frequency=self.sample_rate,
                frame_length=self.frame_length_ms,
                frame_shift=self.frame_shift_ms,
                num_mel_bins=self.n_features,
                window_type="hanning",
                use_energy=False,
                dither=0.0,
            )
