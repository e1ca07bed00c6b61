"""QR by modified Gram-Schmidt, and the orthonormalisation of columns with four ways to its gradient."""
# ruff: noqa: N803, N806 (A, Q, R are what every text calls them)

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from adaspec.linalg.gradients import closed_form_gradient, stepwise_gradient, subtract_product
from adaspec.linalg.transforms import is_transformed

__all__ = ["METHODS", "modified_gram_schmidt", "orthonormalize"]

METHODS = ("closed_form", "stepwise", "lapack", "autograd")
DTYPES = (torch.float32, torch.float64, torch.complex64, torch.complex128)

# Columns factored at a time. Between panels the work is matrix products. 32 is the fastest of 16, 32 and 64 at
# 1024x1024 float32.
PANEL = 32

# A column counts as dependent where at most this many eps of its norm remain. Rounding leaves up to 33 eps of a column
# that depends on the others (random combinations, products of low rank, up to 4096 rows); a condition of 1e6 in
# float32 leaves at least 170 eps.
DEPENDENT_EPS = 64


def orthonormalize(A: Tensor, *, method: str = "closed_form", second_pass: bool = False) -> Tensor:
    """Orthonormalise the columns of A: the Q of A = QR, where the diagonal of R is real and positive.

    The signs follow A, so that a matrix with orthonormal columns comes back unchanged up to rounding. The methods
    differ in how the gradient is had, and in what is kept for it: see docs/qr.md.

    While torch.compile or torch.export trace it, torch.func transforms it or forward mode differentiates it, every
    method is LAPACK's and the rank is not checked.

    Parameters
    ----------
    A : Tensor of shape (..., m, n), m >= n
        float32, float64, complex64 or complex128.
    method : str
        "closed_form": `modified_gram_schmidt`, the gradient from Q and R at once; may be differentiated twice.
        "stepwise": the same Q, the gradient step by step backwards.
        "lapack": torch.linalg.qr and its gradient.
        "autograd": the column loop as autograd records it, which keeps O(m n^2) numbers.
    second_pass : bool
        Orthonormalise the result once more. Loss of orthogonality, which grows with A's condition, is then gone.

    Returns
    -------
    Tensor of shape (..., m, n)
        Q, of A's dtype.

    Raises
    ------
    ValueError
        Unknown method, or A of another shape or dtype; a column that is not finite, or depends on those before it:
        at most 64 eps of its norm remain.
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    _check_kind(A)
    if torch.compiler.is_compiling() or is_transformed(A):
        return _householder(A)[0]
    # In the dtype of A, also where autocast would have bf16 products.
    with torch.autocast(A.device.type, enabled=False):
        if method == "closed_form":
            return _ClosedForm.apply(A, second_pass)[0]
        if method == "stepwise":
            return _Stepwise.apply(A, second_pass)
        return _factor(A, _householder if method == "lapack" else _recorded, second_pass)[-1][0]


def modified_gram_schmidt(A: Tensor, *, second_pass: bool = False) -> tuple[Tensor, Tensor]:
    """QR factorisation by blocked modified Gram-Schmidt.

    Panels of columns are orthonormalised in themselves, then their part is taken off all later columns by a matrix
    product. Within a panel, double precision goes column by column. Single precision takes the panel's R as the
    Cholesky factor of its Gram matrix in double precision, which is the same R, sooner.

    Q is orthonormal up to about eps times A's condition, with a second pass up to about eps. A = QR holds up to eps.
    Differentiable in both, any number of times.

    While torch.compile or torch.export trace it, torch.func transforms it or forward mode differentiates it, LAPACK
    factors and the rank is not checked.

    Parameters
    ----------
    A : Tensor of shape (..., m, n), m >= n
        float32, float64, complex64 or complex128.
    second_pass : bool
        Factor Q = Q2 R2 again and return Q2 and R2 R.

    Returns
    -------
    Q : Tensor of shape (..., m, n)
    R : Tensor of shape (..., n, n)
        Upper triangular with a real positive diagonal.

    Raises
    ------
    ValueError
        A of another shape or dtype; a column that is not finite, or depends on those before it: at most 64 eps of its
        norm remain.

    References
    ----------
    Carson, Lund, Rozloznik, Thomas 2020, https://arxiv.org/abs/2010.12058: block Gram-Schmidt and its stability.
    """
    _check_kind(A)
    if torch.compiler.is_compiling() or is_transformed(A):
        return _householder(A)
    with torch.autocast(A.device.type, enabled=False):
        Q, R = _ClosedForm.apply(A, second_pass)
        return Q, R


class _ClosedForm(Function):
    """QR that saves Q and R, nothing else, and takes the gradient from them at once."""

    @staticmethod
    def forward(A: Tensor, second_pass: bool) -> tuple[Tensor, Tensor]:
        passes = _factor(A, _blocked, second_pass)
        R = passes[0][1]
        for _, again in passes[1:]:
            R = again @ R
        return passes[-1][0], R

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        ctx.save_for_backward(*output)
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, gQ: Tensor | None, gR: Tensor | None) -> tuple[Tensor | None, None]:
        Q, R = ctx.saved_tensors
        with torch.autocast(Q.device.type, enabled=False):
            return closed_form_gradient(Q, R, gQ, gR), None


class _Stepwise(Function):
    """Q that saves Q and R of each pass, and goes back through the steps."""

    @staticmethod
    def forward(ctx: Any, A: Tensor, second_pass: bool) -> Tensor:
        passes = _factor(A, _blocked, second_pass)
        ctx.save_for_backward(*(factor for factors in passes for factor in factors))
        return passes[-1][0]

    @staticmethod
    def backward(ctx: Any, gQ: Tensor) -> tuple[Tensor, None]:
        if torch.is_grad_enabled():
            raise RuntimeError("method 'stepwise' has no second derivative; take method='closed_form'")
        saved = ctx.saved_tensors
        with torch.autocast(gQ.device.type, enabled=False):
            for Q, R in reversed(list(zip(saved[::2], saved[1::2], strict=True))):
                gQ = stepwise_gradient(Q, R, gQ)
        return gQ, None


def _factor(
    A: Tensor, factorize: Callable[[Tensor], tuple[Tensor, Tensor]], second_pass: bool
) -> list[tuple[Tensor, Tensor]]:
    """Q and R of A and, with a second pass, those of Q; A's rank is checked once for both."""
    passes = [factorize(A)]
    if second_pass:
        passes.append(factorize(passes[0][0]))
    _check_rank(A.detach(), [R.detach() for _, R in passes])
    return passes


