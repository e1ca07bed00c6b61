"""Voice conversion: another pitch, or another vocal tract, of the same speech."""

from __future__ import annotations

import math

import torch
import torchaudio
from torch import Tensor, nn

from adaspec.tasks.spoofing.resynthesis.arithmetic import (
    chance,
    envelope,
    envelope_frame,
    istft,
    linear_prediction,
    overlap_add,
    random_frame,
    random_real,
    random_whole,
    response,
    smoothed,
    stft,
)
from adaspec.tasks.spoofing.resynthesis.vocoders import prediction_frame

__all__ = ["filter_anew", "play_grains", "repeat_frames", "shift_pitch", "swap_envelopes", "warp_envelope"]


def shift_pitch(waveforms: Tensor, sample_rate: int) -> Tensor:
    """Stretch by a phase vocoder, and play as much faster or slower.

    References
    ----------
    J. Flanagan and R. Golden, "Phase Vocoder", Bell System Technical Journal 45(9), 1966
    """
    n_fft, hop = random_frame(sample_rate)
    n_samples = waveforms.shape[1]
    speed = math.exp(random_real(-0.25, 0.25))
    advance = torch.linspace(0, math.pi * hop, n_fft // 2 + 1, device=waveforms.device)[:, None]
    spectra = torchaudio.functional.phase_vocoder(stft(waveforms, n_fft, hop), speed, advance)
    stretched = istft(spectra, n_fft, hop, None)
    n_played = max(1, round(stretched.shape[1] * speed))
    played = nn.functional.interpolate(stretched[:, None], size=n_played, mode="linear")[:, 0]
    return nn.functional.pad(played, (0, max(0, n_samples - n_played)))[:, :n_samples]


def warp_envelope(waveforms: Tensor, sample_rate: int) -> Tensor:
    """Move the spectral envelope in frequency under the same pitch: another vocal tract."""
    n_fft, hop, n_cepstra = envelope_frame(sample_rate)
    spectra = stft(waveforms, n_fft, hop)
    shape = envelope(spectra.abs(), n_cepstra)
    last = shape.shape[1] - 1
    place = (torch.arange(last + 1, device=waveforms.device) * math.exp(random_real(-0.2, 0.2))).clamp_max(last)
    below = place.long()
    moved = torch.lerp(shape[:, below], shape[:, (below + 1).clamp_max(last)], (place - below)[:, None])
    return istft(spectra * (moved - shape).clamp(-4, 4).exp(), n_fft, hop, waveforms.shape[1])


def _of_another(frames: Tensor) -> Tensor:
    """Another clip's frames (batch, n_freqs, n_frames) for each clip, or its own at another time where it is alone."""
    n_clips, _, n_frames = frames.shape
    earliest = 1 if n_clips == 1 and n_frames > 1 else 0
    return frames.roll((1, random_whole(earliest, n_frames - 1)), dims=(0, 2))


def swap_envelopes(waveforms: Tensor, sample_rate: int) -> Tensor:
    """Give the excitation of one clip the envelope of another: voice conversion by filtering."""
    n_fft, hop, n_cepstra = envelope_frame(sample_rate)
    spectra = stft(waveforms, n_fft, hop)
    shape = envelope(spectra.abs(), n_cepstra)
    other = _of_another(shape)
    return istft(spectra * (other - shape).clamp(-4, 4).exp(), n_fft, hop, waveforms.shape[1])


def filter_anew(waveforms: Tensor, sample_rate: int) -> Tensor:
    """Whiten by linear prediction, and filter by another clip's frames, or by a mean of the clip's own."""
    n_fft, hop, order = prediction_frame(sample_rate)
    spectra = stft(waveforms, n_fft, hop)
    own = response(linear_prediction(spectra, order)[0], n_fft)
    if chance(0.5):
        other = _of_another(own)
    else:
        n_averaged = 2 * random_whole(1, 5) + 1
        other = torch.complex(smoothed(own.real, n_averaged), smoothed(own.imag, n_averaged))
    ratio = own / (other + 1e-3)
    size = ratio.abs().clamp_min(1e-6)
    return istft(spectra * ratio / size * size.clamp(0.02, 50), n_fft, hop, waveforms.shape[1])


def play_grains(waveforms: Tensor, sample_rate: int) -> Tensor:
    """Play grains of 20 to 50 ms faster or slower where they are."""
    n_samples, device = waveforms.shape[1], waveforms.device
    hop = int(sample_rate * random_real(0.01, 0.025))
    speed = math.exp((1 if chance(0.5) else -1) * random_real(0.04, 0.25))
    starts = torch.arange(0, n_samples + hop, hop, device=device)[:, None]
    place = (starts + (torch.arange(2 * hop, device=device) - hop) * speed).clamp(0, n_samples - 1)
    below = place.long()
    after = (below + 1).clamp_max(n_samples - 1)
    grains = torch.lerp(waveforms[:, below], waveforms[:, after], place - below)
    return overlap_add(grains * torch.hann_window(2 * hop, device=device), hop, n_samples)


def repeat_frames(waveforms: Tensor, sample_rate: int) -> Tensor:
    """Take frames of 20 to 60 ms nearer together or farther apart than they are put: another tempo."""
    n_samples, device = waveforms.shape[1], waveforms.device
    hop = int(sample_rate * random_real(0.01, 0.03))
    starts = torch.arange(0, n_samples + hop, hop, device=device) * random_real(0.7, 1.4)
    place = starts.long()[:, None] + torch.arange(2 * hop, device=device)
    frames = waveforms[:, place % n_samples] * torch.hann_window(2 * hop, device=device)
    return overlap_add(frames, hop, n_samples)
