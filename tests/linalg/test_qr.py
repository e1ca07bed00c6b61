# ruff: noqa: N803, N806 (A, Q, R are what every text calls them)
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from grids import pairs
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.autograd import gradcheck, gradgradcheck
from torch.utils._python_dispatch import TorchDispatchMode

from adaspec.linalg import METHODS, modified_gram_schmidt, orthonormalize
from adaspec.linalg.qr import DTYPES, PANEL, _check_rank

REAL_AND_COMPLEX = [torch.float64, torch.complex128]
BOTH = pytest.mark.parametrize("second_pass", [False, True])
EVERY_METHOD = pytest.mark.parametrize("method", METHODS)


def noise(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def eps(dtype: torch.dtype) -> float:
    return torch.finfo(dtype).eps


def wide(A: Tensor) -> Tensor:
    return A.detach().to(torch.promote_types(A.dtype, torch.float64))


def loss_of_orthogonality(Q: Tensor) -> float:
    Q = wide(Q)
    n = Q.shape[-1]
    return float((Q.mH @ Q - torch.eye(n, dtype=Q.dtype)).abs().max()) if Q.numel() else 0.0


def residual(A: Tensor, Q: Tensor, R: Tensor) -> float:
    """Largest |a_j - Q r_j| relative to |a_j|."""
    A = wide(A)
    distance = torch.linalg.vector_norm(A - wide(Q) @ wide(R), dim=-2) / torch.linalg.vector_norm(A, dim=-2)
    return float(distance.max()) if distance.numel() else 0.0


def with_condition(m: int, n: int, condition: float, dtype: torch.dtype) -> Tensor:
    """A matrix whose singular values go down evenly, in the logarithm, from 1 to 1 / condition."""
    kind = torch.promote_types(dtype, torch.float64)
    left, right = (torch.linalg.qr(noise(k, n, dtype=kind, seed=k))[0] for k in (m, n))
    return (left * torch.logspace(0, -np.log10(condition), n, dtype=torch.float64) @ right.mH).to(dtype)


def lauchli(n: int, small: float, dtype: torch.dtype) -> Tensor:
    """A row of ones above a small multiple of the identity: all columns point almost the same way."""
    return torch.cat([torch.ones(1, n, dtype=dtype), small * torch.eye(n, dtype=dtype)])


def numpy_qr(A: Tensor) -> tuple[Tensor, Tensor]:
    """numpy's QR in double precision, the diagonal of R made positive."""
    Q, R = np.linalg.qr(wide(A).numpy())
    diagonal = np.diagonal(R, axis1=-2, axis2=-1)
    phase = diagonal / np.abs(diagonal)
    return torch.from_numpy(Q * phase[..., None, :]), torch.from_numpy(R * phase.conj()[..., None])


def gradient(A: Tensor, gQ: Tensor, method: str, second_pass: bool = False) -> Tensor:
    A = A.detach().clone().requires_grad_()
    Q = orthonormalize(A, method=method, second_pass=second_pass)
    return torch.autograd.grad(Q, A, gQ)[0]


@st.composite
def matrices(draw: st.DrawFn) -> Tensor:
    """Random matrices of up to three panels, any dtype and batch, columns of very different length, any layout."""
    n = draw(st.one_of(st.integers(0, 5), st.sampled_from([PANEL - 1, PANEL, PANEL + 1, 2 * PANEL + 3])))
    m = n + draw(st.sampled_from([0, 1, 2, 7, 40]))
    batch = draw(st.sampled_from([(), (1,), (3,), (0,), (2, 2), (2, 0)]))
    seed = draw(st.integers(0, 10_000))
    A = noise(*batch, m, n, dtype=draw(st.sampled_from(DTYPES)), seed=seed)
    exponents = np.random.default_rng(seed).uniform(-8, 8, n) * draw(st.sampled_from([0, 1]))
    A = A * torch.from_numpy(10.0**exponents).to(A.dtype)
    layout = draw(st.sampled_from(["rows", "columns", "strided"]))
    if layout == "columns":
        return A.mT.contiguous().mT
    return A if layout == "rows" else torch.stack([A, A], dim=-1).flatten(-2)[..., ::2]


@settings(max_examples=150, deadline=None)
@given(A=matrices(), second_pass=st.booleans())
def test_modified_gram_schmidt_is_a_qr_factorization(A: Tensor, second_pass: bool) -> None:
    before = A.clone()
    Q, R = modified_gram_schmidt(A, second_pass=second_pass)
    n = A.shape[-1]
    assert (Q.shape, R.shape) == (A.shape, (*A.shape[:-2], n, n))
    assert Q.dtype == R.dtype == A.dtype
    assert torch.equal(A, before)
    assert torch.equal(R, R.triu())
    diagonal = R.diagonal(dim1=-2, dim2=-1)
    assert (diagonal.real > 0).all()
    if A.is_complex():
        assert (diagonal.imag.abs() <= 4 * eps(A.dtype) * diagonal.real).all()
    assert residual(A, Q, R) <= 30 * eps(A.dtype)
    # The length of the columns has no part in the condition that counts.
    unit = wide(A) / torch.linalg.vector_norm(wide(A), dim=-2, keepdim=True)
    condition = 1.0 if second_pass or A.numel() == 0 else float(torch.linalg.cond(unit).max())
    assert loss_of_orthogonality(Q) <= 20 * eps(A.dtype) * condition


@settings(max_examples=60, deadline=None)
@given(A=matrices(), method=st.sampled_from(METHODS))
def test_orthonormalize_equals_numpy(A: Tensor, method: str) -> None:
    expected, _ = numpy_qr(A)
    found = orthonormalize(A, method=method)
    assert found.shape == A.shape
    assert found.dtype == A.dtype
    unit = wide(A) / torch.linalg.vector_norm(wide(A), dim=-2, keepdim=True)
    condition = float(torch.linalg.cond(unit).max()) if A.numel() else 1.0
    torch.testing.assert_close(wide(found), expected, rtol=0, atol=100 * eps(A.dtype) * condition)


@settings(max_examples=60, deadline=None)
@given(A=matrices(), method=st.sampled_from(METHODS), second_pass=st.booleans())
def test_orthonormalize_leaves_orthonormal_columns_as_they_are(A: Tensor, method: str, second_pass: bool) -> None:
    signs = noise(A.shape[-1]).sign().to(A.dtype)
    orthonormal = (numpy_qr(A)[0] * signs).to(A.dtype)
    found = orthonormalize(orthonormal, method=method, second_pass=second_pass)
    torch.testing.assert_close(found, orthonormal, rtol=0, atol=30 * eps(A.dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("m", "n"), [(9, 5), (200, 97), (97, 97)])
def test_modified_gram_schmidt_equals_torch(m: int, n: int, dtype: torch.dtype) -> None:
    A = noise(3, m, n, dtype=dtype)
    Q, R = torch.linalg.qr(wide(A))
    phase = R.diagonal(dim1=-2, dim2=-1).sgn()
    found = modified_gram_schmidt(A)
    tolerance = 20 * eps(dtype) * float(torch.linalg.cond(wide(A)).max())
    torch.testing.assert_close(wide(found[0]), Q * phase[:, None, :], rtol=0, atol=tolerance)
    torch.testing.assert_close(wide(found[1]), R * phase.conj()[:, :, None], rtol=0, atol=tolerance * m**0.5)


@EVERY_METHOD
@pytest.mark.parametrize("dtype", DTYPES)
def test_orthonormalize_matrix_is_independent_of_its_batch(method: str, dtype: torch.dtype) -> None:
    A = noise(4, 40, 36, dtype=dtype)
    A[1] *= 1e6
    together = orthonormalize(A, method=method)
    alone = torch.stack([orthonormalize(a, method=method) for a in A])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e3 * eps(dtype))


def test_modified_gram_schmidt_meets_its_figures_in_float32() -> None:
    A = noise(1024, 512, dtype=torch.float32)
    for second_pass in (False, True):
        Q, R = modified_gram_schmidt(A, second_pass=second_pass)
        assert loss_of_orthogonality(Q) < 1e-5
        assert residual(A, Q, R) < 1e-5


HARD = {
    "condition 1e6": with_condition(200, 100, 1e6, torch.float32),
    "condition 1e6, one panel": with_condition(64, 24, 1e6, torch.float32),
    "condition 1e6, square": with_condition(96, 96, 1e6, torch.float32),
    "condition 1e6, complex": with_condition(120, 80, 1e6, torch.complex64),
    "condition 1e12": with_condition(200, 100, 1e12, torch.float64),
    "condition 1e12, complex": with_condition(60, 50, 1e12, torch.complex128),
    "Läuchli 1e-3": lauchli(80, 1e-3, torch.float32),
    "Läuchli 1e-5": lauchli(80, 1e-5, torch.float32),
    "Läuchli 1e-8": lauchli(80, 1e-8, torch.float64),
    "Läuchli 1e-13": lauchli(80, 1e-13, torch.float64),
    "Vandermonde": torch.linspace(0, 1, 200)[:, None] ** torch.arange(9),
    "Hilbert": 1 / (torch.arange(10, dtype=torch.float64)[:, None] + torch.arange(10) + 1),
    "almost equal pairs": (noise(90, 40).repeat_interleave(2, dim=1) + 1e-4 * noise(90, 80, seed=1)).float(),
}


@pytest.mark.parametrize("name", HARD)
def test_second_pass_makes_ill_conditioned_columns_orthonormal(name: str) -> None:
    A = HARD[name]
    small = 20 * eps(A.dtype)
    Q, R = modified_gram_schmidt(A)
    assert residual(A, Q, R) <= small
    assert loss_of_orthogonality(Q) <= max(small, eps(A.dtype) * float(torch.linalg.cond(wide(A))))
    Q, R = modified_gram_schmidt(A, second_pass=True)
    assert residual(A, Q, R) <= small
    assert loss_of_orthogonality(Q) <= small
    for method in METHODS:
        assert loss_of_orthogonality(orthonormalize(A, method=method, second_pass=True)) <= small


def test_one_pass_loses_orthogonality_where_the_condition_is_high() -> None:
    # What the second pass is for; were it otherwise, the test above would prove nothing.
    assert loss_of_orthogonality(modified_gram_schmidt(HARD["condition 1e6"])[0]) > 1e-4
    assert loss_of_orthogonality(modified_gram_schmidt(HARD["condition 1e12"])[0]) > 1e-6


# No larger than shows what they are for: the time goes with the fourth power of the sides.
SHAPES = [(6, 4), (4, 4), (3, 1), (1, 1), (2, 3, 2), (2, 1, 3, 2), (4, 0), (0, 4, 3)]


@pytest.mark.parametrize(
    ("shape", "dtype", "second_pass", "method"), pairs(SHAPES, REAL_AND_COMPLEX, [False, True], METHODS)
)
def test_orthonormalize_gradient_is_that_of_the_function(
    shape: tuple[int, ...], dtype: torch.dtype, second_pass: bool, method: str
) -> None:
    A = noise(*shape, dtype=dtype).requires_grad_()
    assert gradcheck(lambda a: orthonormalize(a, method=method, second_pass=second_pass), A)


@pytest.mark.parametrize(("shape", "dtype", "second_pass"), pairs(SHAPES, REAL_AND_COMPLEX, [False, True]))
def test_modified_gram_schmidt_gradients_are_those_of_the_function(
    shape: tuple[int, ...], dtype: torch.dtype, second_pass: bool
) -> None:
    A = noise(*shape, dtype=dtype).requires_grad_()
    assert gradcheck(lambda a: modified_gram_schmidt(a, second_pass=second_pass), A)
    assert gradcheck(lambda a: modified_gram_schmidt(a, second_pass=second_pass)[1], A)
    assert gradgradcheck(lambda a: modified_gram_schmidt(a, second_pass=second_pass), A)


@pytest.mark.parametrize("dtype", REAL_AND_COMPLEX)
def test_orthonormalize_can_be_differentiated_twice(dtype: torch.dtype) -> None:
    A = noise(5, 3, dtype=dtype).requires_grad_()
    assert gradgradcheck(orthonormalize, A)


def test_stepwise_refuses_a_second_derivative() -> None:
    A = noise(5, 3).requires_grad_()
    Q = orthonormalize(A, method="stepwise")
    with pytest.raises(RuntimeError, match="second derivative") as refusal:
        torch.autograd.grad(Q.sum(), A, create_graph=True)
    assert str(refusal.value) == "method 'stepwise' has no second derivative; take method='closed_form'"


@pytest.mark.parametrize(
    ("shape", "dtype", "second_pass"), pairs([(300, 150), (140, 140), (3, 60, 40)], DTYPES, [False, True])
)
def test_gradients_of_all_methods_agree(shape: tuple[int, ...], dtype: torch.dtype, second_pass: bool) -> None:
    A, gQ = noise(*shape, dtype=dtype), noise(*shape, dtype=dtype, seed=1)
    expected = gradient(wide(A), wide(gQ), "lapack")
    condition = float(torch.linalg.cond(wide(A)).max())
    for method in METHODS:
        found = wide(gradient(A, gQ, method, second_pass))
        distance = float(torch.linalg.vector_norm(found - expected) / torch.linalg.vector_norm(expected))
        assert distance <= 20 * eps(dtype) * condition, method


def test_gradient_through_r_is_that_of_lapack() -> None:
    A, gQ, gR = noise(2, 200, 150), noise(2, 200, 150, seed=1), noise(2, 150, 150, seed=2)

    def lapack(A: Tensor) -> tuple[Tensor, Tensor]:
        Q, R = torch.linalg.qr(A)
        sign = R.diagonal(dim1=-2, dim2=-1).sign()
        return Q * sign[:, None, :], R * sign[:, :, None]

    A.requires_grad_()
    for wanted in ([gQ, gR], [gQ * 0, gR]):
        expected = torch.autograd.grad(lapack(A), A, wanted)
        torch.testing.assert_close(torch.autograd.grad(modified_gram_schmidt(A), A, wanted), expected)
    torch.testing.assert_close(torch.autograd.grad(modified_gram_schmidt(A)[1], A, gR), expected)


@EVERY_METHOD
def test_gradient_takes_any_layout(method: str) -> None:
    A, gQ = noise(9, 6), noise(9, 6, seed=1)
    expected = gradient(A, gQ, method)
    for layout in (gQ.mT.contiguous().mT, torch.stack([gQ, gQ], dim=-1)[..., 0]):
        torch.testing.assert_close(gradient(A, layout, method), expected)
    summed = gradient(A, torch.ones(()).double().expand(9, 6), method)
    torch.testing.assert_close(summed, gradient(A, torch.ones(9, 6).double(), method))


def saved_by(method: str, A: Tensor, second_pass: bool = False) -> tuple[list[Tensor], Tensor]:
    """What autograd keeps for the backward pass, and Q."""
    saved: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        saved.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        Q = orthonormalize(A, method=method, second_pass=second_pass)
    return saved, Q


@BOTH
@pytest.mark.parametrize("dtype", DTYPES)
def test_closed_form_saves_q_and_r_and_nothing_else(dtype: torch.dtype, second_pass: bool) -> None:
    A = noise(50, 40, dtype=dtype).requires_grad_()
    saved, Q = saved_by("closed_form", A, second_pass)
    R = modified_gram_schmidt(A, second_pass=second_pass)[1]
    assert len(saved) == 2
    assert torch.equal(saved[0], Q)
    assert torch.equal(saved[1], R)
    assert [tensor.untyped_storage().nbytes() for tensor in saved] == [
        A.element_size() * 50 * 40,
        A.element_size() * 40 * 40,
    ]


def test_stepwise_saves_q_and_r_of_each_pass() -> None:
    A = noise(50, 40).requires_grad_()
    once, Q = saved_by("stepwise", A)
    assert len(once) == 2
    assert torch.equal(once[0], Q)
    twice, Q = saved_by("stepwise", A, second_pass=True)
    assert len(twice) == 4
    assert torch.equal(twice[0], once[0])
    assert torch.equal(twice[2], Q)


def test_stepwise_goes_back_through_the_second_pass_first() -> None:
    # Where the first Q is orthonormal the order would not show.
    A = HARD["condition 1e6"].clone().requires_grad_()
    gQ = noise(*A.shape, dtype=A.dtype)
    once = orthonormalize(A, method="stepwise")
    expected = torch.autograd.grad(orthonormalize(once, method="stepwise"), A, gQ)[0]
    torch.testing.assert_close(gradient(A, gQ, "stepwise", second_pass=True), expected, rtol=0, atol=0)


def test_recorded_loop_saves_a_number_per_row_and_pair_of_columns() -> None:
    m, n = 60, 40
    saved, _ = saved_by("autograd", noise(m, n).requires_grad_())
    held = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in saved}
    assert sum(held.values()) > 8 * m * n * (n - 1) / 2


