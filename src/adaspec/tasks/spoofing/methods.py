"""Ways to take speech apart and put it together again, each with the loss that is typical of some synthesisers."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torchaudio
from torch import Tensor, nn

__all__ = ["METHODS", "random_whole"]

FLOOR = 1e-5  # of magnitudes, before their logarithm


def _real(low: float, high: float) -> float:
    return low + (high - low) * float(torch.rand(()))


def random_whole(low: int, high: int) -> int:
    """A whole number from low to high, both included."""
    return int(torch.randint(low, high + 1, ()))


def _window(n_fft: int, like: Tensor) -> Tensor:
    return torch.hann_window(n_fft, device=like.device)


def _stft(waveforms: Tensor, n_fft: int, hop: int) -> Tensor:
    return torch.stft(waveforms, n_fft, hop, window=_window(n_fft, waveforms), return_complex=True)


def _istft(spectra: Tensor, n_fft: int, hop: int, n_samples: int) -> Tensor:
    return torch.istft(spectra, n_fft, hop, window=_window(n_fft, spectra.real), length=n_samples)


def _frame(sample_rate: int, milliseconds: float) -> int:
    """Power of two nearest to a duration, in samples."""
    return 2 ** max(5, round(math.log2(sample_rate * milliseconds / 1000)))


def _random_frame(sample_rate: int) -> tuple[int, int]:
    n_fft = _frame(sample_rate, 16.0 * 2 ** random_whole(0, 2))
    return n_fft, n_fft // 2 ** random_whole(1, 2)


def _random_phase(magnitudes: Tensor) -> Tensor:
    return 2 * math.pi * torch.rand_like(magnitudes)


def _envelope(magnitudes: Tensor, n_cepstra: int) -> Tensor:
    """Logarithm of magnitudes (batch, n_freqs, n_frames), smoothed to their first cepstra."""
    cepstra = torch.fft.irfft((magnitudes + FLOOR).log(), dim=1)
    cepstra[:, n_cepstra : cepstra.shape[1] - n_cepstra + 1] = 0
    return torch.fft.rfft(cepstra, dim=1).real


def _with_phases(magnitudes: Tensor, phases: Tensor, n_fft: int, hop: int, n_samples: int, n_rounds: int) -> Tensor:
    """Waveforms of magnitudes and first phases, which rounds of Griffin and Lim bring nearer to each other.

    References
    ----------
    D. Griffin and J. Lim, "Signal Estimation from Modified Short-Time Fourier Transform", IEEE TASSP 32(2), 1984
    """
    waveforms = _istft(torch.polar(magnitudes, phases), n_fft, hop, n_samples)
    for _ in range(n_rounds):
        phases = _stft(waveforms, n_fft, hop).angle()
        waveforms = _istft(torch.polar(magnitudes, phases), n_fft, hop, n_samples)
    return waveforms


def _invert_magnitudes(waveforms: Tensor, sample_rate: int) -> Tensor:
    """Keep magnitudes, guess phases."""
    n_fft, hop = _random_frame(sample_rate)
    magnitudes = _stft(waveforms, n_fft, hop).abs()
    return _with_phases(magnitudes, _random_phase(magnitudes), n_fft, hop, waveforms.shape[1], random_whole(0, 6))


def _invert_bands(waveforms: Tensor, sample_rate: int) -> Tensor:
    """Keep the powers of few bands, guess what lies within them and the phases."""
    n_fft, hop = _random_frame(sample_rate)
    magnitudes = _stft(waveforms, n_fft, hop).abs()
    n_freqs = magnitudes.shape[1]
    n_bands = random_whole(16, 48)
    # Triangles on the mel scale, as weights of each frequency in its neighbouring bands.
    mel = torch.log1p(torch.arange(n_freqs, device=waveforms.device) * sample_rate / n_fft / 700)
    place = mel / mel[-1] * (n_bands - 1)
    weights = (1 - (place[:, None] - torch.arange(n_bands, device=waveforms.device)).abs()).clamp_min(0)
    filled = weights.sum(dim=0).clamp_min(1e-6)
    powers = torch.einsum("fb,nft->nbt", weights, magnitudes.square()) / filled[:, None]
    coarse = torch.einsum("fb,nbt->nft", weights, powers).sqrt()
    fine = (magnitudes / (coarse + FLOOR)).clamp(FLOOR, 4) ** _real(0, 0.6)
    return _with_phases(coarse * fine, _random_phase(coarse), n_fft, hop, waveforms.shape[1], random_whole(0, 6))


def _advance_phases(waveforms: Tensor, sample_rate: int) -> Tensor:
    """Replace phases by the advance of each frequency from frame to frame, with some jitter."""
    n_fft, hop = _random_frame(sample_rate)
    magnitudes = _stft(waveforms, n_fft, hop).abs()
    frequency = torch.arange(magnitudes.shape[1], device=waveforms.device)[:, None]
    frame = torch.arange(magnitudes.shape[2], device=waveforms.device)
    turns = (frequency * frame * hop % n_fft) / n_fft
    phases = 2 * math.pi * turns + _real(0, 0.4) * _random_phase(magnitudes)
    return _istft(torch.polar(magnitudes, phases), n_fft, hop, waveforms.shape[1])


def _jitter_phases(waveforms: Tensor, sample_rate: int) -> Tensor:
    """Disturb the phases."""
    n_fft, hop = _random_frame(sample_rate)
    spectra = _stft(waveforms, n_fft, hop)
    turn = torch.randn_like(spectra.real) * _real(0.4, 1.5)
    return _istft(spectra * torch.polar(torch.ones_like(turn), turn), n_fft, hop, waveforms.shape[1])


def _keep_peaks(waveforms: Tensor, sample_rate: int) -> Tensor:
    """Keep the spectral peaks, as a sum of sinusoids does.

    References
    ----------
    R. McAulay and T. Quatieri, "Speech Analysis/Synthesis Based on a Sinusoidal Representation", IEEE TASSP 34(4), 1986
    """
    n_fft, hop = _random_frame(sample_rate)
    spectra = _stft(waveforms, n_fft, hop)
    magnitudes = spectra.abs()
    is_peak = magnitudes == nn.functional.max_pool2d(magnitudes, (3, 1), 1, (1, 0))
    lobes = nn.functional.max_pool2d(is_peak.float(), (3, 1), 1, (1, 0))
    loud = magnitudes > magnitudes.quantile(_real(0.5, 0.85), dim=1, keepdim=True)
    return _istft(spectra * lobes * loud, n_fft, hop, waveforms.shape[1])


def _shift_pitch(waveforms: Tensor, sample_rate: int) -> Tensor:
    """Stretch by a phase vocoder, and play as much faster or slower.

    References
    ----------
    J. Flanagan and R. Golden, "Phase Vocoder", Bell System Technical Journal 45(9), 1966
    """
    n_fft, hop = _random_frame(sample_rate)
    n_samples = waveforms.shape[1]
    speed = math.exp(_real(-0.25, 0.25))
    advance = torch.linspace(0, math.pi * hop, n_fft // 2 + 1, device=waveforms.device)[:, None]
    spectra = torchaudio.functional.phase_vocoder(_stft(waveforms, n_fft, hop), speed, advance)
    stretched = torch.istft(spectra, n_fft, hop, window=_window(n_fft, waveforms))
    n_played = max(1, round(stretched.shape[1] * speed))
    played = nn.functional.interpolate(stretched[:, None], size=n_played, mode="linear")[:, 0]
    return nn.functional.pad(played, (0, max(0, n_samples - n_played)))[:, :n_samples]


def _envelope_frame(sample_rate: int) -> tuple[int, int, int]:
    n_fft = _frame(sample_rate, 32.0)
    return n_fft, n_fft // 4, random_whole(8, 30)


def _flatten_details(waveforms: Tensor, sample_rate: int) -> Tensor:
    """Keep the spectral envelope, weaken what stands out from it."""
    n_fft, hop, n_cepstra = _envelope_frame(sample_rate)
    spectra = _stft(waveforms, n_fft, hop)
    magnitudes = spectra.abs()
    envelope = _envelope(magnitudes, n_cepstra)
    details = (magnitudes + FLOOR).log() - envelope
    weakened = (envelope + _real(0.2, 0.8) * details).exp()
    return _with_phases(weakened, spectra.angle(), n_fft, hop, waveforms.shape[1], random_whole(0, 2))


def _smooth_in_time(waveforms: Tensor, sample_rate: int) -> Tensor:
    """Average magnitudes over neighbouring frames, as coarse parameter tracks do."""
    n_fft, hop, _ = _envelope_frame(sample_rate)
    spectra = _stft(waveforms, n_fft, hop)
    magnitudes = spectra.abs()
    n_averaged = 2 * random_whole(1, 4) + 1
    smooth = nn.functional.avg_pool1d(magnitudes, n_averaged, 1, n_averaged // 2, count_include_pad=False)
    return _istft(torch.polar(smooth, spectra.angle()), n_fft, hop, waveforms.shape[1])


def _warp_envelope(waveforms: Tensor, sample_rate: int) -> Tensor:
    """Move the spectral envelope in frequency under the same pitch: another vocal tract."""
    n_fft, hop, n_cepstra = _envelope_frame(sample_rate)
    spectra = _stft(waveforms, n_fft, hop)
    envelope = _envelope(spectra.abs(), n_cepstra)
    last = envelope.shape[1] - 1
    place = (torch.arange(last + 1, device=waveforms.device) * math.exp(_real(-0.2, 0.2))).clamp_max(last)
    below = place.long()
    moved = torch.lerp(envelope[:, below], envelope[:, (below + 1).clamp_max(last)], (place - below)[:, None])
    return _istft(spectra * (moved - envelope).clamp(-4, 4).exp(), n_fft, hop, waveforms.shape[1])


def _swap_envelopes(waveforms: Tensor, sample_rate: int) -> Tensor:
    """Give the excitation of one clip the envelope of another: voice conversion by filtering."""
    n_fft, hop, n_cepstra = _envelope_frame(sample_rate)
    spectra = _stft(waveforms, n_fft, hop)
    envelope = _envelope(spectra.abs(), n_cepstra)
    other = envelope.roll((1, random_whole(0, envelope.shape[2] - 1)), dims=(0, 2))
    return _istft(spectra * (other - envelope).clamp(-4, 4).exp(), n_fft, hop, waveforms.shape[1])


def _excite(waveforms: Tensor, sample_rate: int) -> Tensor:
    """Excite the envelope by pulses at the pitch where speech is voiced, by noise elsewhere: a vocoder."""
    n_fft, hop, n_cepstra = _envelope_frame(sample_rate)
    n_samples = waveforms.shape[1]
    spectra = _stft(waveforms, n_fft, hop)
    correlation = torch.fft.irfft(spectra.abs().square(), dim=1)[:, : n_fft // 2]
    shortest = sample_rate // 400  # samples between pulses
    strength, lag = (correlation[:, shortest:] / (correlation[:, :1] + FLOOR**2)).max(dim=1)
    pitch = sample_rate / (lag + shortest).float() * _real(0.9, 1.1)
    if torch.rand(()) < 0.3:  # monotonous
        pitch = pitch.median(dim=1, keepdim=True).values.expand_as(pitch)
    per_sample = nn.functional.interpolate(torch.stack([pitch, strength], dim=1), size=n_samples, mode="linear")
    pitch, strength = per_sample.unbind(dim=1)
    phase = (pitch / sample_rate).cumsum(dim=1)
    pulses = nn.functional.pad(phase.floor().diff(dim=1), (1, 0)) * (sample_rate / pitch).sqrt()
    voiced = (strength > _real(0.25, 0.45)).float()
    breath = _real(0, 0.4)
    noise = torch.randn_like(waveforms)
    excitation = voiced * ((1 - breath) * pulses + breath * noise) + (1 - voiced) * noise
    shaped = _stft(excitation, n_fft, hop) * _envelope(spectra.abs(), n_cepstra).clamp_max(8).exp()
    return _istft(shaped, n_fft, hop, n_samples)


def _join_units(waveforms: Tensor, sample_rate: int) -> Tensor:
    """Replace units of 35 to 100 ms by others of the clip, with joins of 2 ms."""
    n_samples = waveforms.shape[1]
    result, start = waveforms.clone(), 0
    ramp = torch.linspace(0, 1, max(2, sample_rate // 500), device=waveforms.device)
    while True:
        n_unit = round(sample_rate * _real(0.035, 0.1))
        if start + n_unit > n_samples:
            return result
        if torch.rand(()) < 0.5:
            source = min(max(0, start + random_whole(-n_unit, n_unit)), n_samples - n_unit)
            weight = torch.ones(n_unit, device=waveforms.device)
            weight[: len(ramp)], weight[-len(ramp) :] = ramp, ramp.flip(0)
            unit = waveforms[:, source : source + n_unit]
            result[:, start : start + n_unit] = torch.lerp(result[:, start : start + n_unit], unit, weight)
        start += n_unit


Method = Callable[[Tensor, int], Tensor]  # waveforms (batch, n_samples), sample rate -> waveforms
METHODS: dict[str, Method] = {
    "invert_magnitudes": _invert_magnitudes,
    "invert_bands": _invert_bands,
    "advance_phases": _advance_phases,
    "jitter_phases": _jitter_phases,
    "keep_peaks": _keep_peaks,
    "shift_pitch": _shift_pitch,
    "flatten_details": _flatten_details,
    "smooth_in_time": _smooth_in_time,
    "warp_envelope": _warp_envelope,
    "swap_envelopes": _swap_envelopes,
    "excite": _excite,
    "join_units": _join_units,
}
