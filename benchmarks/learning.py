"""Does what is learned help? Variants of a front end beside the fixed one, over several seeds, run as a user runs them.

    python benchmarks/learning.py RECIPE [--root DIR] [--variants NAME ...] [--seeds 1 2 3] [-S KEY=VALUE ...]
                                         [--out DIR] [--record NAME]

Each variant and seed is one run of benchmarks/accuracy.py: `dvc exp run` in a clone of the last commit. What a variant
has over the fixed front end is the difference of correct clips, averaged over seeds; its 95 % interval resamples groups
of clips that share a source (percentile bootstrap), its p-value flips the sign of each group's difference at random
(two-sided), corrected by Holm for all variants. -S holds for all variants. Runs that lie in --out are not run again.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import record
from accuracy import EMBEDDED, SHARED, clone_last_commit, keep, run_recipe

VARIANTS: dict[str, list[str]] = {
    "fixed": [],
    "mel": ["frontend.learn_mel=true"],
    "length": ["frontend.learn_length=true"],
    "pcen": ["frontend.compression.name=pcen", "frontend.learn_compression=true"],
    "parametric-kernels": [
        "frontend.learn_kernels=true",
        "frontend.kernels.form=parametric",
        "frontend.kernels.smooth=16",
    ],
    "window": ["frontend.learn_window=true"],
    "kernels": ["frontend.learn_kernels=true"],
    "free-mel": ["frontend.learn_mel=true", "frontend.mel.form=free"],
}
N_DRAWS = 10_000


def correct(folder: Path) -> pd.Series:
    """Whether each test clip was told, by its name."""
    predictions = pd.read_csv(folder / "predictions.csv")
    return (predictions["label"] == predictions["predicted"]).groupby(predictions["clip_id"]).mean()


def differences(variant: list[pd.Series], fixed: list[pd.Series], groups: pd.Series) -> dict[str, Any]:
    """Mean difference over seeds, its interval and its p-value before correction."""
    each = pd.concat([one - other for one, other in zip(variant, fixed, strict=True)], axis=1).mean(axis=1)
    of_groups = each.groupby(groups.reindex(each.index).to_numpy()).agg(["sum", "count"])
    total, count = of_groups["sum"].to_numpy(), of_groups["count"].to_numpy()
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(len(total), np.full(len(total), 1 / len(total)), size=N_DRAWS)
    means = drawn @ total / (drawn @ count)
    signs = rng.choice([-1, 1], size=(N_DRAWS, len(total)))
    as_large = (np.abs(signs @ total) >= abs(total.sum()) - 1e-9).sum()
    low, high = np.quantile(means, [0.025, 0.975])
    return {
        "difference": float(each.mean()),
        "difference_low": float(low),
        "difference_high": float(high),
        "p_value": float((as_large + 1) / (N_DRAWS + 1)),
    }


def holm(values: list[float]) -> list[float]:
    """p-values corrected for how many there are (S. Holm, 1979)."""
    corrected, largest = [0.0] * len(values), 0.0
    for rank, index in enumerate(np.argsort(values)):
        largest = max(largest, min(1.0, values[index] * (len(values) - rank)))
        corrected[index] = largest
    return corrected


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("--root", type=Path, default=SHARED / "data/esc10")
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS), metavar="NAME")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("-S", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--out", type=Path, default=Path("learning"))
    parser.add_argument("--record", type=record.check_name, metavar="NAME")
    arguments = parser.parse_args()
    if arguments.recipe != EMBEDDED and not arguments.root.is_dir():
        sys.exit(f"{arguments.root} not found; give --root, or set ADASPEC_SHARED")
    names = ["fixed", *(name for name in arguments.variants if name != "fixed")]
    out = arguments.out.absolute()
    repository = out / "repository"
    if not repository.exists():
        out.mkdir(parents=True, exist_ok=True)
        clone_last_commit(repository)
    found: dict[str, list[pd.Series]] = {name: [] for name in names}
    for seed in arguments.seeds:
        for name in names:
            folder = out / f"{name}-seed-{seed}"
            if not (folder / "predictions.csv").exists():
                settings = [f"seed={seed}", *arguments.settings, *VARIANTS[name]]
                cost = run_recipe(arguments.recipe, arguments.root.absolute(), settings, repository)
                keep(repository, folder)
                print(f"{name} seed {seed}: {correct(folder).mean():.4f}, {cost['wall_s']:.0f} s", flush=True)
            found[name].append(correct(folder))
    clips = pd.read_csv(repository / "data/clips.csv", dtype=str)
    groups = clips.set_index("clip_id")["group"]
    rows = [{"name": name, "settings": VARIANTS[name]} for name in names]
    for row in rows:
        means = [float(each.mean()) for each in found[str(row["name"])]]
        row |= {"accuracy": float(np.mean(means)), "per_seed": means}
    compared = [row | differences(found[str(row["name"])], found["fixed"], groups) for row in rows[1:]]
    for row, p_value in zip(compared, holm([row["p_value"] for row in compared]), strict=True):
        row["p_holm"] = p_value
    for row in [rows[0], *compared]:
        told = f"{row['name']}: {row['accuracy']:.4f}"
        if "difference" in row:
            low, high = row["difference_low"], row["difference_high"]
            told += f"  {row['difference']:+.4f} ({low:+.4f} to {high:+.4f})"
            told += f", p {row['p_value']:.4f}, Holm {row['p_holm']:.4f}"
        print(told)
    if arguments.record:
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=repository, check=True, capture_output=True, text=True)
        measured = {"recipe": arguments.recipe, "settings": arguments.settings, "seeds": arguments.seeds}
        record.write(arguments.record, measured | {"trained_at": head.stdout.strip(), "rows": [rows[0], *compared]})


if __name__ == "__main__":
    main()