def _householder(A: Tensor) -> tuple[Tensor, Tensor]:
    """LAPACK's QR with the diagonal of R made real and positive."""
    Q, R = torch.linalg.qr(A)
    # torch's gradient lets no phase of the diagonal change: it is a constant.
    phase = R.diagonal(dim1=-2, dim2=-1).detach().sgn()
    phase = torch.where(phase == 0, torch.ones_like(phase), phase)
    return Q * phase[..., None, :], R * phase.conj()[..., None]


def _recorded(A: Tensor) -> tuple[Tensor, Tensor]:
    basis, factor = _column_loop(A.mT)
    return basis.mT, factor.mT


def _blocked(A: Tensor) -> tuple[Tensor, Tensor]:
    """Panel by panel; on the transpose, so that columns are contiguous."""
    panel_of = _cholesky_panel if torch.finfo(A.dtype).bits == 32 else _column_loop
    n = A.shape[-1]
    rows = A.mT.clone(memory_format=torch.contiguous_format)  # (..., n, m)
    factor = A.new_zeros(*A.shape[:-2], n, n)  # R^T
    for start in range(0, n, PANEL):
        stop = min(start + PANEL, n)
        panel, later = rows[..., start:stop, :], rows[..., stop:, :]
        basis, factor[..., start:stop, start:stop] = panel_of(panel)
        panel.copy_(basis)
        # One by one, each column q_j of the panel would find c_j = q_j^H (w - sum of the q_i c_i before it) in a later
        # column w. All at once, that is a triangular system. Where Q^H Q = I it changes nothing; where a panel is ill
        # conditioned, leaving it out squares the loss of orthogonality.
        products = torch.linalg.solve_triangular(
            panel @ panel.mH, later @ panel.mH, upper=True, left=False, unitriangular=True
        )  # (..., n - stop, stop - start)
        subtract_product(later, products, panel)
        factor[..., stop:, start:stop] = products
    return rows.mT, factor.mT