class CountWaits(TorchDispatchMode):
    """Counts the copies of a number to the host, each of which waits for a GPU."""

    waits = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.waits += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


@EVERY_METHOD
@pytest.mark.parametrize("dtype", DTYPES)
def test_orthonormalize_waits_once_for_the_device(method: str, dtype: torch.dtype) -> None:
    A = noise(2, 90, 70, dtype=dtype).requires_grad_()
    with CountWaits() as count:
        orthonormalize(A, method=method, second_pass=True).abs().sum().backward()
    assert count.waits == 1


TOLERANCE = {
    torch.float32: "7.6e-06",
    torch.complex64: "7.6e-06",
    torch.float64: "1.4e-14",
    torch.complex128: "1.4e-14",
}


def refusal_of(A: Tensor, **settings: Any) -> str:
    with pytest.raises(ValueError, match=r"^(column|A|method) ") as refusal:
        orthonormalize(A, **settings)
    return str(refusal.value)


@EVERY_METHOD
@BOTH
@pytest.mark.parametrize("dtype", DTYPES)
def test_zero_column_is_refused(dtype: torch.dtype, second_pass: bool, method: str) -> None:
    A = noise(60, 50, dtype=dtype)
    A[:, 37] = 0
    assert refusal_of(A, method=method, second_pass=second_pass) == (
        "column 37 of A is zero and has no direction; drop it or add noise to it"
    )


