"""Do defences help? Recipes beside an undefended one under changed recordings, over several seeds, as a user runs them.

    python benchmarks/robustness.py RECIPE [NAME=KEY=VALUE ...] [--defended RECIPE ...] [--root DIR] [--seeds 1 2 3]
                                    [-S KEY=VALUE ...] [--out DIR] [--record NAME]

RECIPE is the undefended one; each of --defended is another recipe, and each NAME=KEY=VALUE[,KEY=VALUE] is RECIPE with
other knobs, such as "window=frontend.learn_window=true". Each of them and each seed is one `dvc exp run` in a clone of
the last commit, with the stage `robustness`. What a setting has over the undefended one is the difference of accuracy
(of EER in anti-spoofing), with interval and p-value as `adaspec compare` has them: groups of test clips, with all their
versions, and seeds move it, and Holm corrects for all settings. It is told of all test clips as they are, of the mean
over all changes and levels, over those that a defence trained on, over those that it did not, and of each. All
attributes are asked about unless -S, which holds for all settings, says otherwise. Runs that lie in --out are not run
again.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import record
from accuracy import (
    DETAILS,
    EMBEDDED,
    SHARED,
    clone_last_commit,
    is_kept,
    made_alike,
    mark_kept,
    run_recipe,
    variant,
)

from adaspec.attributes import ATTRIBUTES
from adaspec.experiments.statistics import Paired, holm
from adaspec.robustness.asked import CLEAN
from adaspec.robustness.gradient import GRADIENT
from adaspec.robustness.measures import Condition, Resampled, resampled_conditions

N_RESAMPLES = 2000
ASKED_FOR = "robustness.attributes"
SUMMARY, CHANGED, EVALUATED = "summary.json", "predictions.csv", "evaluated.csv"


def run(recipe: str, root: Path, settings: list[str], repository: Path, folder: Path) -> None:
    cost = run_recipe(recipe, root, settings, repository)
    folder.mkdir(parents=True, exist_ok=True)
    found = repository / "metrics/robustness"
    for name in (SUMMARY, CHANGED, "changes.csv"):
        shutil.copyfile(found / name, folder / name)
    shutil.copyfile(repository / DETAILS / "predictions.csv", folder / EVALUATED)
    (folder / "cost.json").write_text(json.dumps(cost))
    mark_kept(folder, recipe, settings, repository)


class Part(NamedTuple):
    """Runs of all settings under some conditions: score, setting -> a score of each run, units of each fold."""

    score: str
    runs: dict[str, list[Resampled]]
    n_units: list[int]


def resampled(runs: dict[str, list[pd.DataFrame]]) -> Callable[[list[Condition]], Part]:
    """From conditions to their mean scores: the same clips in each resample, all versions of one together."""
    found = {name: [resampled_conditions(table, N_RESAMPLES, 0) for table in tables] for name, tables in runs.items()}
    first = next(iter(found.values()))[0]

    def of(conditions: list[Condition]) -> Part:
        means = {
            name: [Resampled.mean([each[condition] for condition in conditions]) for _, each, _ in several]
            for name, several in found.items()
        }
        return Part(first[0], means, first[2])

    return of


def rows_of(part: Part) -> list[dict[str, Any]]:
    """A row for each setting: its score, and the difference to the first."""
    stacked = {
        name: (np.stack([run.values for run in runs], axis=1), np.stack([run.drawn for run in runs], axis=2))
        for name, runs in part.runs.items()
    }
    (values, drawn), *others = stacked.values()
    paired = [Paired.of(values, own, drawn, resamples, part.n_units) for own, resamples in others]
    corrected = holm([each.p_value for each in paired])
    rows: list[dict[str, Any]] = [
        {"name": name, part.score: float(own.mean()), "per_seed": own.mean(axis=0).tolist()}
        for name, (own, _) in stacked.items()
    ]
    for row, each, p_holm in zip(rows[1:], paired, corrected, strict=True):
        row |= {"difference": each.difference, "difference_low": each.low, "difference_high": each.high}
        row |= {"p_value": each.p_value, "p_holm": p_holm}
    return rows


def parts_of(conditions: dict[Condition, float], defended: list[str]) -> dict[str, list[Condition]]:
    """What is told beside the clips as they are: attributes over their levels, attacks at each signal-to-noise ratio.

    Conditions come with the size of their change in dB.
    """
    attributes = [condition for condition in conditions if condition[0] in ATTRIBUTES]
    parts = {"all changes": attributes}
    if defended:
        parts |= {"part of training": [condition for condition in attributes if condition[0] in defended]}
        parts |= {"not part of training": [condition for condition in attributes if condition[0] not in defended]}
    for name in dict.fromkeys(change for change, _ in attributes):
        parts[name] = [condition for condition in attributes if condition[0] == name]
    for (name, level), change_db in conditions.items():
        if name in GRADIENT:
            parts[f"{name} at {-change_db:.0f} dB"] = [(name, level)]
    return parts


def read_csv(path: Path) -> pd.DataFrame:
    table = pd.read_csv(path, keep_default_na=False)
    numbers = [name for name in table if name in ("level", "change_db") or str(name).startswith("score_")]
    return table.astype({name: str for name in table if name not in numbers})


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
    for name, knobs in map(variant, arguments.variants):
        asked[name] = (arguments.recipe, knobs)
    out = arguments.out.absolute()
    runs: dict[str, list[pd.DataFrame]] = {name: [] for name in asked}
    clean: dict[str, list[pd.DataFrame]] = {name: [] for name in asked}
    folders: list[Path] = []
    costs: dict[str, list[dict[str, float]]] = {name: [] for name in asked}
    defended: set[str] = set()
    for seed in arguments.seeds:
        for name, (recipe, knobs) in asked.items():
            folder = out / f"{name}-seed-{seed}"
            settings = [f"seed={seed}", *arguments.settings, *knobs]
            if not any(each.startswith(f"{ASKED_FOR}=") for each in arguments.settings):
                settings.append(f"{ASKED_FOR}=[all]")
            if not is_kept(folder, recipe, settings):
                repository = out / "repository"
                if not repository.exists():
                    out.mkdir(parents=True, exist_ok=True)
                    clone_last_commit(repository)
                run(recipe, arguments.root.absolute(), settings, repository, folder)
            runs[name].append(read_csv(folder / CHANGED))
            clean[name].append(read_csv(folder / EVALUATED).assign(change=CLEAN, level=0))
            folders.append(folder)
            costs[name].append(json.loads((folder / "cost.json").read_text()))
            defended |= set(json.loads((folder / SUMMARY).read_text())["defended"])
            print(f"{name} seed {seed}", flush=True)
    sizes = runs[arguments.recipe][0].groupby(["change", "level"], sort=False)["change_db"].median().reset_index()
    conditions = {(name, level): size for name, level, size in sizes.itertuples(index=False, name=None)}
    told: dict[str, Any] = {}
    of_changes, score = resampled(runs), ""
    parts = {CLEAN: resampled(clean)([(CLEAN, 0)])}
    parts |= {part: of_changes(some) for part, some in parts_of(conditions, sorted(defended)).items() if some}
    for name, part in parts.items():
        score, told[name] = part.score, rows_of(part)
        print(f"{name}, {score}")
        for row in told[name]:
            line = f"  {row['name']}: {row[score]:.4f}"
            if "difference" in row:
                line += f"  {row['difference']:+.4f} ({row['difference_low']:+.4f} to {row['difference_high']:+.4f})"
            print(line)
    if arguments.record:
        measured = {"recipe": arguments.recipe, "settings": arguments.settings, "seeds": arguments.seeds}
        measured |= {"defended": sorted(defended), "score": score, "parts": told}
        measured["cpu_s"] = {name: [cost["cpu_s"] for cost in own] for name, own in costs.items()}
        record.write(arguments.record, made_alike(folders, arguments.out) | measured)


if __name__ == "__main__":
    main()
