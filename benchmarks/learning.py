"""Does what is learned help? Variants of a front end beside the fixed one, over several seeds, run as a user runs them.

    python benchmarks/learning.py RECIPE [--root DIR] [--variants NAME[=KEY=VALUE,...] ...] [--seeds 1 2 3]
                                         [-S KEY=VALUE ...] [--noise DB ...] [--out DIR] [--record NAME]

Each variant and seed is one run of benchmarks/accuracy.py: `dvc exp run` in a clone of the last commit. What a variant
has over the fixed front end is the difference of accuracy (of EER in anti-spoofing), with interval and p-values as
`adaspec compare` has them: groups of test clips and seeds move it, and Holm corrects for all variants, in noise
for all variants at all ratios.

Variants are those below by name, or the recipe with other knobs, such as "band=backbone.normalize=band", which makes
this an ablation of a recipe; `fixed` is the recipe as it is. --noise tests the trained models besides on test clips
alone with white noise, at these signal-to-noise ratios (dB). -S holds for all variants. Runs that lie in --out are not
run again, wherever they were made: each tells its machine.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import record
from accuracy import EMBEDDED, SHARED, clone_last_commit, is_kept, keep, made_alike, mark_kept, run_recipe, variant

from adaspec.experiments.compare import compare
from adaspec.experiments.compare_table import flat_rows
from adaspec.experiments.runs import Setting, read_predictions
from adaspec.experiments.statistics import holm

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
N_RESAMPLES = 10_000
KEPT = ("low", "high", "difference", "difference_low", "difference_high", "p_value", "p_holm")  # of a comparison


def run(recipe: str, root: Path, settings: list[str], repository: Path, folder: Path, noise: Sequence[float]) -> None:
    """Train, and keep in a folder what is compared; it is complete once it says where it was made."""
    run_recipe(recipe, root, settings, repository)
    keep(repository, folder)
    for snr_db in noise:
        command = [sys.executable, "benchmarks/noise.py", f"{snr_db:g}", str(folder / noise_file(snr_db))]
        subprocess.run(command, cwd=repository, env=os.environ | {"PYTHONPATH": "src"}, check=True)
    mark_kept(folder, recipe, settings, repository)


def noise_file(snr_db: float) -> str:
    return f"noise-{snr_db:g}-db.csv"


def setting(name: str, tables: list[pd.DataFrame]) -> Setting:
    return Setting(name, {f"{name}-{number}": table for number, table in enumerate(tables, start=1)})


def variants_of(texts: Sequence[str]) -> dict[str, list[str]]:
    """Knobs of each variant by its name, the fixed one first."""
    asked = {"fixed": VARIANTS["fixed"]}
    for name, knobs in map(variant, texts):
        if not knobs and name not in VARIANTS:
            sys.exit(f"{name} is no variant; known: {', '.join(VARIANTS)}, or NAME=KEY=VALUE")
        if knobs and name == "fixed":
            sys.exit("fixed is the recipe as it is; call a variant with other knobs by another name")
        asked[name] = knobs or VARIANTS[name]
    return asked


def rows_of(asked: dict[str, list[str]], found: dict[str, list[pd.DataFrame]]) -> tuple[str, list[dict[str, Any]]]:
    """The score, and a row for each variant: its score, and the difference to the first with interval and p-values."""
    compared = compare([setting(name, tables) for name, tables in found.items()], n_resamples=N_RESAMPLES)
    rows = []
    for row in flat_rows(compared):
        told = {"name": row["name"], "settings": asked[row["name"]], compared.score: row[compared.score]}
        told["per_seed"] = row["per_run"]
        rows.append(told | {key: row[key] for key in KEPT if key in row})
    return compared.score, rows


def correct_together(rows: list[dict[str, Any]]) -> None:
    """Correct p-values for all rows of a table: here all variants at all signal-to-noise ratios."""
    for row, p_holm in zip(rows, holm([row["p_value"] for row in rows]), strict=True):
        row["p_holm"] = p_holm


def describe(row: dict[str, Any], score: str) -> str:
    line = f"{row['name']}: {row[score]:.4f}"
    if "difference" in row:
        line += f"  {row['difference']:+.4f}"
    if row.get("difference_low") is not None:  # one run each, in one fold, has no interval
        line += f" ({row['difference_low']:+.4f} to {row['difference_high']:+.4f})"
        line += f", p {row['p_value']:.4f}, Holm {row['p_holm']:.4f}"
    return line


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("--root", type=Path, default=SHARED / "data/esc10")
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), metavar="NAME")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("-S", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--noise", type=float, nargs="+", default=[], metavar="DB")
    parser.add_argument("--out", type=Path, default=Path("learning"))
    parser.add_argument("--record", type=record.check_name, metavar="NAME")
    arguments = parser.parse_args()
    if arguments.recipe != EMBEDDED and not arguments.root.is_dir():
        sys.exit(f"{arguments.root} not found; give --root, or set ADASPEC_SHARED")
    asked = variants_of(arguments.variants)
    out = arguments.out.absolute()
    files = ["predictions.csv", *map(noise_file, arguments.noise)]
    found: dict[str, dict[str, list[pd.DataFrame]]] = {file: {name: [] for name in asked} for file in files}
    folders: list[Path] = []
    for seed in arguments.seeds:
        for name, knobs in asked.items():
            folder = out / f"{name}-seed-{seed}"
            settings = [f"seed={seed}", *arguments.settings, *knobs]
            there = all((folder / file).exists() for file in files)
            if not (is_kept(folder, arguments.recipe, settings) and there):
                repository = out / "repository"
                if not repository.exists():
                    out.mkdir(parents=True, exist_ok=True)
                    clone_last_commit(repository)
                run(arguments.recipe, arguments.root.absolute(), settings, repository, folder, arguments.noise)
            for file in files:
                found[file][name].append(read_predictions(str(folder), file))
            folders.append(folder)
            print(f"{name} seed {seed}", flush=True)
    told = {file.removesuffix(".csv"): rows_of(asked, tables) for file, tables in found.items()}
    rows = {condition: some for condition, (_, some) in told.items()}
    clean, score = rows.pop("predictions"), told["predictions"][0]
    correct_together([row for some in rows.values() for row in some if "p_value" in row])
    for condition, some in {"clean": clean, **rows}.items():
        print(f"{condition}, {score}")
        for row in some:
            print("  " + describe(row, score))
    if arguments.record:
        measured = {"recipe": arguments.recipe, "settings": arguments.settings, "seeds": arguments.seeds}
        measured |= {"score": score, "rows": clean, "in_noise": rows}
        record.write(arguments.record, made_alike(folders, arguments.out) | measured)


if __name__ == "__main__":
    main()
