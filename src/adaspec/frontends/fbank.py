"""Kaldi-compatible log-mel filterbank: a fixed front end, whose spectrogram is stored."""

from __future__ import annotations

import math
import warnings
from typing import Any

import torch
from torch import Tensor, nn
from torchaudio.compliance import kaldi

from adaspec.errors import SettingError
from adaspec.frontends.stft.dft import dft_rows
from adaspec.frontends.waveform import check_waveform

__all__ = ["Fbank"]

PREEMPHASIS = 0.97
F_MIN = 20.0  # Hz


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
        self.n_fft = 2 ** math.ceil(math.log2(self.frame_length))

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
        """Return what ONNX can hold to the same bits, nearly: onnxruntime's FFT is a hundred times coarser."""
        exported = _Exported(
            sample_rate=self.sample_rate,
            frame_length_ms=self.frame_length_ms,
            frame_shift_ms=self.frame_shift_ms,
            n_mels=self.n_features,
            normalize=self.normalize,
        )
        return exported.train(self.training)

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
        frames = waveform.unfold(1, self.frame_length, self.hop_length)  # (batch, n_frames, frame_length)
        features = self._of_frames(frames.flatten(0, 1)).view(waveform.shape[0], -1, self.n_features)
        return features.transpose(1, 2).unsqueeze(1).exp()

    def compress(self, spectrogram: Tensor) -> Tensor:
        """Second half of `forward`: natural logarithm, normalised where that is asked for."""
        features = spectrogram.clamp_min(torch.finfo(torch.float32).eps).log()
        if self.normalize:
            # Twice: what rounding leaves of the mean is all that there is of silence, and is divided by 1e-5.
            for _ in range(2):
                features = features - features.mean(dim=(1, 2, 3), keepdim=True)
            features = features / (features.std(dim=(1, 2, 3), correction=0, keepdim=True) + 1e-5)
        return features

    def _power(self, frames: Tensor) -> Tensor:
        return torch.fft.rfft(frames).abs().square()

    def _of_frames(self, frames: Tensor) -> Tensor:
        """Log energies (n_frames, n_mels) of frames (n_frames, frame_length), to the last bit as `kaldi.fbank`.

        Written out, as that takes one waveform at a time, which no exporter holds for batches of any size.
        """
        frames = frames - frames.mean(dim=1, keepdim=True)
        frames = frames - PREEMPHASIS * torch.cat([frames[:, :1], frames[:, :-1]], 1)
        frames = frames * torch.hann_window(self.frame_length, periodic=False, dtype=frames.dtype, device=frames.device)
        power = self._power(nn.functional.pad(frames, (0, self.n_fft - self.frame_length)))
        with warnings.catch_warnings():
            # Many narrow bands leave some without any FFT bin: Kaldi's own behaviour, told at length by torchaudio.
            warnings.filterwarnings("ignore", message="At least one mel filterbank has all zero values")
            bands, _ = kaldi.get_mel_banks(
                self.n_features, self.n_fft, self.sample_rate, F_MIN, 0.0, 100.0, -500.0, 1.0
            )
        bands = nn.functional.pad(bands.to(power), (0, 1))  # Kaldi leaves out half the sample rate
        return (power @ bands.T).clamp_min(torch.finfo(torch.float32).eps).log()


class _Exported(Fbank):
    """The same, with the DFT as a matrix product."""

    basis: Tensor

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        rows = dft_rows(self.n_fft, 0, torch.zeros(()))
        self.register_buffer("basis", torch.cat([rows.real, rows.imag]).T)

    def _power(self, frames: Tensor) -> Tensor:
        real, imag = (frames @ self.basis).chunk(2, 1)
        return real.square() + imag.square()
