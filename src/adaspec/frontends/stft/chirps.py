"""Chirp kernels of few numbers a row: windows of any length, at any frequency and chirp rate, with their gradients.

Plain autograd would keep some forty matrices as large as the kernels. Here rows are computed in portions that fit the
cache, and two matrices are kept besides the kernels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from adaspec.frontends.stft.window import spline, stretched
from adaspec.linalg.transforms import is_transformed

__all__ = ["chirp_kernels"]

CACHED = 2**16  # values at a time


def chirp_kernels(
    windows: Tensor, shift: Tensor, chirp: Tensor, ratio: Tensor, base: tuple[Tensor, Tensor], centre: float
) -> Tensor:
    """Kernels w_k(n) exp(-2 pi i [k n / n_fft + shift_k t + chirp_k t^2 / 2]), with t = (n - centre) / n_fft.

    Parameters
    ----------
    windows : Tensor of shape (n_channels, n_fft)
        w, of which w_k is `stretched` by ratio_k.
    shift, chirp, ratio : Tensor of shape (n_channels, n_freqs)
        In bins, in cycles per n_fft samples squared, and the length over that of w.
    base : tuple of two Tensors of shape (n_freqs, n_fft)
        Real and imaginary parts of exp(-2 pi i k n / n_fft).
    centre : float
        Of the windows, in samples.

    Returns
    -------
    Tensor of shape (n_channels, 2 * n_freqs, n_fft)
        Real, then imaginary parts.
    """
    if torch.compiler.is_compiling() or windows.requires_grad or is_transformed(windows, shift, chirp, ratio):
        return _plainly(windows, shift, chirp, ratio, base, centre)
    found = [_Chirps.apply(*channel, *base, centre) for channel in zip(windows, shift, chirp, ratio, strict=True)]
    return torch.stack(found) if len(found) > 1 else found[0][None]  # no copy


def _time(n_fft: int, centre: float, like: Tensor) -> Tensor:
    return (torch.arange(n_fft, device=like.device, dtype=like.dtype) - centre) / n_fft


def _plainly(
    windows: Tensor, shift: Tensor, chirp: Tensor, ratio: Tensor, base: tuple[Tensor, Tensor], centre: float
) -> Tensor:
    time = _time(windows.shape[-1], centre, windows)
    phase = math.pi * (2 * shift[..., None] + chirp[..., None] * time) * time
    window = torch.stack([stretched(*pair, centre) for pair in zip(windows, ratio, strict=True)])
    real, imag = phase.cos(), -phase.sin()
    return torch.cat([window * (base[0] * real - base[1] * imag), window * (base[0] * imag + base[1] * real)], -2)


def _portions(n_rows: int, n_fft: int) -> Iterator[slice]:
    n_at_once = max(1, CACHED // n_fft)
    return (slice(row, min(row + n_at_once, n_rows)) for row in range(0, n_rows, n_at_once))


class _Chirps(torch.autograd.Function):
    """`_plainly` of one channel, whose window asks for no gradient.

    Of L with respect to real and imaginary part of a kernel w u, g and h, follow g Im(w u) - h Re(w u) for its phase
    and g Re(u) + h Im(u) for its window, and from there by the chain rule those of its three numbers.
    """

    @staticmethod
    def forward(
        ctx: Any,
        window: Tensor,
        shift: Tensor,
        chirp: Tensor,
        ratio: Tensor,
        cosine: Tensor,
        sine: Tensor,
        centre: float,
    ) -> Tensor:
        n_freqs, n_fft = cosine.shape
        time = _time(n_fft, centre, window)
        linear, square, offset = 2 * math.pi * time, math.pi * time.square(), n_fft * time
        # The kernels' derivative by the ratio is u (slope * -offset / ratio^2.5 - value / (2 ratio^1.5)).
        kernels, of_ratio = window.new_empty(2, n_freqs, n_fft), window.new_empty(2, n_freqs, n_fft)
        inverse = ratio.reciprocal()[:, None]
        scale = inverse.sqrt()
        for rows in _portions(n_freqs, n_fft):
            phase = (shift[rows, None] * linear).addcmul_(chirp[rows, None], square)
            cos, sin = phase.cos(), phase.sin_()
            real = (cosine[rows] * cos).addcmul_(sine[rows], sin)
            imag = cos.mul_(sine[rows]).addcmul_(cosine[rows], sin, value=-1)
            values, slopes = spline(window, (offset * inverse[rows]).add_(centre))
            values *= scale[rows]
            torch.mul(values, real, out=kernels[0, rows])
            torch.mul(values, imag, out=kernels[1, rows])
            slopes = slopes.mul_(offset).mul_(-scale[rows] * inverse[rows].square())
            slopes.addcmul_(values, -0.5 * inverse[rows])
            torch.mul(slopes, real, out=of_ratio[0, rows])
            torch.mul(slopes, imag, out=of_ratio[1, rows])
        ctx.centre, found = centre, kernels.flatten(0, 1)
        ctx.save_for_backward(window, shift, chirp, ratio, cosine, sine, found, of_ratio)
        return found

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        window, shift, chirp, ratio, cosine, sine, kernels, of_ratio = ctx.saved_tensors
        if torch.is_grad_enabled():  # a gradient of the gradient is asked for
            base = cosine, sine
            [again] = _plainly(window[None], shift[None], chirp[None], ratio[None], base, ctx.centre)
            asked = [each for each in (shift, chirp, ratio) if each.requires_grad]
            found = iter(torch.autograd.grad(again, asked, gradient, create_graph=True))
            return (
                None,
                *(next(found) if each.requires_grad else None for each in (shift, chirp, ratio)),
                None,
                None,
                None,
            )
        n_freqs, n_fft = cosine.shape
        time = _time(n_fft, ctx.centre, window)
        courses = math.pi * torch.stack([2 * time, time.square()], 1)
        (g, h), (real, imag) = (each.view(2, n_freqs, n_fft) for each in (gradient.contiguous(), kernels))
        by_phase, by_ratio = [], []
        for rows in _portions(n_freqs, n_fft):
            by_phase.append((g[rows] * imag[rows]).addcmul_(h[rows], real[rows], value=-1) @ courses)
            by_ratio.append((g[rows] * of_ratio[0, rows]).addcmul_(h[rows], of_ratio[1, rows]).sum(1))
        by_shift, by_chirp = torch.cat(by_phase).unbind(1)
        return None, by_shift, by_chirp, torch.cat(by_ratio), None, None, None
