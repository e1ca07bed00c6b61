"""Random changes to a training batch, on its device; PyTorch's global generator is seeded by the caller.

A batch holds waveforms (batch, n_samples) or energies (batch, n_channels, n_features, n_frames), and either is changed
in the same way: energies of a sound that is made louder by a factor are multiplied by the factor to their `power`, and
two sounds together have the sum of both powers, as they have on average where phases are random.
"""

from __future__ import annotations

import math

import torch
import torchaudio
from torch import Tensor, nn

from adaspec.config import AugmentConfig
from adaspec.frontends import AdaptiveSTFT, Fbank

__all__ = ["augment_energies", "augment_inputs", "longest_window", "spec_augment"]

N_GAINS = 8  # of an equaliser, evenly spaced from the lowest frequency or band to the highest
EDGE_HZ = 100.0  # over which a band limit goes from all to nothing


def longest_window(n_window: int, config: AugmentConfig) -> int:
    """Samples or frames to cut for a window that may be played faster."""
    return math.ceil(math.ceil(n_window * (1 + config.time_stretch)) * (1 + config.speed))


def augment_inputs(
    inputs: Tensor, targets: Tensor, frontend: AdaptiveSTFT | Fbank, config: AugmentConfig
) -> tuple[Tensor, Tensor]:
    """Speed, channel, crackle, gain, polarity, delay, shift, noise and mixing, in this order.

    Parameters
    ----------
    inputs : Tensor of shape (batch, n_samples) or (batch, n_channels, n_features, n_frames)
        Waveforms or energies.
    targets : Tensor of shape (batch, n_classes)
        One-hot.
    frontend : AdaptiveSTFT or Fbank
        What the energies are of.
    config : AugmentConfig

    Returns
    -------
    inputs, targets : Tensor
        Of the same shapes, but for what a higher speed uses up of the waveforms.

    References
    ----------
    channel and crackle are after H. Tak et al., "RawBoost: A Raw Data Boosting and Augmentation Method applied to
    Automatic Speaker Verification Anti-Spoofing", ICASSP 2022, sections 3.1 and 3.2, https://arxiv.org/abs/2111.04433;
    the channel on energies is after H. Nam et al., "FilterAugment: An Acoustic Environmental Data Augmentation Method",
    ICASSP 2022, section 2, https://arxiv.org/abs/2110.03282
    """
    power = 1 if inputs.ndim == 2 else frontend.power
    if config.speed:
        inputs = _change_speed(inputs, config.speed)
    if inputs.ndim == 4 and config.equalizer_db:
        gains = _equalizer(inputs, inputs.shape[2], config.equalizer_db)
        inputs = inputs * (gains**power)[:, None, :, None]
    elif config.equalizer_db or config.band_limit_hz is not None:
        inputs = _filter(inputs, frontend.sample_rate, config.equalizer_db, config.band_limit_hz)
    if config.impulses:
        inputs = _crackle(inputs, config.impulses)
    if config.gain_db:
        inputs = _amplify(inputs, 10 ** (_uniform(inputs, -config.gain_db, config.gain_db) / 20), power)
    if config.polarity:
        inputs = inputs * (1 - 2 * torch.randint(2, (len(inputs), 1), device=inputs.device))
    if config.delay:
        inputs = _delay(inputs, config.delay)
    if config.time_shift:
        inputs = _time_shift(inputs, config.time_shift)
    if config.noise_snr_db is not None:
        inputs = _add_noise(inputs, power, frontend, config)
    if config.mix != "none":
        inputs, targets = _mix(inputs, targets, power, config)
    return inputs, targets


def augment_energies(energies: Tensor, n_frames: int, config: AugmentConfig) -> Tensor:
    """Change the speed at constant pitch, and shift in frequency.

    Parameters
    ----------
    energies : Tensor of shape (batch, n_channels, n_features, n_frames or more)
        Where the speed may grow, that much longer than what is wanted.
    n_frames : int
        Wanted.
    config : AugmentConfig

    Returns
    -------
    Tensor of shape (batch, n_channels, n_features, n_frames)
    """
    if config.time_stretch:
        energies = _time_stretch(energies, n_frames, config.time_stretch)
    if config.freq_shift:
        energies = _freq_shift(energies, config.freq_shift)
    return energies


def _uniform(inputs: Tensor, low: float, high: float) -> Tensor:
    """A number for each clip: (batch,)."""
    return low + (high - low) * torch.rand(len(inputs), device=inputs.device)


def _amplify(inputs: Tensor, factor: Tensor, power: int) -> Tensor:
    """Scale the sound of each clip by its factor (batch,)."""
    return inputs * (factor**power).reshape(-1, *[1] * (inputs.ndim - 1))


