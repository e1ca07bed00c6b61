"""Backward passes of QR: in closed form, and by undoing the steps of modified Gram-Schmidt.

Both need nothing but Q and R. They work on transposed matrices, whose rows are contiguous columns, as LAPACK does.
"""
# ruff: noqa: N803 (A, Q, R are what every text calls them)

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["closed_form_gradient", "stepwise_gradient", "subtract_product"]

# Columns of M computed at a time; what lies above its diagonal blocks is never needed. The fastest of 64, 128 and 256
# at 1024x512 float32, and within 4 % of the fastest at 1024x1024.
BLOCK = 128


def subtract_product(target: Tensor, left: Tensor, right: Tensor) -> None:
    """Subtract left @ right from target in place; shapes (..., p, q), (..., p, k) and (..., k, q)."""
    if target.ndim == 2:
        target.addmm_(left, right, alpha=-1)  # without the temporary that a batch of any shape needs
    else:
        target.sub_(left @ right)


def closed_form_gradient(Q: Tensor, R: Tensor, gQ: Tensor | None, gR: Tensor | None) -> Tensor | None:
    """Gradient of a loss with respect to A = QR, from those with respect to Q and R.

    gA = (gQ + Q copyltu(M)) R^-H with M = R gR^H - gQ^H Q, where copyltu makes M Hermitian from its lower triangle:
    mirrored to the upper one and, since R's diagonal is real, with the real part of the diagonal. It presumes
    Q^H Q = I: what Q lacks of that is an error of the gradient.

    Parameters
    ----------
    Q, R : Tensor of shape (..., m, n) and (..., n, n)
        The factors, R upper triangular with a real positive diagonal.
    gQ, gR : Tensor of the same shapes, or None
        Gradients of the loss with respect to Q and R; None is zero. What gR holds below the diagonal does not count.

    Returns
    -------
    Tensor of shape (..., m, n), or None
        None where both gradients are. Differentiable in its turn.

    References
    ----------
    Walter, Lehmann 2010, https://arxiv.org/abs/1001.1654 (the real case); Seeger, Hetzel, Dai, Meissner, Lawrence
    2017, https://arxiv.org/abs/1710.08717, and Liao, Liu, Wang, Xiang 2019, https://arxiv.org/abs/1903.09650 (this
    form of it). docs/qr.md derives the complex case.
    """
    if gQ is None and gR is None:
        return None
    m, n = Q.shape[-2:]
    # (..., n, m)
    right = Q.new_zeros(*Q.shape[:-2], n, m) if gQ is None else gQ.mT.clone(memory_format=torch.contiguous_format)
    hermitian = Q.new_empty(R.shape)  # -copyltu(M)
    for start in range(0, n, BLOCK):
        stop = min(start + BLOCK, n)
        # Rows `start` to n of these columns of -M.
        if gQ is None:
            lower = Q.new_zeros(*Q.shape[:-2], n - start, stop - start)
        else:
            lower = gQ[..., start:].mH @ Q[..., start:stop]
        if gR is not None:
            # R is upper triangular: from row `start` on its columns before `start` are zero.
            subtract_product(lower, R[..., start:, start:], gR[..., start:stop, start:].mH)
        diagonal, below = lower[..., : stop - start, :].tril(), lower[..., stop - start :, :]
        diagonal.diagonal(dim1=-2, dim2=-1).mul_(0.5)
        hermitian[..., start:stop, start:stop] = diagonal + diagonal.mH
        hermitian[..., stop:, start:stop] = below
        hermitian[..., start:stop, stop:] = below.mH
    subtract_product(right, hermitian.mT, Q.mT)
    # Solved in place, unless autograd records it for a second derivative.
    out = None if torch.is_grad_enabled() else right.mT
    return torch.linalg.solve_triangular(R.mH, right.mT, upper=False, left=False, out=out)


def stepwise_gradient(Q: Tensor, R: Tensor, gQ: Tensor) -> Tensor:
    """Gradient with respect to A of a loss on Q, step by step back through modified Gram-Schmidt.

    The forward pass took, for j = 1 .. n, the steps r_jj = |w_j|, q_j = w_j / r_jj and, for each k > j,
    r_jk = q_j^H w_k, w_k <- w_k - q_j r_jk. Backwards, with h_k the gradient with respect to w_k after step j:

    - orthogonalisation: the gradient of r_jk is s_k = -q_j^H h_k; that of w_k before the step is h_k + q_j s_k; that
      of q_j grows by the sum of w_k s_k^* - h_k r_jk^*;
    - normalisation: with g_j the gradient of q_j, that of w_j is (g_j - q_j Re(q_j^H g_j)) / r_jj.

    The w_k are not stored. They are rebuilt by undoing the steps, w_k <- w_k + q_j r_jk, from w_k = q_k r_kk on: sums,
    exact up to rounding relative to the norm of column k of A.

    Parameters
    ----------
    Q, R : Tensor of shape (..., m, n) and (..., n, n)
        The factors, R upper triangular with a real positive diagonal.
    gQ : Tensor of shape (..., m, n)
        Gradient of the loss with respect to Q.

    Returns
    -------
    Tensor of shape (..., m, n)
    """
    basis = Q.mT  # (..., n, m)
    rows = basis * R.diagonal(dim1=-2, dim2=-1)[..., None]  # the w_k
    gradient = gQ.mT.clone(memory_format=torch.contiguous_format)  # g_k, then h_k from step k on
    for j in reversed(range(R.shape[-1])):
        q, g = basis[..., j : j + 1, :], gradient[..., j : j + 1, :]  # (..., 1, m)
        later, later_gradient = rows[..., j + 1 :, :], gradient[..., j + 1 :, :]  # (..., n - j - 1, m)
        r = R[..., j : j + 1, j + 1 :].mT  # (..., n - j - 1, 1)
        subtract_product(later, -r, q)
        minus_s = later_gradient @ q.mH
        subtract_product(g, r.mH, later_gradient)
        subtract_product(g, minus_s.mH, later)
        subtract_product(later_gradient, minus_s, q)
        along = (g @ q.mH).real
        g.sub_(q * along).div_(R[..., j : j + 1, j : j + 1].real)
    return gradient.mT
