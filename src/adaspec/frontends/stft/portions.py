"""Spectrograms of waveforms: frames -> spectrum -> power or magnitude -> bands.

They are computed in portions of frames, so that what a portion needs stays in the processor's cache and the length of a
recording costs no memory. For the backward pass only the waveform is kept, and with learned kernels their
products with the frames; the rest is computed again, which takes less time than storing and fetching it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from adaspec.frontends.epsilon import plus_epsilon
from adaspec.frontends.stft.framing import Framing, cut_frames
from adaspec.frontends.stft.halves import (
    add_product,
    add_products,
    apart,
    cut_pairs,
    from_halves,
    in_halves,
    multiply,
    overlap_by_halves,
    together,
)
from adaspec.frontends.stft.mixing import mix
from adaspec.linalg.transforms import is_transformed

__all__ = ["Transform", "in_bands", "in_bins", "magnitude_or_power"]

EPSILON = 1e-12  # under the root of the magnitude: its gradient stays finite on digital silence
CACHED = 2**18  # samples in frames at a time that still fit a core's cache, with all that is made of them
MULTIPLIED = 2**19  # the same for learned kernels, whose matrix products pay only when large
BF16_ON_CPU = torch.cpu._is_avx512_bf16_supported()
PARALLEL = 2**26  # the same on a GPU, which computes a batch at once


class Transform(NamedTuple):
    """The tensors of one transform.

    Attributes
    ----------
    window : Tensor of shape (n_fft,)
    kernels : Tensor of shape (n_rows, n_fft) or None
        Cosine, then sine rows, as `dft_basis` or with those that are zero there; they take the place of the FFT.
    blocks : Tensor or None
        Of `mixing_blocks`, applied after the FFT.
    mel : Tensor of shape (n_freqs, n_mels) or None
    """

    window: Tensor
    kernels: Tensor | None
    blocks: Tensor | None
    mel: Tensor | None


def magnitude_or_power(real: Tensor, imag: Tensor, magnitude: bool) -> Tensor:
    """|X|^2 = Re^2 + Im^2 or its root.

    Parameters
    ----------
    real : Tensor of shape (..., n_freqs)
    imag : Tensor of shape (..., n_freqs) or fewer
        Without the bins that have no imaginary part: DC, and Nyquist where n_fft is even.
    """
    power = real.square()
    bins = _with_imag(power, imag)
    if is_transformed():  # vmap has no addcmul in place, and would go clip by clip
        bins.add_(imag.square())
    else:
        bins.addcmul_(imag, imag)
    return plus_epsilon(power, EPSILON).sqrt() if magnitude else power


def _with_imag(bins: Tensor, imag: Tensor) -> Tensor:
    """View of those bins (..., n_freqs) that have an imaginary part in `imag`: all, or all but DC and Nyquist."""
    n_missing = bins.shape[-1] - imag.shape[-1]
    return bins.narrow(-1, min(n_missing, 1), imag.shape[-1])


def in_bands(waveform: Tensor, transform: Transform, framing: Framing) -> Tensor:
    """Power or magnitude of waveforms in bands.

    Parameters
    ----------
    waveform : Tensor of shape (batch, n_samples)
    transform : Transform
    framing : Framing

    Returns
    -------
    Tensor of shape (batch, n_frames, n_features)
    """
    if torch.compiler.is_compiling() or waveform.requires_grad or is_transformed(waveform, *transform):
        features = _weigh(_strength(_bins(waveform, transform, framing), transform, framing), transform.mel)
        return features.reshape(waveform.shape[0], -1, features.shape[1])
    return _InPortions.apply(waveform, framing, *transform)


def in_bins(waveform: Tensor, transform: Transform, framing: Framing) -> Tensor:
    """Complex spectra of waveforms, by plain autograd.

    Returns
    -------
    Tensor of shape (batch, n_frames, n_fft//2 + 1), complex
        Without an imaginary part where the transform has none.
    """
    real, imag = (part.to(waveform.dtype) for part in _bins(waveform, transform, framing))
    if imag.shape != real.shape:  # without DC, and without Nyquist where n_fft is even
        imag = torch.nn.functional.pad(imag, (1, real.shape[1] - imag.shape[1] - 1))
    return torch.complex(real, imag).view(waveform.shape[0], -1, real.shape[1])


def _bins(waveform: Tensor, transform: Transform, framing: Framing) -> tuple[Tensor, Tensor]:
    """Real and imaginary parts as of `_parts`, of all frames at once."""
    # Rounded once they are cut, so that the gradients of frames that overlap are added up before that.
    frames = _rounded(cut_frames(waveform, framing).flatten(0, 1), transform, framing)
    kernels = _windowed_kernels(transform, framing, in_pairs=False)
    return _parts(_spectrum(frames, transform.window, kernels), transform, framing)


def _windowed_kernels(transform: Transform, framing: Framing, in_pairs: bool) -> Tensor | None:
    """Learned kernels with the window in them, in halves for pairs of frames; None where there are none."""
    if transform.kernels is None:
        return None
    windowed = transform.kernels * transform.window
    return _rounded(in_halves(windowed) if in_pairs else windowed, transform, framing)


def _rounded(values: Tensor, transform: Transform, framing: Framing) -> Tensor:
    """Round to bf16 what is a factor of products with learned kernels, if these are computed in it.

    A processor without bf16, where torch takes five times as long, multiplies the rounded factors in their own type.
    """
    if not framing.bf16 or transform.kernels is None:
        return values
    rounded = values.bfloat16()
    return rounded if BF16_ON_CPU or values.device.type != "cpu" else rounded.to(values.dtype)


def _spectrum(frames: Tensor, window: Tensor, kernels: Tensor | None) -> Tensor:
    """Frames (n, n_fft) -> complex (n, n_freqs), or with kernels real (n, n_rows).

    With kernels in halves, pairs of frames (n, 3 * n_fft//2) -> (2 * n, n_rows).
    """
    if kernels is None:
        return torch.fft.rfft(frames * window)
    return frames @ kernels.T if kernels.ndim == 2 else multiply(frames, kernels)


def _parts(spectrum: Tensor, transform: Transform, framing: Framing) -> tuple[Tensor, Tensor]:
    if transform.blocks is not None:
        return mix(spectrum, transform.blocks, framing.n_fft)
    if transform.kernels is None:
        return spectrum.real, spectrum.imag
    n_freqs = framing.n_fft // 2 + 1
    return spectrum[:, :n_freqs], spectrum[:, n_freqs:]


def _strength(parts: tuple[Tensor, Tensor], transform: Transform, framing: Framing) -> Tensor:
    """Power or magnitude of bins, computed in full whatever they are held in."""
    real, imag = (part.to(transform.window.dtype) for part in parts)
    return magnitude_or_power(real, imag, framing.magnitude)


def _weigh(bins: Tensor, mel: Tensor | None) -> Tensor:
    return bins if mel is None else bins @ mel


def _in_pairs(waveform: Tensor, transform: Transform, framing: Framing) -> bool:
    """Whether frames are multiplied with learned kernels two at a time."""
    on_cpu = waveform.device.type == "cpu"  # not measured elsewhere
    return on_cpu and transform.kernels is not None and overlap_by_halves(framing)


def _steps(waveform: Tensor, transform: Transform, framing: Framing) -> Iterator[tuple[slice, Tensor]]:
    """Frames, or pairs of them, in portions, each with its place among all of the batch."""
    in_pairs = _in_pairs(waveform, transform, framing)
    cut = cut_pairs if in_pairs else cut_frames
    waveform = _rounded(waveform, transform, framing)
    n_frames = cut(waveform[:1], framing).shape[1]
    on_cpu = CACHED if transform.kernels is None else MULTIPLIED
    n_rows = max(1, (on_cpu if waveform.device.type == "cpu" else PARALLEL) // framing.n_fft)
    n_clips = max(1, n_rows // n_frames)
    for clip in range(0, waveform.shape[0], n_clips):
        frames = cut(waveform[clip : clip + n_clips], framing).flatten(0, 1)
        for row in range(0, frames.shape[0], n_rows):
            portion = frames[row : row + n_rows]
            first = clip * n_frames + row
            yield slice(first, first + portion.shape[0]), portion


class _InPortions(torch.autograd.Function):
    """`in_bands` with the gradients of everything but the waveform written out.

    Of L with respect to the power P_k = |X_k|^2, g_k, follow 2 g_k X_k for the spectrum X (as dL/dRe + i dL/dIm), and
    from there the products with the frames for learned kernels and, for a learned window, with the transform's adjoint.
    """

    @staticmethod
    def forward(
        ctx: Any,
        waveform: Tensor,
        framing: Framing,
        window: Tensor,
        kernels: Tensor | None,
        blocks: Tensor | None,
        mel: Tensor | None,
    ) -> Tensor:
        transform = Transform(window, kernels, blocks, mel)
        in_pairs = _in_pairs(waveform, transform, framing)
        multiplied = _windowed_kernels(transform, framing, in_pairs)
        features, spectra = [], []
        for _, frames in _steps(waveform, transform, framing):
            spectrum = _spectrum(frames, window, multiplied)
            weighed = _weigh(_strength(_parts(spectrum, transform, framing), transform, framing), mel)
            features.append(weighed.view(1 + in_pairs, -1, weighed.shape[1]))
            if kernels is not None and any(ctx.needs_input_grad):
                spectra.append(spectrum)
        ctx.framing = framing
        ctx.save_for_backward(waveform, window, kernels, blocks, mel, *spectra)
        joined, batch = torch.cat(features, 1), waveform.shape[0]
        if in_pairs:
            return together(joined, batch, cut_frames(waveform[:1], framing).shape[1], framing)
        return joined.view(batch, -1, joined.shape[2])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        framing: Framing = ctx.framing
        waveform, window, kernels, blocks, mel, *spectra = ctx.saved_tensors
        need_window, need_kernels, need_blocks, need_mel = ctx.needs_input_grad[2:]
        transform = Transform(window, kernels, blocks, mel)
        in_pairs = _in_pairs(waveform, transform, framing)
        # Of kernels, first the products of the spectrum's gradient with the frames before the window.
        products = None
        if kernels is not None and (need_kernels or need_window):
            products = in_halves(torch.zeros_like(kernels)) if in_pairs else torch.zeros_like(kernels)
        sums = Sums(
            window=torch.zeros_like(window) if need_window else None,
            products=products,
            blocks=torch.zeros_like(blocks) if need_blocks else None,
            mel=torch.zeros_like(mel) if need_mel else None,
        )
        gradient = apart(gradient, framing) if in_pairs else gradient.flatten(0, 1)[None]
        with torch.autocast(waveform.device.type, enabled=False):  # backward() may be called where autocast is on
            for step, (rows, frames) in enumerate(_steps(waveform, transform, framing)):
                spectrum = spectra[step] if spectra else _spectrum(frames, window, None)
                _add_gradients(sums, gradient[:, rows].flatten(0, 1), frames, spectrum, transform, framing)
        if products is not None:
            products = from_halves(products) if in_pairs else products
            in_window = (products * kernels).sum(0) if need_window else None
            sums = sums._replace(window=in_window, products=products.mul_(window) if need_kernels else None)
        return None, None, *sums


class Sums(NamedTuple):
    """Gradients as they grow from portion to portion; None where none is asked for."""

    window: Tensor | None
    products: Tensor | None
    blocks: Tensor | None
    mel: Tensor | None


def _add_gradients(
    sums: Sums, gradient: Tensor, frames: Tensor, spectrum: Tensor, transform: Transform, framing: Framing
) -> None:
    """Add what one portion of frames contributes; `gradient` is that of its features."""
    if transform.blocks is not None:
        blocks = transform.blocks.detach().requires_grad_(sums.blocks is not None)
        with torch.enable_grad():
            mixed = mix(spectrum.requires_grad_(sums.window is not None), blocks, framing.n_fft)
        real, imag = mixed[0].detach(), mixed[1].detach()
    else:
        real, imag = _parts(spectrum, transform, framing)
    if sums.mel is not None or framing.magnitude:
        bins = _strength((real, imag), transform, framing)
    if sums.mel is not None:
        sums.mel.addmm_(bins.T, gradient)
    if sums[:3] == (None, None, None):
        return
    if transform.mel is not None:
        gradient = _rounded(gradient, transform, framing) @ _rounded(transform.mel.T, transform, framing)
    twice = gradient / bins if framing.magnitude else 2 * gradient  # 2 g
    if transform.kernels is not None:
        assert sums.products is not None
        gradients = _rounded(_spectrum_gradient(twice, real, imag, frames.dtype), transform, framing)
        if sums.products.ndim == 3:
            add_products(sums.products, gradients, frames)
        else:
            add_product(sums.products, gradients, frames)
        return
    if transform.blocks is None:
        spectrum_gradient = spectrum * twice
    else:
        inputs = [tensor for tensor in (spectrum, blocks) if tensor.requires_grad]
        found = torch.autograd.grad(mixed, inputs, (twice * real, twice * imag))
        spectrum_gradient = found[0]  # if the window is learned
        if sums.blocks is not None:
            sums.blocks.add_(found[-1])
    if sums.window is not None:
        # The inverse transform counts each bin twice, as it also stands for its mirror image, but not DC and Nyquist.
        spectrum_gradient[:, 0] *= 2
        if framing.n_fft % 2 == 0:
            spectrum_gradient[:, -1] *= 2
        windowed_gradient = torch.fft.irfft(spectrum_gradient, framing.n_fft, norm="forward")
        sums.window.add_((windowed_gradient * frames).sum(0), alpha=0.5)


def _spectrum_gradient(twice: Tensor, real: Tensor, imag: Tensor, dtype: torch.dtype) -> Tensor:
    """2 g X of all rows of learned kernels: (n_frames, n_rows)."""
    gradients = real.new_empty(len(real), real.shape[1] + imag.shape[1], dtype=dtype)
    torch.mul(twice, real, out=gradients[:, : real.shape[1]])
    torch.mul(_with_imag(twice, imag), imag, out=gradients[:, real.shape[1] :])
    return gradients