def _together(inputs: Tensor, others: Tensor, power: int) -> Tensor:
    """Two sounds at once: waveforms and powers add up, and so do the squares of magnitudes."""
    return torch.hypot(inputs, others) if inputs.ndim == 4 and power == 1 else inputs + others


def _level(inputs: Tensor, power: int) -> Tensor:
    """Root mean square of each clip: (batch,)."""
    squares = inputs if power == 2 else inputs.square()
    return squares.flatten(1).mean(dim=1).sqrt()


def _take(inputs: Tensor, index: Tensor) -> Tensor:
    """What each clip holds at the times (batch, n) of its index."""
    if inputs.ndim == 2:
        return inputs.gather(1, index)
    frames = inputs.movedim(3, 1)  # as energies lie in memory: whole frames are copied
    n_clips, n_times = frames.shape[:2]
    rows = index + n_times * torch.arange(n_clips, device=index.device)[:, None]
    taken = frames.flatten(0, 1).index_select(0, rows.flatten())
    return taken.view(*index.shape, *frames.shape[2:]).movedim(1, 3)


def _delay(inputs: Tensor, largest: float) -> Tensor:
    """Begin each clip later by up to `largest` of its length, with silence before it."""
    n_times = inputs.shape[-1]
    late = (_uniform(inputs, 0, largest) * n_times).long()
    index = torch.arange(n_times, device=inputs.device) - late[:, None]
    sounds = (index >= 0).reshape(len(inputs), *[1] * (inputs.ndim - 2), n_times)
    return _take(inputs, index.clamp_min(0)) * sounds


def _time_shift(inputs: Tensor, largest: float) -> Tensor:
    """Rotate each clip in time by up to +-largest of its length."""
    n_times = inputs.shape[-1]
    most = int(largest * n_times)
    shift = torch.randint(-most, most + 1, (len(inputs), 1), device=inputs.device)
    return _take(inputs, (torch.arange(n_times, device=inputs.device) - shift) % n_times)


def _change_speed(waveforms: Tensor, largest: float) -> Tensor:
    """Play each clip faster or slower by up to `largest` of its speed, pitch included; ends where the fastest would."""
    n_samples = int(waveforms.shape[1] / (1 + largest) + 1e-9)
    speed = 1 + _uniform(waveforms, -largest, largest)
    place = torch.arange(n_samples, device=waveforms.device) * speed[:, None]
    before = place.long()
    after = (before + 1).clamp_max(waveforms.shape[1] - 1)
    return torch.lerp(waveforms.gather(1, before), waveforms.gather(1, after), place - before)


def _equalizer(inputs: Tensor, n: int, equalizer_db: float) -> Tensor:
    """Factors (batch, n) of the sound of each clip, smooth from the lowest frequency to the highest."""
    drawn = equalizer_db * torch.randn(len(inputs), 1, N_GAINS, device=inputs.device)
    decibels = nn.functional.interpolate(drawn, size=n, mode="linear", align_corners=True)[:, 0]
    return 10 ** (decibels / 20)


def _filter(
    waveforms: Tensor, sample_rate: int, equalizer_db: float, band_limit_hz: tuple[float, float] | None
) -> Tensor:
    """Send each clip through a channel of its own: gains at `N_GAINS` frequencies, and a band."""
    n_samples = waveforms.shape[1]
    spectra = torch.fft.rfft(waveforms)
    gains = _equalizer(waveforms, spectra.shape[1], equalizer_db)
    if band_limit_hz is not None:
        frequency = torch.linspace(0, sample_rate / 2, spectra.shape[1], device=waveforms.device)
        low = _uniform(waveforms, 0, band_limit_hz[0])[:, None]
        high = _uniform(waveforms, min(band_limit_hz[1], sample_rate / 2), sample_rate / 2)[:, None]
        inside = torch.minimum(frequency - low, high - frequency)  # Hz from the nearer edge
        gains = gains * (1 + inside / EDGE_HZ).clamp(0, 1)
    return torch.fft.irfft(spectra * gains, n=n_samples)


def _crackle(waveforms: Tensor, largest: float) -> Tensor:
    """Disturb a random share of the samples, each by up to its own size."""
    share = _uniform(waveforms, 0, largest)[:, None]
    hit = torch.rand_like(waveforms) < share
    return waveforms * (1 + hit * (2 * torch.rand_like(waveforms) - 1))


