"""The complex spectrum of the adaptive STFT, and the way back to the waveform."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from adaspec.errors import SettingError
from adaspec.frontends.stft.bounds import overlap
from adaspec.frontends.stft.dft import dft_norms
from adaspec.frontends.stft.framing import Framing, as_clips
from adaspec.frontends.stft.kernels import BandedKernels, DenseKernels
from adaspec.frontends.stft.parts import transforms
from adaspec.frontends.stft.portions import Transform, in_bins

if TYPE_CHECKING:
    from adaspec.frontends.stft.layer import AdaptiveSTFT

__all__ = ["inverse", "spectrum"]

MOST_ROUNDING = 1e-3  # -60 dB: share of the waveform up to which kernels may amplify rounding
MOST_AT_A_SAMPLE = 0.1  # -20 dB: the same of the loudest frame at a single sample, where windows hardly reach


def spectrum(layer: AdaptiveSTFT, waveform: Tensor) -> Tensor:
    """Spectrum of waveforms, before power and bands, by plain autograd.

    Parameters
    ----------
    layer : AdaptiveSTFT
    waveform : Tensor of shape (batch, n_samples)

    Returns
    -------
    Tensor of shape (batch, n_transforms, n_fft//2 + 1, n_frames), complex
        At the start that of torch.stft. Differentiable in the waveform and in all that is learned but the mel bands.

    Raises
    ------
    ValueError
        The waveform has another shape.
    SettingError
        Groups of bands have window lengths of their own: there is no spectrum that all bands share.
    """
    with torch.autocast(waveform.device.type, enabled=False):
        waveform = as_clips(waveform, layer.window.values.dtype)
        channels = [in_bins(waveform, transform, layer.framing) for transform in _transforms(layer, waveform.dtype)]
        return torch.stack(channels, 1).transpose(2, 3)


def inverse(layer: AdaptiveSTFT, bins: Tensor, n_samples: int | None = None) -> Tensor:
    """Waveforms of spectra, each transform by itself: those whose frames come closest by least squares.

    As torch.istft: frames follow from their bins by the inverse of the kernels; they are multiplied with the window
    once more and added, and the sum is divided by that of the squared windows [1]. This is the canonical dual frame
    where kernels are fixed or orthonormal. With other dense kernels it is a dual frame too: spectra of waveforms come
    back, but for spectra that belong to none it is the frames, not the bins, that are closest. What frames hold of
    reflected ends is left out.

    Parameters
    ----------
    layer : AdaptiveSTFT
    bins : Tensor of shape (batch, n_transforms, n_fft//2 + 1, n_frames), complex
        As of `spectrum`. An imaginary part at 0 and at sample_rate / 2 is left out, as no real waveform has one.
    n_samples : int or None
        Of the waveforms. None: the fewest that have so many full frames.

    Returns
    -------
    Tensor of shape (batch, n_transforms, n_samples)
        Differentiable in the bins and in what is learned.

    Raises
    ------
    ValueError
        The bins have another shape, n_samples does not go with their frames, or samples at the ends are in no window;
        or dense kernels are so close to singular that rounding would come back louder than -60 dB.
    SettingError
        Frames leave gaps; or banded or parametric kernels, which have windows of their own for every bin; or window
        lengths for groups of bands.

    References
    ----------
    .. [1] D. W. Griffin and J. S. Lim, "Signal estimation from modified short-time Fourier transform", IEEE
       Transactions on Acoustics, Speech, and Signal Processing 32(2), 1984, eq. 6
    """
    framing, wanted = layer.framing, (len(layer.window.values), layer.n_fft // 2 + 1)
    if bins.ndim != 4 or 0 in bins.shape or bins.shape[1:3] != wanted or not bins.is_complex():
        raise ValueError(
            f"bins must be complex, of shape (batch, {wanted[0]}, {wanted[1]}, n_frames), none of them 0, got "
            f"{str(bins.dtype).removeprefix('torch.')} of shape {tuple(bins.shape)}; give what layer.spectrum returns"
        )
    n_samples = _n_samples(layer, bins.shape[3], n_samples)
    channels = []
    with torch.autocast(bins.device.type, enabled=False):
        dtype = torch.promote_types(torch.promote_types(bins.real.dtype, layer.window.values.dtype), torch.float32)
        for position, transform in enumerate(_transforms(layer, dtype)):
            window = transform.window
            _refuse_gaps(window, framing)
            weight = _added(window.square().expand(1, bins.shape[3], -1), n_samples, framing)
            _refuse_unseen(weight[0], window)
            frames = _frames(layer, bins[:, position].transpose(1, 2), transform) * window
            channels.append(_added(frames, n_samples, framing) / weight)
        return torch.stack(channels, 1)


def _transforms(layer: AdaptiveSTFT, dtype: torch.dtype) -> list[Transform]:
    groups = transforms(layer.windows().to(dtype), layer.kernels, layer.mel)
    if len(groups[0]) > 1:
        raise SettingError(
            "length_groups",
            f"={len(groups[0])} gives each transform as many spectra, a window length each; set it to 1 for a spectrum "
            "that all bands share",
        )
    return [transform for (transform,) in groups]


def _n_samples(layer: AdaptiveSTFT, n_frames: int, n_samples: int | None) -> int:
    n_fft, hop_length, center = layer.framing[:3]
    full = (n_frames - 1) * hop_length + n_fft - (2 * (n_fft // 2) if center else 0)
    fewest, most = full if n_frames > 1 else 1, full + hop_length - 1
    if n_samples is None and full > 0:
        return full
    if n_samples is None or not fewest <= n_samples <= most:
        raise ValueError(
            f"n_samples={n_samples} does not go with {n_frames} frames, which waveforms of {fewest} to {most} samples "
            "have; set it to the length of the waveform"
        )
    return n_samples


def _frames(layer: AdaptiveSTFT, bins: Tensor, transform: Transform) -> Tensor:
    """Frames (batch, n_frames, n_fft), multiplied with the window, of their bins (batch, n_frames, n_freqs)."""
    n_fft, kernels = layer.n_fft, layer.kernels
    if kernels is None:
        return torch.fft.irfft(bins, n_fft)
    if not isinstance(kernels, DenseKernels):
        form = "banded" if isinstance(kernels, BandedKernels) else "parametric"
        raise SettingError(
            "kernel_form",
            f"={form} gives every bin a window of its own, for which there is no dual window; learn dense kernels, "
            "best with kernel_constraint=orthonormal, for a layer with an inverse",
        )
    assert transform.kernels is not None
    norms = dft_norms(n_fft).to(transform.kernels)
    basis = transform.kernels / norms
    parts = torch.cat([bins.real, bins.imag[..., 1 : 1 + (n_fft - 1) // 2]], -1).to(basis.dtype) / norms[:, 0]
    if kernels.constraint == "orthonormal":
        return parts @ basis  # its transpose is its inverse
    inverted, _ = torch.linalg.inv_ex(basis)
    # By how much noise grows on average: 1 for an orthonormal basis.
    growth = float(torch.linalg.matrix_norm(basis.detach()) * torch.linalg.matrix_norm(inverted.detach())) / n_fft
    most = MOST_ROUNDING / torch.finfo(basis.dtype).eps
    if not growth <= most:
        raise ValueError(
            f"the learned kernels are so close to singular that rounding would come back {growth:.3g} times as loud, "
            f"above the {most:.3g} allowed; learn them with kernel_constraint=orthonormal, or compute in float64"
        )
    return parts @ inverted.mT


def _added(frames: Tensor, n_samples: int, framing: Framing) -> Tensor:
    """Frames (batch, n_frames, n_fft) added up where they lie, without what is beyond the ends: (batch, n_samples)."""
    length = (frames.shape[1] - 1) * framing.hop_length + framing.n_fft
    columns, stride = frames.mT, (1, framing.hop_length)
    whole = torch.nn.functional.fold(columns, (1, length), (1, framing.n_fft), stride=stride)[:, 0, 0]
    first = framing.n_fft // 2 if framing.center else 0
    return torch.nn.functional.pad(whole, (-first, first + n_samples - length))


def _refuse_gaps(window: Tensor, framing: Framing) -> None:
    if _unseen(overlap(window, framing.hop_length), window).any():
        longest = int((window != 0).sum())
        raise SettingError(
            "hop_length",
            f"={framing.hop_length} leaves gaps between windows, of which {longest} samples are not 0; for an inverse "
            f"lower it to {max(1, min(longest, framing.hop_length - 1))} or less",
        )


def _refuse_unseen(weight: Tensor, window: Tensor) -> None:
    unseen = _unseen(weight, window).nonzero()
    if len(unseen):
        first = int(unseen[0])
        remedy = f"lower n_samples to {first}"
        if first == 0:
            remedy = "build the layer with center=True, or with a window without zeros, such as hamming"
        raise ValueError(
            f"{len(unseen)} of {len(weight)} samples, from sample {first} on, lie where every window is 0, and cannot "
            f"be recovered; {remedy}"
        )


def _unseen(weight: Tensor, window: Tensor) -> Tensor:
    """Where sums of squared windows are so small that they amplify rounding to what cannot be told from sound."""
    least = torch.finfo(window.dtype).eps / MOST_AT_A_SAMPLE
    return weight <= least**2 * window.detach().square().max()
