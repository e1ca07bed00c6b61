"""One generator per purpose, so that switching one random thing on leaves the others as they were."""

from __future__ import annotations

import zlib

import numpy as np

__all__ = ["generator", "torch_seed"]


def _sequence(seed: int, *keys: int | str) -> np.random.SeedSequence:
    words = [zlib.crc32(key.encode()) if isinstance(key, str) else key for key in keys]
    # Their number is one of them: SeedSequence takes (1,) and (1, 0) for the same.
    return np.random.SeedSequence([seed, len(words), *words])


def generator(seed: int, *keys: int | str) -> np.random.Generator:
    """NumPy generator for (seed, fold, epoch, purpose, ...), independent of every other combination."""
    return np.random.default_rng(_sequence(seed, *keys))


def torch_seed(seed: int, *keys: int | str) -> int:
    """Seed for `torch.manual_seed` for (seed, fold, epoch, purpose, ...)."""
    return int(_sequence(seed, *keys).generate_state(1, np.uint64)[0] >> 1)