@pytest.mark.parametrize(
    ("kind", "dtype", "second_pass", "method"), pairs(["copy", "sum", "low rank"], DTYPES, [False, True], METHODS)
)
def test_dependent_column_is_refused(kind: str, dtype: torch.dtype, second_pass: bool, method: str) -> None:
    A = noise(2, 3, 60, 50, dtype=dtype)
    if kind == "copy":
        A[1, 2, :, 41] = -3 * A[1, 2, :, 4]
    elif kind == "sum":
        A[1, 2, :, 41] = A[1, 2, :, :41].sum(dim=-1)
    else:
        A[1, 2] = noise(60, 41, dtype=dtype, seed=1) @ noise(41, 50, dtype=dtype, seed=2)
    message = refusal_of(A, method=method, second_pass=second_pass)
    norm = float(torch.linalg.vector_norm(A[1, 2, :, 41]))
    assert message.startswith("column 41 of A[1, 2] depends on the columns before it: ")
    assert f" of its norm {norm:.3g} remains, " in message
    remaining = float(message.removeprefix("column 41 of A[1, 2] depends on the columns before it: ").split()[0])
    assert 0 <= remaining <= float(TOLERANCE[dtype]) * norm


def test_second_pass_that_fails_is_refused() -> None:
    A, again = noise(5, 3), torch.eye(3).double()
    again[1, 1] = torch.nan
    with pytest.raises(ValueError, match=r"^column 1 of A depends on the columns before it: 0 of its norm "):
        _check_rank(A, [modified_gram_schmidt(A)[1], again])