def _column_loop(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Modified Gram-Schmidt on rows of shape (..., n, m), one by one: Q^T (..., n, m) and R^T (..., n, n)."""
    n = rows.shape[-2]
    basis, factor = [rows[..., :0, :]], [rows.new_zeros(*rows.shape[:-1], 0)]
    for j in range(n):
        norm = torch.linalg.vector_norm(rows[..., :1, :], dim=-1, keepdim=True)
        q, later = rows[..., :1, :] / norm, rows[..., 1:, :]
        products = later @ q.mH  # (..., n - j - 1, 1)
        rows = later - products @ q
        basis.append(q)
        factor.append(torch.nn.functional.pad(torch.cat([norm, products], dim=-2), (0, 0, j, 0)))
    return torch.cat(basis, dim=-2), torch.cat(factor, dim=-1)


def _cholesky_panel(rows: Tensor) -> tuple[Tensor, Tensor]:
    """As `_column_loop`, from the Gram matrix in twice the precision: its Cholesky factor is R^T.

    Squaring the panel's condition does no harm below 1e8, where single precision has long lost the rank.
    """
    wide = rows.to(torch.promote_types(rows.dtype, torch.float64))
    factor, failed = torch.linalg.cholesky_ex(wide @ wide.mH)
    # `failed` is the column, counted from 1, of which nothing remains. NaN marks it for the check of the rank, without
    # a wait for the device.
    column = torch.arange(1, rows.shape[-2] + 1, device=rows.device)
    factor.diagonal(dim1=-2, dim2=-1).masked_fill_(column == failed[..., None], torch.nan)
    # From the right, on the transpose: its columns are contiguous, which spares copies.
    basis = torch.linalg.solve_triangular(factor.mT, wide.mT, upper=True, left=False).mT
    return basis.to(rows.dtype), factor.to(rows.dtype)


def _check_kind(A: Tensor) -> None:
    if A.ndim < 2 or A.shape[-2] < A.shape[-1]:
        raise ValueError(
            f"A must have shape (..., m, n) with m >= n, got {tuple(A.shape)}; "
            "for orthonormal rows orthonormalise A.mH and take the result's .mH"
        )
    if A.dtype not in DTYPES:
        names = ", ".join(map(_name, DTYPES))
        raise ValueError(f"A must be one of {names}, got {_name(A.dtype)}; convert it, as in A.float()")


def _check_rank(A: Tensor, factors: list[Tensor]) -> None:
    """Refuse A where a column is not finite or depends on those before it; `factors` are the R of each pass."""
    remaining = factors[0].diagonal(dim1=-2, dim2=-1).real
    for again in factors[1:]:
        remaining = remaining * again.diagonal(dim1=-2, dim2=-1).real
    # The norm of R's column is that of A's; in double precision its square does not leave the range of float32.
    wide = torch.promote_types(A.dtype, torch.float64)
    norm = torch.linalg.vector_norm(factors[0], dim=-2, dtype=wide)
    tolerance = DEPENDENT_EPS * torch.finfo(A.dtype).eps
    usable = remaining > tolerance * norm  # false for NaN and infinity too
    if usable.all():  # the only wait for the device
        return
    # One column that is not finite spoils others: look for it in A itself.
    length = torch.linalg.vector_norm(A, dim=-2, dtype=wide)
    finite = length.isfinite() & (length <= torch.finfo(A.dtype).max)
    found = ~usable if finite.all() else ~finite
    *batch, column = (int(index) for index in found.nonzero()[0])
    where = f"column {column} of A" + (f"[{', '.join(map(str, batch))}]" if batch else "")
    dtype = _name(A.dtype)
    if not finite[(*batch, column)]:
        raise ValueError(
            f"{where} holds NaN or infinity, or is too long for {dtype}; look where it comes from, or scale A down"
        )
    if length[(*batch, column)] == 0:
        raise ValueError(f"{where} is zero and has no direction; drop it or add noise to it")
    raise ValueError(
        f"{where} depends on the columns before it: {float(remaining[(*batch, column)].nan_to_num(0)):.3g} of its norm "
        f"{float(length[(*batch, column)]):.3g} remains, and up to {tolerance:.2g} of the norm is rounding in {dtype}; "
        "drop the column or add noise to it"
    )


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
