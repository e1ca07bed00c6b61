import itertools
import subprocess
import sys

import numpy as np
import torch

from adaspec.runtime.seeding import generator, torch_seed

KEYS = [(1,), (2,), (0, 1), (1, 1), (1, 2), (2, 1), ("mixup",), ("gain",), (1, "mixup"), (1, "gain"), ("mixup", 1)]


def test_generator_repeats_for_equal_keys() -> None:
    for keys in KEYS:
        np.testing.assert_array_equal(generator(42, *keys).random(8), generator(42, *keys).random(8))


def test_generator_differs_between_seeds_and_keys() -> None:
    draws = {(seed, keys): tuple(generator(seed, *keys).random(4)) for seed in (0, 1, 42) for keys in KEYS}
    for one, other in itertools.combinations(draws, 2):
        assert draws[one] != draws[other], (one, other)


def test_generator_differs_by_a_trailing_zero() -> None:
    draws = {tuple(generator(42, *keys).random(4)) for keys in [(), (0,), (0, 0), (1,), (1, 0)]}
    assert len(draws) == 5


def test_generator_streams_are_uncorrelated_between_folds() -> None:
    draws = np.stack([generator(42, fold, "mixup").standard_normal(20_000) for fold in range(1, 6)])
    correlation = np.corrcoef(draws) - np.eye(5)
    assert np.abs(correlation).max() < 0.05


def test_torch_seed_is_accepted_by_torch_and_repeats() -> None:
    seeds = [torch_seed(42, fold, "weights") for fold in range(100)]
    assert seeds == [torch_seed(42, fold, "weights") for fold in range(100)]
    assert len(set(seeds)) == 100
    for seed in seeds:
        assert 0 <= seed < 2**63
        assert torch.Generator().manual_seed(seed).initial_seed() == seed


def test_seeds_do_not_depend_on_the_hash_seed_of_the_process() -> None:
    code = "from adaspec.runtime.seeding import *; "
    code += "print(torch_seed(42, 3, 'mixup'), generator(42, 'gain').integers(2**62))"
    expected = f"{torch_seed(42, 3, 'mixup')} {generator(42, 'gain').integers(2**62)}"
    for hash_seed in ("1", "2"):
        run = subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": hash_seed}, capture_output=True, text=True, check=True
        )
        assert run.stdout.strip() == expected
