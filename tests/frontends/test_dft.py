import numpy as np
import pytest
import torch

from adaspec.frontends.stft.dft import complex_rows, dft_basis, dft_norms

SIZES = [1, 2, 3, 4, 5, 255, 256, 2048]


@pytest.mark.parametrize("n_fft", SIZES)
def test_dft_basis_equals_the_transform(n_fft: int) -> None:
    basis = dft_basis(n_fft)
    expected = np.fft.rfft(np.eye(n_fft)).T  # (n_fft//2 + 1, n_fft)
    assert basis.shape == (n_fft, n_fft)
    assert basis.dtype == torch.float32
    np.testing.assert_allclose(basis[: n_fft // 2 + 1], expected.real, rtol=0, atol=1e-7)
    np.testing.assert_allclose(basis[n_fft // 2 + 1 :], expected.imag[1 : 1 + (n_fft - 1) // 2], rtol=0, atol=1e-7)


@pytest.mark.parametrize("n_fft", SIZES)
def test_dft_basis_is_orthogonal_with_its_norms(n_fft: int) -> None:
    unit = (dft_basis(n_fft) / dft_norms(n_fft)).double()
    torch.testing.assert_close(unit @ unit.T, torch.eye(n_fft).double(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("n_fft", SIZES)
def test_complex_rows_give_the_spectrum(n_fft: int) -> None:
    frame = torch.randn(n_fft, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rows = complex_rows(dft_basis(n_fft).double().expand(3, -1, -1))
    assert rows.shape == (3, n_fft // 2 + 1, n_fft)
    expected = torch.fft.rfft(frame).expand(3, -1)
    torch.testing.assert_close(rows @ frame.to(rows.dtype), expected, rtol=0, atol=1e-5)
