"""Do defences help? Recipes beside an undefended one under changed recordings, over several seeds, as a user runs them.

    python benchmarks/robustness.py RECIPE [NAME=KEY=VALUE ...] [--defended RECIPE ...] [--root DIR] [--seeds 1 2 3]
                                    [-S KEY=VALUE ...] [--out DIR] [--record NAME]

RECIPE is the undefended one; each of --defended is another recipe, and each NAME=KEY=VALUE[,KEY=VALUE] is RECIPE with
other knobs, such as "window=frontend.learn_window=true". Each of them and each seed is one `dvc exp run` in a clone of
the last commit, with the stage `robustness`. What a setting has over the undefended one is the difference of accuracy
(of EER in anti-spoofing), with interval as `adaspec compare` has it: groups of test clips and seeds move it, and Holm
corrects for all settings. It is told of all test clips as they are, of all changes and levels together (an EER of them
has one threshold), of those that a defence trained on, of those that it did not, and of each. All attributes are asked
about unless -S, which holds for all settings, says otherwise. Runs that lie in --out are not run again.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import record
from accuracy import DETAILS, EMBEDDED, SHARED, clone_last_commit, run_recipe
from learning import KEPT, MADE

from adaspec.attributes import ATTRIBUTES
from adaspec.experiments.compare import compare
from adaspec.experiments.compare_table import flat_rows
from adaspec.experiments.runs import Setting, read_predictions
from adaspec.robustness.gradient import GRADIENT

N_RESAMPLES = 2000
ASKED = "robustness.attributes"
SUMMARY, CHANGED, EVALUATED = "summary.json", "predictions.csv", "evaluated.csv"
CLEAN = "clean"
Runs = dict[str, list[pd.DataFrame]]  # setting -> predictions of each seed


def run(recipe: str, root: Path, settings: list[str], repository: Path, folder: Path) -> None:
    cost = run_recipe(recipe, root, settings, repository)
    folder.mkdir(parents=True, exist_ok=True)
    found = repository / "metrics/robustness"
    for name in (SUMMARY, "changes.csv"):
        shutil.copyfile(found / name, folder / name)
    # Each version of a clip is one, and is drawn with its clip's group.
    versions = pd.read_csv(found / CHANGED, dtype=str, keep_default_na=False)
    versions["clip_id"] += " " + versions["change"] + " " + versions["level"]
    versions.to_csv(folder / CHANGED, index=False)
    shutil.copyfile(repository / DETAILS / "predictions.csv", folder / EVALUATED)
    (folder / "cost.json").write_text(json.dumps(cost))
    (folder / MADE).write_text(json.dumps({"trained_at": record.head(repository)} | record.environment()))


def of(runs: Runs, changes: list[str]) -> Runs:
    """Predictions of some changes."""
    return {
        name: [table[table["change"].isin(changes)].reset_index(drop=True) for table in tables]
        for name, tables in runs.items()
    }


def rows_of(runs: Runs) -> tuple[str, list[dict[str, Any]]]:
    """The score, and a row for each setting."""
    settings = [
        Setting(name, {f"{name}-{number}": table for number, table in enumerate(tables, start=1)})
        for name, tables in runs.items()
    ]
    compared = compare(settings, n_resamples=N_RESAMPLES)
    rows = []
    for row in flat_rows(compared):
        told = {"name": row["name"], compared.score: row[compared.score], "per_seed": row["per_run"]}
        rows.append(told | {key: row[key] for key in KEPT if key in row})
    return compared.score, rows


def parts_of(changes: list[str], defended: list[str]) -> dict[str, list[str]]:
    """Names of what is told beside the clips as they are -> changes."""
    attributes = [name for name in changes if name in ATTRIBUTES]
    parts = {"all changes": attributes}
    if defended:
        parts |= {"part of training": [name for name in attributes if name in defended]}
        parts |= {"not part of training": [name for name in attributes if name not in defended]}
    return parts | {name: [name] for name in changes if name in ATTRIBUTES or name in GRADIENT}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("variants", nargs="*", metavar="NAME=KEY=VALUE")
    parser.add_argument("--defended", nargs="+", default=[], metavar="RECIPE")
    parser.add_argument("--root", type=Path, default=SHARED / "data/esc10")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("-S", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--out", type=Path, default=Path("robustness"))
    parser.add_argument("--record", type=record.check_name, metavar="NAME")
    arguments = parser.parse_args()
    if arguments.recipe != EMBEDDED and not arguments.root.is_dir():
        sys.exit(f"{arguments.root} not found; give --root, or set ADASPEC_SHARED")
    asked: dict[str, tuple[str, list[str]]] = {arguments.recipe: (arguments.recipe, [])}
    asked |= {recipe: (recipe, []) for recipe in arguments.defended}
    for variant in arguments.variants:
        name, _, knobs = variant.partition("=")
        asked[name] = (arguments.recipe, knobs.split(","))
    out = arguments.out.absolute()
    runs: Runs = {name: [] for name in asked}
    clean: Runs = {name: [] for name in asked}
    made: list[dict[str, Any]] = []
    costs: dict[str, list[dict[str, float]]] = {name: [] for name in asked}
    defended: set[str] = set()
    for seed in arguments.seeds:
        for name, (recipe, knobs) in asked.items():
            folder = out / f"{name}-seed-{seed}"
            if not (folder / MADE).exists():
                repository = out / "repository"
                if not repository.exists():
                    out.mkdir(parents=True, exist_ok=True)
                    clone_last_commit(repository)
                settings = [f"seed={seed}", *arguments.settings, *knobs]
                if not any(each.startswith(f"{ASKED}=") for each in arguments.settings):
                    settings.append(f"{ASKED}=[all]")
                run(recipe, arguments.root.absolute(), settings, repository, folder)
            runs[name].append(read_predictions(str(folder), CHANGED))
            clean[name].append(read_predictions(str(folder), EVALUATED))
            made.append(json.loads((folder / MADE).read_text()))
            costs[name].append(json.loads((folder / "cost.json").read_text()))
            defended |= set(json.loads((folder / SUMMARY).read_text())["defended"])
            print(f"{name} seed {seed}", flush=True)
    changes = list(dict.fromkeys(runs[arguments.recipe][0]["change"]))
    told: dict[str, Any] = {}
    parts = {part: of(runs, some) for part, some in parts_of(changes, sorted(defended)).items()}
    for part, some in ({CLEAN: clean} | parts).items():
        score, told[part] = rows_of(some)
        print(f"{part}, {score}")
        for row in told[part]:
            line = f"  {row['name']}: {row[score]:.4f}"
            if "difference" in row:
                line += f"  {row['difference']:+.4f} ({row['difference_low']:+.4f} to {row['difference_high']:+.4f})"
            print(line)
    if arguments.record:
        if any(one != made[0] for one in made):
            sys.exit(f"not recorded: the runs in {arguments.out} are of several machines, versions or commits")
        measured = {"recipe": arguments.recipe, "settings": arguments.settings, "seeds": arguments.seeds}
        measured |= {"defended": sorted(defended), "score": score, "parts": told}
        measured["cpu_s"] = {name: [cost["cpu_s"] for cost in own] for name, own in costs.items()}
        record.write(arguments.record, made[0] | measured)


if __name__ == "__main__":
    main()
