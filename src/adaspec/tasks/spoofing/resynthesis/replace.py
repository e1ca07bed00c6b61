"""Spoofed speech out of bona fide speech: what synthesisers leave behind, made on the fly.

A detector that has seen a handful of attacks learns those; here every batch shows it other ones. Each method takes
speech apart as a family of synthesisers does (magnitudes without their phases, envelope and excitation, sinusoids,
units) and puts it together again with the loss that is typical of the family, by random parameters.

References
----------
training on vocoded bona fide speech: X. Wang and J. Yamagishi, "Spoofed training data for speech spoofing
countermeasure can be efficiently created using neural vocoders", ICASSP 2023, https://arxiv.org/abs/2210.10570
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from adaspec.tables.labels import BONAFIDE, SPOOF
from adaspec.tasks.spoofing.resynthesis.arithmetic import (
    FLOOR,
    Method,
    chance,
    istft,
    random_real,
    random_whole,
    same_level,
    smoothed,
    speech_frame,
    stft,
)
from adaspec.tasks.spoofing.resynthesis.families import FAMILIES

__all__ = ["copy_by", "replace_spoofs", "resynthesize"]

GROUP = 4  # clips that get one method and its parameters
LOUD = 0.95  # quantile of the energy that pauses lie far below
KEPT_SPECTRUM = 0.7  # share of them that get back their long-term spectrum


def replace_spoofs(
    waveforms: Tensor, labels: Tensor, names: Sequence[str], share: float, families: Sequence[str], sample_rate: int
) -> tuple[Tensor, Tensor]:
    """Put re-synthesised bona fide clips of the batch in the place of spoofed ones.

    Parameters
    ----------
    waveforms : Tensor of shape (batch, n_samples)
    labels : Tensor of shape (batch,)
        Class indices.
    names : sequence of str
        Labels of the classes: bonafide and spoof.
    share : float
        Chance of each spoofed clip to be replaced; nothing happens in a batch without bona fide clips.
    families : sequence of str
        Keys of `FAMILIES`.
    sample_rate : int
        In Hz.

    Returns
    -------
    waveforms : Tensor of shape (batch, n_samples)
    sources : Tensor of shape (batch,)
        Position in the batch of the clip that each was made of.
    """
    kept = torch.arange(len(waveforms), device=waveforms.device)
    bonafide = (labels == names.index(BONAFIDE)).nonzero()[:, 0]
    spoofed = (labels == names.index(SPOOF)).nonzero()[:, 0]
    replaced = spoofed[torch.rand(len(spoofed), device=labels.device) < share]
    if not len(bonafide) or not len(replaced):
        return waveforms, kept
    order = torch.randperm(len(bonafide), device=labels.device)  # as many different ones as there are
    sources = bonafide[order[torch.arange(len(replaced), device=labels.device) % len(order)]]
    copies = resynthesize(waveforms[sources], families, sample_rate)
    is_copy = (copies != waveforms[sources]).any(dim=1)  # silence is not
    changed = waveforms.index_copy(0, replaced[is_copy], copies[is_copy])
    return changed, kept.index_copy(0, replaced[is_copy], sources[is_copy])


def resynthesize(waveforms: Tensor, families: Sequence[str], sample_rate: int) -> Tensor:
    """Take clips apart and put them together again, a random method for every few of them.

    Parameters
    ----------
    waveforms : Tensor of shape (batch, n_samples)
    families : sequence of str
        Keys of `FAMILIES`; every method of them has the same chance.
    sample_rate : int
        In Hz.

    Returns
    -------
    Tensor of shape (batch, n_samples)
        Within speech, at the level of the original clips.
    """
    methods = [method for family in families for method in FAMILIES[family]]
    groups = torch.split(waveforms, GROUP)
    return torch.cat([copy_by(methods[random_whole(0, len(methods) - 1)], group, sample_rate) for group in groups])


def copy_by(method: Method, waveforms: Tensor, sample_rate: int) -> Tensor:
    """Take clips apart and put them together again by one method.

    What would tell a copy at first sight is put back: the level, mostly the long-term spectrum, and what is heard in
    pauses, as a recording's noise is not the synthesiser's.

    Parameters
    ----------
    method : callable
        One of `FAMILIES`.
    waveforms : Tensor of shape (batch, n_samples)
    sample_rate : int
        In Hz.

    Returns
    -------
    Tensor of shape (batch, n_samples)
    """
    copies = same_level(method(waveforms, sample_rate).nan_to_num(0.0), waveforms)
    if chance(KEPT_SPECTRUM):
        copies = same_level(_with_spectrum(copies, waveforms, sample_rate), waveforms)
    return same_level(torch.lerp(waveforms, copies, _speech(waveforms, sample_rate)), waveforms)


def _with_spectrum(copies: Tensor, originals: Tensor, sample_rate: int) -> Tensor:
    """Filter copies so that their spectrum over the whole clip is that of the originals, within 12 dB."""
    n_fft = speech_frame(sample_rate, 32.0)
    n_averaged = 2 * (n_fft // 32) + 1
    spectra = stft(copies, n_fft, n_fft // 2)
    own, wanted = (
        smoothed(each.abs().square().mean(dim=2), n_averaged) + FLOOR**2
        for each in (spectra, stft(originals, n_fft, n_fft // 2))
    )
    gains = (wanted / own).sqrt().clamp(0.25, 4.0)
    return istft(spectra * gains[:, :, None], n_fft, n_fft // 2, copies.shape[1])


def _speech(waveforms: Tensor, sample_rate: int) -> Tensor:
    """Where something is said: 1, 0 in pauses, and between them a ramp of 20 ms."""
    n_averaged = 2 * (sample_rate // 100) + 1
    energy = smoothed(waveforms.square(), n_averaged)
    loud = energy.quantile(LOUD, dim=1, keepdim=True)  # not the maximum, which a click may be
    return smoothed((energy > loud * 10 ** (-random_real(25, 35) / 10)).float(), n_averaged)
