"""Short-time Fourier transform whose window and kernels can be learned."""

from __future__ import annotations

import math
import warnings
from typing import Any

import scipy.signal
import torch
import torchaudio
from torch import Tensor, nn

__all__ = ["AdaptiveSTFT", "dft_basis"]


def dft_basis(n_fft: int) -> Tensor:
    """Real basis of the discrete Fourier transform.

    Rows cos(2 pi k n / N) for k = 0 .. N//2, then -sin(2 pi k n / N) without the rows that are zero (DC, and Nyquist
    where N is even). The phase is reduced modulo N in integers: computed in float32 it is off by 6e-4 at N = 2048.

    Parameters
    ----------
    n_fft : int
        N, in samples.

    Returns
    -------
    Tensor of shape (n_fft, n_fft), float32
        First the N//2 + 1 cosine rows, then the (N - 1)//2 sine rows.
    """
    n = torch.arange(n_fft, dtype=torch.int64)
    k = torch.arange(n_fft // 2 + 1, dtype=torch.int64)
    phase = 2 * math.pi / n_fft * ((k[:, None] * n[None, :]) % n_fft).double()
    sine_rows = slice(1, 1 + (n_fft - 1) // 2)
    return torch.cat([phase.cos(), -phase[sine_rows].sin()]).float()


class AdaptiveSTFT(nn.Module):
    """Power (or log-mel) spectrogram that starts as the STFT and can learn its window and its kernels.

    Where the kernels are fixed the transform is an FFT; where they are learned, one matrix product with the real basis
    of `dft_basis`. At the start both give the same numbers. The power is |X|^2 = Re^2 + Im^2, free of a square root,
    and the compression log10(1 + log_base * power) has a finite gradient on digital silence.

    Parameters
    ----------
    sample_rate : int
        In Hz.
    n_fft, win_length, hop_length : int
        In samples; win_length <= n_fft, the window is centred within n_fft.
    window : str or tuple
        As `scipy.signal.get_window` takes it; periodic.
    n_mels : int or None
        Mel bands (HTK scale, triangles of height 1); None keeps the n_fft//2 + 1 linear bins.
    f_min, f_max : float, float or None
        Range of the mel bands in Hz; None is half the sample rate.
    log_base : float or None
        Factor within the logarithm; None leaves the power.
    learn_window, learn_kernels : bool
        Make the window (win_length numbers) and the kernels (n_fft x n_fft) parameters.

    Attributes
    ----------
    n_features : int
        n_mels, or n_fft//2 + 1.
    hop_length : int

    Shapes
    ------
    (batch, n_samples) -> (batch, 1, n_features, n_frames); n_frames = 1 + n_samples // hop_length (n_samples - 1
    for odd n_fft). Frames are centred, the ends reflected or, where a clip is too short for that, filled with zeros.
    """

    window: Tensor
    kernels: Tensor | None
    mel: Tensor | None

    def __init__(
        self,
        *,
        sample_rate: int,
        n_fft: int = 1024,
        win_length: int | None = None,
        hop_length: int = 512,
        window: str | tuple[Any, ...] = "hann",
        n_mels: int | None = 64,
        f_min: float = 0.0,
        f_max: float | None = None,
        log_base: float | None = 1e6,
        learn_window: bool = False,
        learn_kernels: bool = False,
    ) -> None:
        super().__init__()
        win_length = n_fft if win_length is None else win_length
        if not 1 <= win_length <= n_fft:
            raise ValueError(f"win_length={win_length} must be between 1 and n_fft={n_fft}")
        if hop_length < 1:
            raise ValueError(f"hop_length={hop_length} must be at least 1")
        f_max = sample_rate / 2 if f_max is None else f_max
        if not 0 <= f_min < f_max <= sample_rate / 2:
            raise ValueError(f"f_min={f_min} and f_max={f_max} must satisfy 0 <= f_min < f_max <= {sample_rate / 2} Hz")
        self.sample_rate, self.n_fft, self.win_length, self.hop_length = sample_rate, n_fft, win_length, hop_length
        self.log_base = log_base
        n_freqs = n_fft // 2 + 1
        self.n_features = n_freqs if n_mels is None else n_mels

        values = torch.from_numpy(scipy.signal.get_window(window, win_length)).float()
        if learn_window:
            self.window = nn.Parameter(values)
        else:
            self.register_buffer("window", values)
        if learn_kernels:
            self.kernels = nn.Parameter(dft_basis(n_fft))
        else:
            self.kernels = None
        mel = None
        if n_mels is not None:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="At least one mel filterbank has all zero values")
                mel = torchaudio.functional.melscale_fbanks(n_freqs, f_min, f_max, n_mels, sample_rate)
            if not mel.any(dim=0).all():
                n_empty = int((~mel.any(dim=0)).sum())
                raise ValueError(
                    f"{n_empty} of n_mels={n_mels} bands between {f_min} and {f_max} Hz hold no bin of n_fft={n_fft} "
                    f"at {sample_rate} Hz; lower n_mels or raise n_fft"
                )
        self.register_buffer("mel", mel, persistent=False)  # (n_freqs, n_mels)

    def extra_repr(self) -> str:
        return (
            f"n_fft={self.n_fft}, win_length={self.win_length}, hop_length={self.hop_length}, "
            f"n_features={self.n_features}, learn_window={isinstance(self.window, nn.Parameter)}, "
            f"learn_kernels={self.kernels is not None}"
        )

    def power_spectrogram(self, waveform: Tensor) -> Tensor:
        """Squared magnitude: (batch, n_samples) -> (batch, n_frames, n_fft//2 + 1)."""
        half = self.n_fft // 2
        mode = "reflect" if waveform.shape[1] > half else "constant"
        padded = nn.functional.pad(waveform.unsqueeze(1), (half, half), mode=mode).squeeze(1)
        frames = padded.unfold(1, self.n_fft, self.hop_length)  # (batch, n_frames, n_fft)
        left = (self.n_fft - self.win_length) // 2
        window = nn.functional.pad(self.window, (left, self.n_fft - self.win_length - left))
        if self.kernels is None:
            spectrum = torch.fft.rfft(frames * window)
            return spectrum.real.square() + spectrum.imag.square()
        projected = frames @ (self.kernels * window).T  # (batch, n_frames, n_fft)
        n_cosines = half + 1
        cosine, sine = projected[..., :n_cosines], projected[..., n_cosines:]
        # The sine rows of DC and Nyquist are left out of the basis: their power is that of the cosine alone.
        return cosine.square() + nn.functional.pad(sine.square(), (1, n_cosines - 1 - sine.shape[-1]))

    def forward(self, waveform: Tensor) -> Tensor:
        if waveform.ndim != 2:
            raise ValueError(f"waveform must have shape (batch, n_samples), got {tuple(waveform.shape)}")
        # bf16 holds 8 bits: the transform keeps the dtype of the waveform under autocast.
        with torch.autocast(waveform.device.type, enabled=False):
            power = self.power_spectrogram(waveform)
            if self.mel is not None:
                power = power @ self.mel
            if self.log_base is not None:
                power = torch.log1p(self.log_base * power) / math.log(10)
        return power.transpose(1, 2).unsqueeze(1)