def test_failed_panel_is_refused_whatever_the_library_leaves_there(monkeypatch: pytest.MonkeyPatch) -> None:
    factorize = torch.linalg.cholesky_ex

    def careless(gram: Tensor) -> tuple[Tensor, Tensor]:
        factor, failed = factorize(gram)
        return torch.where(failed > 0, torch.eye(gram.shape[-1], dtype=gram.dtype), factor), failed

    monkeypatch.setattr(torch.linalg, "cholesky_ex", careless)
    A = noise(60, 50, dtype=torch.float32)
    A[:, 37] = 0
    assert refusal_of(A).startswith("column 37 of A is zero")


@EVERY_METHOD
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_column_that_is_not_finite_is_refused(value: float, dtype: torch.dtype, method: str) -> None:
    A = noise(60, 50, dtype=dtype)
    A[3, 35], A[:, 40] = value, 0
    name = str(dtype).removeprefix("torch.")
    assert refusal_of(A, method=method) == (
        f"column 35 of A holds NaN or infinity, or is too long for {name}; look where it comes from, or scale A down"
    )


def test_small_but_independent_remainder_is_accepted() -> None:
    # Twice the tolerance remains of the second column, half of it of the third.
    for dtype in DTYPES:
        A = torch.eye(3, dtype=dtype)
        A[0, 1:] = 1
        A[1, 1] = 128 * eps(dtype)
        orthonormalize(A)
        A[2, 2] = 32 * eps(dtype)
        assert refusal_of(A).startswith("column 2 of A depends")


