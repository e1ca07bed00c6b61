"""First-order smoothing along time by matrix products: no loop over frames, and any length in one graph."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["accumulate"]

BLOCKS = (16, 16, 16)  # frames in a block, blocks in a block of blocks, and once more: 4096 frames


def accumulate(inputs: Tensor, log_decay: Tensor, blocks: tuple[int, ...] = BLOCKS) -> Tensor:
    """Solve y[t] = decay * y[t-1] + inputs[t], with y[-1] = 0.

    Within a block of frames, y is the product of the inputs with a triangular matrix of powers of the decay. The ends
    of blocks follow the same rule, with the decay to the power of the block's length, so that they are solved in the
    same way, and added to the block that comes after. All terms have the inputs' sign, so that nothing cancels, and
    what is quiet stays exact after what is loud (which an FFT would not grant).

    Parameters
    ----------
    inputs : Tensor of shape (n_channels, n_features, batch, n_frames)
    log_decay : Tensor of shape (n_channels, n_features) or (n_channels, 1)
        Logarithm of the decay per frame, below 0.
    blocks : tuple of int
        Lengths of blocks, from frames upwards. What is left above the last is solved at once, by a matrix of
        (n_frames / their product)^2 values for each log_decay; all other memory grows with n_frames.

    Returns
    -------
    Tensor of the shape of `inputs`
    """
    if not blocks:
        return _solved(inputs, log_decay)
    length, *above = blocks
    # A block more than needed: an exporter takes one block and several for two cases, of which it keeps but one.
    n_frames = inputs.shape[-1]
    n_blocks = (n_frames + 2 * length - 1) // length
    padded = torch.nn.functional.pad(inputs, (0, n_blocks * length - n_frames))
    within = _solved(padded.view(*inputs.shape[:-1], n_blocks, length), log_decay)
    ends = accumulate(within[..., -1], length * log_decay, tuple(above))
    before = torch.nn.functional.pad(ends, (1, -1))
    powers = (log_decay[..., None] * torch.arange(1, length + 1, device=inputs.device)).exp()
    carried = torch.addcmul(within, before.unsqueeze(-1), powers[:, :, None, None])
    return carried.flatten(-2)[..., :n_frames]


def _solved(inputs: Tensor, log_decay: Tensor) -> Tensor:
    """y of rows (n_channels, n_features, ..., n) by themselves.

    A matrix per band, or one for all bands, is multiplied at once with all rows that it is for.
    """
    places = torch.arange(inputs.shape[-1], device=inputs.device)
    lags = (places - places[:, None]).clamp_min(0)
    matrices = (log_decay[..., None, None] * lags).exp().triu()  # (n_channels, n_features or 1, n, n)
    rows = inputs.reshape(matrices.shape[0] * matrices.shape[1], -1, inputs.shape[-1])
    return torch.bmm(rows, matrices.flatten(0, 1)).view(inputs.shape)
