import math

import numpy as np
import pytest
import scipy.signal
import torch
from torch import Tensor

from adaspec.frontends import AdaptiveSTFT
from adaspec.frontends.measures import (
    LARGEST_CONDITION,
    center_and_bandwidth,
    condition_number,
    dead,
    effective_length,
    gain_db,
    gram_error,
    power_response,
    relative_change,
)
from adaspec.frontends.stft.dft import complex_rows, dft_basis

RATE, N_FFT = 8000, 128
BIN_HZ = RATE / N_FFT


def rows(window: str = "hann", n_fft: int = N_FFT, shift_bins: float = 0.0) -> Tensor:
    """Filters of the DFT with a window, moved up in frequency."""
    n = torch.arange(n_fft, dtype=torch.float64)
    k = torch.arange(n_fft // 2 + 1, dtype=torch.float64) + shift_bins
    phase = -2 * math.pi / n_fft * k[:, None] * n
    return torch.polar(torch.from_numpy(scipy.signal.get_window(window, n_fft)).expand_as(phase), phase)


def enbw_bins(window: np.ndarray) -> float:
    """Equivalent noise bandwidth of F. J. Harris, 1978, in bins of the window's length."""
    return float(len(window) * (window**2).sum() / window.sum() ** 2)


@pytest.mark.parametrize("n_fft", [16, 127, 128])
@pytest.mark.parametrize("window", ["hann", "boxcar", "hamming", "blackman"])
def test_dft_bins_lie_where_they_should_and_are_as_wide_as_their_window(window: str, n_fft: int) -> None:
    center, bandwidth = center_and_bandwidth(rows(window, n_fft), RATE)
    clear = slice(4, n_fft // 2 - 3)  # the main lobe touches neither 0 nor half the rate
    expected = torch.arange(n_fft // 2 + 1) * RATE / n_fft
    torch.testing.assert_close(center[clear], expected[clear].double(), rtol=0, atol=0.001 * RATE / n_fft)
    width = enbw_bins(scipy.signal.get_window(window, n_fft)) * RATE / n_fft
    torch.testing.assert_close(bandwidth[clear], torch.full_like(bandwidth[clear], width), rtol=1e-3, atol=0)
    assert center[0] == 0
    assert bandwidth[0].item() == pytest.approx(width / 2, rel=1e-6)


def test_bandwidth_of_hann_and_boxcar_in_bins() -> None:
    for window, expected in (("hann", 1.5), ("boxcar", 1.0)):
        _, bandwidth = center_and_bandwidth(rows(window), RATE)
        assert bandwidth[20].item() / BIN_HZ == pytest.approx(expected, rel=1e-6)
        assert bandwidth[-1].item() / BIN_HZ == pytest.approx(expected / 2, rel=1e-6)  # one side at half the rate


@pytest.mark.parametrize("shift_bins", [-2.0, -0.37, 0.1, 0.5, 1.25])
def test_center_follows_a_modulation(shift_bins: float) -> None:
    before, width = center_and_bandwidth(rows(), RATE)
    after, new_width = center_and_bandwidth(rows(shift_bins=shift_bins), RATE)
    drift = (after - before)[5:-5]
    torch.testing.assert_close(drift, torch.full_like(drift, shift_bins * BIN_HZ), rtol=0, atol=0.003 * BIN_HZ)
    torch.testing.assert_close(new_width[5:-5], width[5:-5], rtol=1e-3, atol=0)


def test_center_and_bandwidth_take_any_scale_phase_and_precision() -> None:
    expected = center_and_bandwidth(rows(shift_bins=0.3), RATE)
    for factor in (1e-6, -3.0, 1j, 1e5):
        found = center_and_bandwidth(rows(shift_bins=0.3) * factor, RATE)
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    single = center_and_bandwidth(rows(shift_bins=0.3).to(torch.complex64), RATE)
    torch.testing.assert_close(single[0], expected[0], rtol=0, atol=1e-5 * BIN_HZ)


def test_center_and_bandwidth_of_a_purely_real_filter_count_both_signs_of_the_frequency() -> None:
    center, bandwidth = center_and_bandwidth(rows()[20].real.to(torch.complex128), RATE)
    assert center.item() == pytest.approx(20 * BIN_HZ, abs=0.001 * BIN_HZ)
    assert bandwidth.item() == pytest.approx(1.5 * BIN_HZ, rel=1e-3)


def test_center_and_bandwidth_keep_leading_dimensions_and_treat_filters_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    filters = torch.stack([rows(), rows("boxcar", shift_bins=0.4)])
    whole = center_and_bandwidth(filters, RATE)
    assert whole[0].shape == whole[1].shape == (2, N_FFT // 2 + 1)
    monkeypatch.setattr("adaspec.frontends.measures.CHUNK", 3 * 4 * N_FFT)
    in_chunks = center_and_bandwidth(filters, RATE)
    torch.testing.assert_close(in_chunks, whole, rtol=1e-12, atol=1e-9)
    assert center_and_bandwidth(filters[1, 7], RATE)[0].item() == pytest.approx(whole[0][1, 7].item())


def test_center_and_bandwidth_of_a_silent_filter_are_nan_and_of_a_click_finite() -> None:
    filters = torch.zeros(2, N_FFT, dtype=torch.complex64)
    filters[1, 3] = 1  # a flat response: all frequencies alike
    center, bandwidth = center_and_bandwidth(filters, RATE)
    assert center[0].isnan() and bandwidth[0].isnan()  # noqa: PT018
    assert 0 <= center[1] <= RATE / 2
    assert bandwidth[1].item() == pytest.approx(RATE / 2, rel=1e-5)


def test_power_response_is_the_mean_power_for_a_sine_over_its_phases() -> None:
    generator = torch.Generator().manual_seed(0)
    filters = torch.randn(3, 16, dtype=torch.complex128, generator=generator)
    found = power_response(filters, 40)
    assert found.shape == (3, 21)
    phases = torch.arange(8).double() * math.pi / 4
    for j in (0, 1, 7, 20):
        sines = (2 * math.pi * j / 40 * torch.arange(16).double() + phases[:, None]).cos().to(torch.complex128)
        power = (filters @ sines.T).abs().square().mean(1)
        torch.testing.assert_close(found[:, j], power)


def test_effective_length_of_known_windows() -> None:
    windows = torch.from_numpy(np.stack([scipy.signal.get_window(name, 120) for name in ("boxcar", "hann")]))
    torch.testing.assert_close(effective_length(windows), torch.tensor([120.0, 80.0], dtype=torch.float64))
    alternating = windows * (-1.0) ** torch.arange(120)
    torch.testing.assert_close(effective_length(alternating), effective_length(windows))
    torch.testing.assert_close(effective_length(-7 * windows), effective_length(windows))
    click = torch.zeros(9)
    assert effective_length(click) == 0
    click[4] = -0.5
    assert effective_length(click) == 1


def test_effective_length_is_the_rate_over_the_bandwidth() -> None:
    window = torch.from_numpy(scipy.signal.get_window(("kaiser", 9.0), N_FFT))
    _, bandwidth = center_and_bandwidth(rows()[20] / rows()[20].abs().clamp(min=1e-30) * window, RATE)
    assert effective_length(window).item() == pytest.approx(RATE / bandwidth.item(), rel=1e-2)


def test_relative_change_is_the_distance_over_the_start() -> None:
    start = torch.tensor([[3.0, 4.0], [0.0, 0.0], [0.0, 0.0]])
    now = torch.tensor([[3.0, 9.0], [0.0, 0.0], [1e-9, 0.0]])
    assert relative_change(now, start, 1).tolist() == [1.0, 0.0, 1.0]
    assert relative_change(now, start).item() == pytest.approx(1.0)
    assert relative_change(start * (1 + 1j), start.to(torch.complex64), 2).item() == pytest.approx(1.0)


def test_gain_is_in_decibels_of_energy() -> None:
    start = torch.tensor([[1.0, 2.0]] * 3 + [[0.0, 0.0]])
    now = torch.tensor([[0.1, 0.2], [2.0, -4.0], [0.0, 0.0], [1.0, 1.0]])
    expected = torch.tensor([-20.0, 20 * math.log10(2), -120.0, 0.0])
    torch.testing.assert_close(gain_db(now, start), expected, atol=1e-4, rtol=0)


def test_dead_filters_have_lost_their_energy_and_never_had_none() -> None:
    start = rows().to(torch.complex64)
    now = start.clone()
    now[3] *= 0.09
    now[4] *= 0.11
    now[5] = 0
    start[6] = now[6] = 0
    assert dead(now, start).nonzero().flatten().tolist() == [3, 5]
    assert dead(now, start, share=0.1).nonzero().flatten().tolist() == [3, 4, 5]
    assert not dead(torch.polar(now.abs(), now.angle() + 1), now).any()


def kernels(basis: Tensor) -> Tensor:
    return complex_rows(basis)


@pytest.mark.parametrize("n_fft", [7, 16, 128])
def test_orthonormal_kernels_have_no_gram_error_and_condition_one(n_fft: int) -> None:
    layer = AdaptiveSTFT(sample_rate=RATE, n_fft=n_fft, n_mels=None, learn_kernels=True).requires_grad_(False)
    start = layer.filters(windowed=False)
    assert gram_error(start).shape == condition_number(start).shape == (1,)
    assert gram_error(start).item() < 1e-6
    assert condition_number(start).item() == pytest.approx(1, abs=1e-6)


def test_orthonormal_kernels_far_from_the_dft_have_no_gram_error() -> None:
    layer = AdaptiveSTFT(
        sample_rate=RATE, n_fft=16, n_mels=None, learn_kernels=True, kernel_constraint="orthonormal", n_transforms=2
    ).requires_grad_(False)
    start = layer.filters(windowed=False)
    assert layer.kernels is not None
    layer.kernels.values[1] += torch.randn(16, 16, generator=torch.Generator().manual_seed(0))
    now = layer.filters(windowed=False)
    assert relative_change(now, start, 2)[1] > 0.3
    assert (gram_error(now) < 1e-6).all()
    torch.testing.assert_close(condition_number(now), torch.ones(2, dtype=torch.float64), atol=1e-5, rtol=0)


def test_gram_error_and_condition_number_of_scaled_rows() -> None:
    basis = dft_basis(16)
    assert gram_error(kernels(2 * basis)).item() == pytest.approx(3, rel=1e-5)
    assert condition_number(kernels(2 * basis)).item() == pytest.approx(1, rel=1e-5)
    basis[10] *= 3  # a sine row: its energy is 8 too large
    assert gram_error(kernels(basis)).item() == pytest.approx(8 / 4, rel=1e-5)  # over sqrt(16)
    assert condition_number(kernels(basis)).item() == pytest.approx(3, rel=1e-5)


def test_gram_error_of_two_rows_that_lean_towards_each_other() -> None:
    basis = dft_basis(16)
    basis[3] = 0.8 * basis[3] + 0.6 * basis[4]
    assert gram_error(kernels(basis)).item() == pytest.approx(math.sqrt(2 * 0.6**2 / 16), rel=1e-4)
    assert condition_number(kernels(basis)).item() == pytest.approx(math.sqrt(1.6 / 0.4), rel=1e-4)


@pytest.mark.parametrize("rows_at_zero", [[0], [3], list(range(16))])
def test_singular_kernels_have_the_largest_condition_number(rows_at_zero: list[int]) -> None:
    basis = dft_basis(16)
    basis[rows_at_zero] = 0
    assert condition_number(kernels(basis)).item() == LARGEST_CONDITION
    assert gram_error(kernels(basis)).item() == pytest.approx(math.sqrt(len(rows_at_zero) / 16), rel=1e-5)


def test_measures_run_on_filters_that_learn() -> None:
    layer = AdaptiveSTFT(sample_rate=RATE, n_fft=16, n_mels=None, learn_window=True, learn_kernels=True)
    with torch.no_grad():
        layer.window.values[0, 5] += 0.1
    start = AdaptiveSTFT(sample_rate=RATE, n_fft=16, n_mels=None)
    change = relative_change(layer.window(), start.window(), 1)
    assert change.item() == pytest.approx(0.1 / math.sqrt(6), rel=1e-5)  # sum of a squared Hann window: 3/8 of 16
    assert gram_error(layer.filters(windowed=False)).item() < 1e-6