@pytest.mark.parametrize("exponent", [-34, -15, 15, 36])
def test_scale_of_the_matrix_does_not_matter(exponent: int) -> None:
    A = noise(50, 40, dtype=torch.float32)
    torch.testing.assert_close(orthonormalize(A * 10.0**exponent), orthonormalize(A), rtol=0, atol=1e-5)


@pytest.mark.parametrize("shape", [(2, 3), (5, 0, 1), (7,), ()])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    told = (
        f"A must have shape (..., m, n) with m >= n, got {shape}; "
        "for orthonormal rows orthonormalise A.mH and take the result's .mH"
    )
    assert refusal_of(torch.ones(shape)) == told
    with pytest.raises(ValueError, match="must have shape") as refusal:
        modified_gram_schmidt(torch.ones(shape))
    assert str(refusal.value) == told


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.int64, torch.bool])
def test_other_dtypes_are_refused(dtype: torch.dtype) -> None:
    name = str(dtype).removeprefix("torch.")
    assert refusal_of(torch.ones(3, 2, dtype=dtype)) == (
        f"A must be one of float32, float64, complex64, complex128, got {name}; convert it, as in A.float()"
    )


def test_unknown_method_is_refused() -> None:
    assert refusal_of(torch.eye(2), method="householder") == (
        "method must be one of closed_form, stepwise, lapack, autograd, got 'householder'"
    )


