import pytest
import torch
from torch import Tensor

from adaspec.frontends.stft import mixing
from adaspec.frontends.stft.mixing import identity_mixing, mix, mixing_blocks

# n_fft, band_width; the last two mix as many bins as there are
SIZES = [(16, 1), (16, 3), (17, 3), (64, 9), (65, 9), (63, 15), (254, 9), (258, 5), (4, 3), (5, 3), (20, 11), (21, 11)]


def random_spectrum(n_frames: int, n_fft: int) -> Tensor:
    """rfft of random frames, with their full FFT's bins to be found beyond its ends."""
    frames = torch.randn(n_frames, n_fft, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return torch.fft.fft(frames)


def random_weights(n_fft: int, band_width: int) -> Tensor:
    shape = n_fft // 2 + 1, band_width, 2
    return torch.randn(shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def mix_by_loop(full: Tensor, weights: Tensor) -> Tensor:
    """Bin k is the sum over j of weight[k, j] X[k + j - half], X taken modulo n_fft from the two-sided transform."""
    n_fft, (n_freqs, band_width, _) = full.shape[1], weights.shape
    mixed = torch.zeros(full.shape[0], n_freqs, dtype=full.dtype)
    for k in range(n_freqs):
        for j in range(band_width):
            mixed[:, k] += torch.view_as_complex(weights)[k, j] * full[:, (k + j - band_width // 2) % n_fft]
    return mixed


@pytest.mark.parametrize("block", [1, 3, 4, 64])
@pytest.mark.parametrize(("n_fft", "band_width"), SIZES)
def test_mix_equals_a_loop_over_the_two_sided_spectrum(
    monkeypatch: pytest.MonkeyPatch, n_fft: int, band_width: int, block: int
) -> None:
    monkeypatch.setattr(mixing, "BLOCK", block)
    full, weights = random_spectrum(5, n_fft), random_weights(n_fft, band_width)
    real, imag = mix(full[:, : n_fft // 2 + 1], mixing_blocks(weights), n_fft)
    torch.testing.assert_close(torch.complex(real, imag), mix_by_loop(full, weights), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("n_fft", "band_width"), SIZES)
def test_identity_mixing_leaves_every_bin(n_fft: int, band_width: int) -> None:
    spectrum = torch.fft.rfft(torch.randn(3, n_fft, generator=torch.Generator().manual_seed(0)))
    weights = identity_mixing(n_fft // 2 + 1, band_width)
    assert weights.shape == (n_fft // 2 + 1, band_width, 2)
    mixed = torch.stack(mix(spectrum, mixing_blocks(weights), n_fft), -1)
    torch.testing.assert_close(mixed, torch.view_as_real(spectrum.contiguous()), rtol=0, atol=0)


@pytest.mark.parametrize("n_fft", [8, 9])
def test_mix_gradients_are_those_of_the_function(monkeypatch: pytest.MonkeyPatch, n_fft: int) -> None:
    monkeypatch.setattr(mixing, "BLOCK", 2)
    spectrum = random_spectrum(2, n_fft)[:, : n_fft // 2 + 1].clone().requires_grad_()
    weights = random_weights(n_fft, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, w: mix(x, mixing_blocks(w), n_fft), [spectrum, weights])


def test_mix_turns_into_a_window_what_the_weights_convolve() -> None:
    """Hann's window has three bins: 1/2 of the bin itself, -1/4 of its neighbours."""
    n_fft = 32
    weights = torch.zeros(n_fft // 2 + 1, 3, 2)
    weights[:, :, 0] = torch.tensor([-0.25, 0.5, -0.25])
    frames = torch.randn(4, n_fft, generator=torch.Generator().manual_seed(0))
    mixed = torch.complex(*mix(torch.fft.rfft(frames), mixing_blocks(weights), n_fft))
    torch.testing.assert_close(mixed, torch.fft.rfft(frames * torch.hann_window(n_fft)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("order", ["contiguous", "transposed"])
def test_mix_takes_any_layout_and_changes_no_input(order: str) -> None:
    full, weights = random_spectrum(6, 64), random_weights(64, 5)
    spectrum = full[:, :33].contiguous() if order == "contiguous" else full[:, :33].T.contiguous().T
    before = spectrum.clone()
    real, imag = mix(spectrum, mixing_blocks(weights), 64)
    torch.testing.assert_close(torch.complex(real, imag), mix_by_loop(full, weights), rtol=1e-12, atol=1e-12)
    assert torch.equal(spectrum, before)