def _add_noise(inputs: Tensor, power: int, frontend: AdaptiveSTFT | Fbank, config: AugmentConfig) -> Tensor:
    """Add noise at a signal-to-noise ratio drawn for each clip."""
    assert config.noise_snr_db is not None
    if inputs.ndim == 2:
        noise = torch.randn_like(inputs)
        if config.noise_color_db:
            noise = _filter(noise, frontend.sample_rate, config.noise_color_db, None)
    else:  # one noise for all, of which each clip takes another part
        n_times = inputs.shape[3]
        waveform = torch.randn(1, 2 * n_times * frontend.hop_length, device=inputs.device)
        noise = frontend.energies(waveform)
        start = torch.randint(noise.shape[3], (len(inputs), 1), device=inputs.device)
        index = (start + torch.arange(n_times, device=inputs.device)) % noise.shape[3]
        noise = _take(noise.expand(len(inputs), -1, -1, -1), index)
    wanted = _level(inputs, power) * 10 ** (-_uniform(inputs, *config.noise_snr_db) / 20)
    return _together(inputs, _amplify(noise, wanted / _level(noise, power), power), power)


def _mix(inputs: Tensor, targets: Tensor, power: int, config: AugmentConfig) -> tuple[Tensor, Tensor]:
    """Blend clips and their targets with others of the batch by Beta(alpha, alpha).

    References
    ----------
    mixup: H. Zhang et al., ICLR 2018, eq. 1, https://arxiv.org/abs/1710.09412; between-class: Y. Tokozume et al.,
    "Learning from Between-class Examples for Deep Sound Recognition", ICLR 2018, eq. 2 (here the sound level is the
    root mean square), https://arxiv.org/abs/1711.10282
    """
    n_clips = len(inputs)
    # torch's Beta sampler checks its arguments on every call; two gammas give the same distribution without.
    gammas = torch._standard_gamma(torch.full((2, n_clips), config.mix_alpha, device=inputs.device))
    share = (gammas[0] / gammas.sum(dim=0)).nan_to_num(0.5)  # tiny alpha: both gammas may underflow
    mixed = _uniform(inputs, 0, 1) < config.mix_probability
    if config.mix == "mixup":
        partner = torch.randperm(n_clips, device=inputs.device)
    else:
        draws = torch.rand(n_clips, n_clips, device=inputs.device)
        partner = draws.masked_fill(targets @ targets.T > 0, -1).argmax(dim=1)
    # With itself a sound is not mixed: its energies would add up as if they were another's.
    share = torch.where(mixed & (partner != torch.arange(n_clips, device=inputs.device)), share, 1.0)
    own, other = share, 1 - share
    if config.mix == "between_class":
        level = _level(inputs, power) + 1e-9
        heard = share * level[partner]  # so that the share is the one that is heard
        heard = heard / (heard + (1 - share) * level)
        norm = (heard.square() + (1 - heard).square()).sqrt()
        own, other = heard / norm, (1 - heard) / norm
    blend = _together(_amplify(inputs, own, power), _amplify(inputs[partner], other, power), power)
    return blend, torch.lerp(targets[partner], targets, share[:, None])


def _time_stretch(energies: Tensor, n_frames: int, largest: float) -> Tensor:
    """Play each clip faster or slower by up to `largest` of its speed; between frames is interpolated."""
    last = energies.shape[3] - 1
    speed = 1 + _uniform(energies, -largest, largest)
    place = (torch.arange(n_frames, device=energies.device) * speed[:, None]).clamp_max(last)
    before = place.long()
    after = (before + 1).clamp_max(last)
    return torch.lerp(_take(energies, before), _take(energies, after), (place - before)[:, None, None])


def _freq_shift(energies: Tensor, most: int) -> Tensor:
    """Shift each clip by up to +-most bands; the outermost band fills what becomes free."""
    n_features = energies.shape[2]
    bands = torch.arange(-most, n_features + most, device=energies.device).clamp(0, n_features - 1)
    shifted = energies.movedim(3, 1)[..., bands].unfold(3, n_features, 1).movedim(3, 1)
    start = torch.randint(2 * most + 1, (len(energies),), device=energies.device)
    return shifted[torch.arange(len(energies), device=energies.device), start].movedim(1, 3)


def spec_augment(spectrogram: Tensor, config: AugmentConfig) -> Tensor:
    """Mask one random stretch of bands and one of frames in each clip, in all channels, with each channel's mean.

    References
    ----------
    D. S. Park et al., "SpecAugment", Interspeech 2019, section 2, https://arxiv.org/abs/1904.08779
    """
    for axis, largest in ((2, config.freq_mask), (3, config.time_mask)):
        if largest:
            longest = min(largest, spectrogram.shape[axis] - 1)
            mean = spectrogram.mean(dim=(2, 3), keepdim=True)
            # torchaudio's parameter is one more than the longest mask.
            all_kept = torch.ones_like(spectrogram[:, :1])
            kept = torchaudio.functional.mask_along_axis_iid(all_kept, longest + 1, 0.0, axis)
            spectrogram = torch.where(kept.bool(), spectrogram, mean)
    return spectrogram
