"""Frame bounds are the extreme singular values of the analysis, written out as a matrix."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from stft_forms import FORMS, build, perturb
from torch import Tensor

from adaspec.frontends import AdaptiveSTFT
from adaspec.frontends.stft.bounds import frame_bounds, overlap, unevenness


def analysis(layer: AdaptiveSTFT, channel: int, n_hops: int) -> Tensor:
    """Of waveforms that repeat after n_hops hops; a full spectrum counts bins twice: (n_outputs, n_samples)."""
    n_fft, hop = layer.n_fft, layer.hop_length
    n_samples = n_hops * hop
    repeated = torch.eye(n_samples, dtype=torch.float64).repeat(1, 1 + -(-n_fft // n_samples))
    frames = repeated[:, : n_samples - hop + n_fft].unfold(1, n_fft, hop)  # (n_samples, n_hops, n_fft)
    bins = torch.einsum("smn,kn->smk", frames.to(torch.complex128), layer.filters()[channel].detach())
    counts = torch.full((n_fft // 2 + 1,), math.sqrt(2), dtype=torch.float64)
    counts[0] = 1
    if n_fft % 2 == 0:
        counts[-1] = 1
    return (torch.view_as_real(bins) * counts[:, None]).flatten(1).T


@pytest.mark.parametrize(("n_fft", "hop_length"), [(16, 4), (16, 8), (15, 4), (16, 6), (12, 12)])
@pytest.mark.parametrize("form", FORMS)
def test_frame_bounds_are_the_squares_of_the_extreme_singular_values(form: str, n_fft: int, hop_length: int) -> None:
    layer = build(form, n_fft=n_fft, hop_length=hop_length, window="hamming", n_mels=None, learn_window=True)
    layer = perturb(layer, 0.1).double()
    lower, upper = frame_bounds(layer)
    assert lower.shape == upper.shape == (layer.n_channels,)
    assert lower.dtype == upper.dtype == torch.float64
    n_blocks = -(-n_fft // hop_length)
    for channel in range(layer.n_channels):
        values = torch.linalg.svdvals(analysis(layer, channel, 8 * n_blocks)).square()
        assert upper[channel].item() == pytest.approx(values[0].item(), rel=2e-7)
        assert lower[channel].item() == pytest.approx(values[-1].item(), rel=2e-7, abs=1e-9)


def test_frame_bounds_of_common_windows() -> None:
    """Hann, hop a quarter: 3/2 times n_fft at every sample, a tight frame; hop a half: 1 down to 1/2."""
    tight, half = (build("fft", n_fft=512, hop_length=hop, n_mels=None) for hop in (128, 256))
    for found, expected in zip((*frame_bounds(tight), *frame_bounds(half)), (768, 768, 256, 512), strict=True):
        assert found.item() == pytest.approx(expected, rel=1e-5)
    assert frame_bounds(build("fft", n_fft=64, hop_length=65, n_mels=None))[0].item() == 0


def test_frame_bounds_of_free_kernels_at_the_start_are_those_of_the_fft() -> None:
    frame: dict[str, Any] = {"n_fft": 64, "hop_length": 20, "n_mels": None}
    expected = torch.stack(frame_bounds(build("fft", **frame)))
    for form in ("dense", "banded", "parametric", "unit_norm"):
        torch.testing.assert_close(torch.stack(frame_bounds(build(form, **frame))), expected, rtol=1e-6, atol=0)


def test_frame_bounds_of_groups_are_those_of_each_window_length() -> None:
    layer = perturb(build("length", n_fft=128, hop_length=40, n_mels=12, length_groups=3, n_transforms=2), 0.2)
    lower, upper = frame_bounds(layer)
    expected = 128 * overlap(layer.windows().detach().double(), 40).flatten(0, 1)
    torch.testing.assert_close(torch.stack([lower, upper]), torch.stack([expected.amin(-1), expected.amax(-1)]))


@settings(max_examples=60, deadline=None)
@given(n_fft=st.integers(2, 40), hop_length=st.integers(1, 50), seed=st.integers(0, 5), gain=st.floats(1e-3, 1e3))
def test_unevenness_is_the_logarithm_of_the_condition(n_fft: int, hop_length: int, seed: int, gain: float) -> None:
    windows = 0.2 + torch.rand(2, 1, n_fft, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    found = float(unevenness(gain * windows, hop_length))
    if hop_length > n_fft:
        assert found == pytest.approx(math.log(1e6), rel=1e-6)
        return
    expected = 0.0
    for window in windows[:, 0]:
        sums = [float(window[n::hop_length].square().sum()) for n in range(hop_length)]
        expected += math.log(max(sums) / min(sums)) / 2
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_unevenness_gradient_is_that_of_differences_and_finite_on_silence() -> None:
    windows = torch.rand(2, 1, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(2)).requires_grad_()
    assert torch.autograd.gradcheck(lambda each: unevenness(each, 4), windows)
    for hop_length in (4, 20):
        silent = torch.zeros(1, 1, 10, requires_grad=True)
        unevenness(silent, hop_length).backward()
        assert silent.grad is not None
        assert silent.grad.isfinite().all()


def test_penalty_is_there_where_window_or_length_are_learned() -> None:
    frame: dict[str, Any] = {"n_fft": 64, "hop_length": 32, "n_mels": None}
    for learned in ({}, {"learn_kernels": True}):
        assert build("fft", **frame, **learned).penalty() is None
    for learned in ({"learn_window": True}, {"learn_length": True}):
        layer = build("fft", **frame, **learned)
        penalty = layer.penalty()
        assert penalty is not None
        assert penalty.item() == pytest.approx(math.log(2), rel=1e-4)
        layer.learn_window = layer.learn_length = False
        assert layer.penalty() is None


@pytest.mark.parametrize("part", ["window", "length"])
def test_penalty_makes_an_uneven_window_flatter(part: str) -> None:
    layer = build("fft", n_fft=64, win_length=48, hop_length=24, n_mels=None, **{f"learn_{part}": True})
    before = frame_bounds(layer)
    optimizer = torch.optim.Adam(getattr(layer, part).parameters(), lr=1e-2)
    for _ in range(60):
        penalty = layer.penalty()
        assert penalty is not None
        optimizer.zero_grad()
        penalty.backward()
        optimizer.step()
    now = frame_bounds(layer)
    assert now[1] / now[0] < 1 + (before[1] / before[0] - 1) / 2