@EVERY_METHOD
def test_orthonormalize_keeps_float32_under_autocast(method: str) -> None:
    A = noise(40, 36, dtype=torch.float32).requires_grad_()
    gQ = noise(40, 36, dtype=torch.float32, seed=1)
    expected = orthonormalize(A, method=method)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = orthonormalize(A, method=method)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    expected_gradient, found_gradient = (torch.autograd.grad(Q, A, gQ)[0] for Q in (expected, found))
    torch.testing.assert_close(found_gradient, expected_gradient, rtol=0, atol=0)


@pytest.mark.parametrize("method", ["closed_form", "stepwise"])
def test_own_backward_passes_keep_float32_under_autocast(method: str) -> None:
    A, gQ = noise(40, 36, dtype=torch.float32), noise(40, 36, dtype=torch.float32, seed=1)
    expected = gradient(A, gQ, method)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = gradient(A, gQ, method)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


class Turned(nn.Module):
    """Its input times a learned matrix with orthonormal columns."""

    def __init__(self, method: str, second_pass: bool) -> None:
        super().__init__()
        self.matrix = nn.Parameter(noise(6, 4, dtype=torch.float32))
        self.method, self.second_pass = method, second_pass

    def forward(self, x: Tensor) -> Tensor:
        return x @ orthonormalize(self.matrix, method=self.method, second_pass=self.second_pass)


@BOTH
@EVERY_METHOD
def test_orthonormalize_compiles(method: str, second_pass: bool) -> None:
    x = noise(3, 6, dtype=torch.float32)
    plain, compiled = Turned(method, second_pass), Turned(method, second_pass)
    expected = plain(x)
    found = torch.compile(compiled, fullgraph=True, backend="aot_eager")(x)
    torch.testing.assert_close(found, expected)
    for output in (expected, found):
        output.square().sum().backward()
    torch.testing.assert_close(compiled.matrix.grad, plain.matrix.grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("strict", [False, True])
def test_orthonormalize_can_be_exported(strict: bool) -> None:
    x = noise(3, 6, dtype=torch.float32)
    layer = Turned("closed_form", second_pass=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own, which change with torch
        exported = torch.export.export(layer, (x,), strict=strict).module()
    torch.testing.assert_close(exported(x), layer(x))


def test_modified_gram_schmidt_compiles() -> None:
    for A in (noise(5, 4, 3), torch.zeros(3, 2).double()):
        Q, R = torch.compile(modified_gram_schmidt, fullgraph=True, backend="aot_eager")(A)
        # Unchecked: a matrix without rank gives what LAPACK makes of it, not NaN.
        torch.testing.assert_close(Q.mT @ Q, torch.eye(A.shape[-1]).double().expand_as(R))
        torch.testing.assert_close(Q @ R, A)
