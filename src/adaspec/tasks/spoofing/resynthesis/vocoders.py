"""Vocoders: an envelope, excited anew."""

from __future__ import annotations

from torch import Tensor

from adaspec.tasks.spoofing.resynthesis.arithmetic import (
    FLOOR,
    envelope,
    envelope_frame,
    excitation,
    istft,
    linear_prediction,
    random_real,
    random_whole,
    response,
    stft,
    with_phases,
)

__all__ = ["excite_cepstra", "excite_prediction", "flatten_details", "prediction_frame"]


def prediction_frame(sample_rate: int) -> tuple[int, int, int]:
    """Length and hop of frames of 32 ms, and the order of their linear prediction."""
    n_fft, hop, _ = envelope_frame(sample_rate)
    return n_fft, hop, random_whole(8, 12 + sample_rate // 2000)


def excite_cepstra(waveforms: Tensor, sample_rate: int) -> Tensor:
    """Excite a smooth envelope, without phases of its own, by pulses and noise."""
    n_fft, hop, n_cepstra = envelope_frame(sample_rate)
    spectra = stft(waveforms, n_fft, hop)
    source = stft(excitation(waveforms, spectra, n_fft, sample_rate), n_fft, hop)
    shape = envelope(spectra.abs(), n_cepstra).clamp_max(8).exp()
    return istft(source * shape, n_fft, hop, waveforms.shape[1])


def excite_prediction(waveforms: Tensor, sample_rate: int) -> Tensor:
    """Excite the filters of linear prediction by pulses and noise.

    References
    ----------
    B. Atal and S. Hanauer, "Speech Analysis and Synthesis by Linear Prediction of the Speech Wave", JASA 50(2), 1971
    """
    n_fft, hop, order = prediction_frame(sample_rate)
    spectra = stft(waveforms, n_fft, hop)
    filters, levels = linear_prediction(spectra, order)
    source = stft(excitation(waveforms, spectra, n_fft, sample_rate), n_fft, hop)
    source = source / (source.abs().square().mean(dim=1, keepdim=True).sqrt() + FLOOR)
    return istft(source * levels[:, None] / (response(filters, n_fft) + FLOOR), n_fft, hop, waveforms.shape[1])


def flatten_details(waveforms: Tensor, sample_rate: int) -> Tensor:
    """Keep the spectral envelope, weaken what stands out from it."""
    n_fft, hop, n_cepstra = envelope_frame(sample_rate)
    spectra = stft(waveforms, n_fft, hop)
    magnitudes = spectra.abs()
    shape = envelope(magnitudes, n_cepstra)
    details = (magnitudes + FLOOR).log() - shape
    weakened = (shape + random_real(0.2, 0.8) * details).exp()
    return with_phases(weakened, spectra.angle(), n_fft, hop, waveforms.shape[1], random_whole(0, 2))
