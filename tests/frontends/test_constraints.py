import pytest
import scipy.signal
import torch
from torch import Tensor

from adaspec.frontends.constraints import nonnegative, symmetric
from adaspec.frontends.stft.dft import dft_basis, dft_norms
from adaspec.frontends.stft.kernels import constrain_kernels


def random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_nonnegative_counts_what_is_below_zero_as_zero() -> None:
    values = random(100)
    assert torch.equal(nonnegative(values), values.clamp_min(0))
    assert torch.equal(nonnegative(values.abs()), values.abs())


def test_nonnegative_lets_a_zero_rise_and_never_pushes_it_below() -> None:
    values = torch.tensor([-2.0, -2.0, 0.0, 0.0, 3.0, 3.0], requires_grad=True)
    gradient = torch.tensor([-1.0, 1.0, -1.0, 1.0, -1.0, 1.0])  # a step goes against it
    nonnegative(values).backward(gradient)
    assert values.grad is not None
    assert values.grad.tolist() == [-1.0, 0.0, -1.0, 0.0, -1.0, 1.0]


@pytest.mark.parametrize("length", [1, 2, 3, 8, 9])
def test_symmetric_is_the_mean_with_the_mirror_image_about_the_centre(length: int) -> None:
    window = random(2, length)
    found = symmetric(window)
    for n in range(length):
        expected = (window[:, n] + window[:, (length - n) % length]) / 2
        torch.testing.assert_close(found[:, n], expected)
    torch.testing.assert_close(symmetric(found), found)


@pytest.mark.parametrize("name", ["hann", "hamming", "blackman", "boxcar", ("kaiser", 8.0), ("gaussian", 20.0)])
@pytest.mark.parametrize("length", [128, 129])
def test_symmetric_leaves_periodic_windows(name: str | tuple[str, float], length: int) -> None:
    window = torch.from_numpy(scipy.signal.get_window(name, length))
    torch.testing.assert_close(symmetric(window), window, rtol=0, atol=1e-15)


@pytest.mark.parametrize("constraint", ["free", "unit_norm", "orthonormal"])
@pytest.mark.parametrize("n_fft", [2, 3, 4, 31, 64, 256])
def test_constrain_kernels_leaves_the_dft(n_fft: int, constraint: str) -> None:
    basis = dft_basis(n_fft)
    torch.testing.assert_close(constrain_kernels(basis, constraint), basis, rtol=0, atol=2e-6)


def test_constrain_kernels_free_is_nothing() -> None:
    kernels = random(2, 8, 8)
    assert constrain_kernels(kernels, "free") is kernels


@pytest.mark.parametrize("n_fft", [2, 3, 31, 64])
def test_constrain_kernels_unit_norm_keeps_directions_and_sets_norms(n_fft: int) -> None:
    kernels = random(2, n_fft, n_fft)
    found = constrain_kernels(kernels, "unit_norm")
    norms = dft_norms(n_fft).double().expand(2, -1, -1)
    torch.testing.assert_close(found.norm(dim=-1, keepdim=True), norms, rtol=1e-6, atol=0)
    torch.testing.assert_close(torch.cosine_similarity(found, kernels, dim=-1), torch.ones(2, n_fft).double())


@pytest.mark.parametrize("n_fft", [2, 3, 31, 64])
def test_constrain_kernels_orthonormal_is_gram_schmidt_in_the_order_of_the_rows(n_fft: int) -> None:
    kernels = random(2, n_fft, n_fft)
    unit = constrain_kernels(kernels, "orthonormal") / dft_norms(n_fft).double()
    torch.testing.assert_close(unit @ unit.mT, torch.eye(n_fft).double().expand(2, -1, -1), rtol=0, atol=1e-9)
    # The first row keeps its direction; each one lies in the span of those up to it, and points its own way.
    product = kernels @ unit.mT
    torch.testing.assert_close(product, product.tril(), rtol=0, atol=1e-9)
    assert (product.diagonal(dim1=-2, dim2=-1) > 0).all()


@pytest.mark.parametrize("constraint", ["unit_norm", "orthonormal"])
def test_constrain_kernels_gradients_are_those_of_the_function(constraint: str) -> None:
    kernels = random(2, 6, 6).requires_grad_()
    assert torch.autograd.gradcheck(lambda k: constrain_kernels(k, constraint), [kernels])


def test_a_row_of_zeros_has_no_norm_to_be_brought_to() -> None:
    kernels = dft_basis(16).clone()
    kernels[3] = 0
    found = constrain_kernels(kernels.requires_grad_(), "unit_norm")
    assert torch.equal(found[3], torch.zeros(16, dtype=found.dtype))
    found.square().sum().backward()
    assert kernels.grad is not None
    assert kernels.grad.isfinite().all()
