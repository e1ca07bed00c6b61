"""Speaker-aware anti-spoofing: a detector that knows the claimed speaker beside one that does not, and their blends.

    python benchmarks/speaker_aware.py [RECIPE] [--root DIR] [--claims none film] [--seeds 1 2 3] [-S KEY=VALUE ...]
                                       [--out DIR] [--record NAME]

Each claim and seed is one run of benchmarks/accuracy.py: `dvc exp run` in a clone of the last commit, with
`-S backbone.claim=CLAIM`. Clones share a cache, so that the speaker network of a seed is trained once. Knobs, blends
and thresholds were chosen on train and dev alone. Scores are means over seeds of eval trials; 95 % intervals resample
claimed speakers, in the same way for every system, claim and seed: the percentile bootstrap. Runs that lie in --out
are not run again.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import record
from accuracy import DETAILS, SHARED, clone_last_commit, is_kept, made_alike, mark_kept, run_recipe

from adaspec.evaluation.bootstrap import drawn_by_speaker, resampled_means, trial_draw
from adaspec.evaluation.summary import difference, interval, paired_interval
from adaspec.evaluation.trials.speaker_aware import verified_trials

N_RESAMPLES = 2000
TRIALS, CHOSEN, COST = "verification_trials.csv", "verification.csv", "cost.json"
Values = dict[str, tuple[float, np.ndarray[Any, Any]]]  # score -> its value, and that of every resample


def scored(trials: pd.DataFrame, system: str) -> Values:
    """Scores of one system, those of each attack among them."""
    trials = trials.sort_values(["speaker", "clip_id"], ignore_index=True)
    found = verified_trials(trials[system].to_numpy(), trials, "default")
    draw = trial_draw(trials, np.random.default_rng(0), by_speaker=drawn_by_speaker([trials]))
    resampled = resampled_means([(found, draw)], N_RESAMPLES)
    return {name: (float(value), resampled[name]) for name, value in found.values().items()}


def mean_of(seeds: list[Values]) -> Values:
    return {
        name: (
            float(np.mean([each[name][0] for each in seeds])),
            np.mean([each[name][1] for each in seeds], axis=0),
        )
        for name in seeds[0]
    }


def told(values: Values, seeds: list[Values]) -> dict[str, Any]:
    rows = {}
    for name, (value, resampled) in values.items():
        low, high = interval(resampled)
        rows[name] = {"value": value, "ci_low": low, "ci_high": high, "per_seed": [each[name][0] for each in seeds]}
    return rows


def differences(values: Values, baseline: Values, names: tuple[str, ...]) -> dict[str, Any]:
    """How much higher scores are than those of a baseline, with paired intervals."""
    rows = {}
    for name in names:
        low, high = paired_interval(values[name][1], baseline[name][1])
        rows[name] = {"difference": difference(values[name][0], baseline[name][0]), "ci_low": low, "ci_high": high}
    return rows


def run(arguments: argparse.Namespace, claim: str, seed: int) -> None:
    """Run the recipe once and keep what is needed of it."""
    folder, repository = arguments.out / f"{claim}-seed-{seed}", arguments.out / f"repository-{claim}"
    settings = [f"seed={seed}", f"backbone.claim={claim}", *arguments.settings]
    if is_kept(folder, arguments.recipe, settings):
        return
    if not repository.exists():
        clone_last_commit(repository)
        cache = ["dvc", "cache", "dir", "--local", str(arguments.out / "cache")]
        subprocess.run(cache, cwd=repository, check=True, stdout=sys.stderr)
    cost = run_recipe(arguments.recipe, arguments.root.absolute(), settings, repository)
    folder.mkdir(parents=True, exist_ok=True)
    for name in (TRIALS, CHOSEN, "attacks.csv", "summary.json"):
        shutil.copyfile(repository / DETAILS / name, folder / name)
    (folder / COST).write_text(json.dumps(cost))
    mark_kept(folder, arguments.recipe, settings, repository)
    print(f"{claim} seed {seed}: {cost['wall_s']:.0f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", nargs="?", default="sasv-libri")
    parser.add_argument("--root", type=Path, default=SHARED / "data/librila/LA")
    parser.add_argument("--claims", nargs="+", choices=["none", "film", "concatenation"], default=["none", "film"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("-S", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--out", type=Path, default=Path("speaker-aware"))
    parser.add_argument("--record", type=record.check_name, metavar="NAME")
    arguments = parser.parse_args()
    if not arguments.root.is_dir():
        sys.exit(f"{arguments.root} not found; give --root, or set ADASPEC_SHARED")
    arguments.out = arguments.out.absolute()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for seed in arguments.seeds:
        for claim in arguments.claims:
            run(arguments, claim, seed)
    measured: dict[str, Any] = {}
    by_claim: dict[str, dict[str, Values]] = {}
    for claim in arguments.claims:
        folders = [arguments.out / f"{claim}-seed-{seed}" for seed in arguments.seeds]
        tables = [pd.read_csv(folder / TRIALS, dtype={"speaker": str}) for folder in folders]
        columns = list(map(str, tables[0]))
        systems = columns[columns.index("attack") + 1 :]
        seeds = {name: [scored(table, name) for table in tables] for name in systems}
        means = by_claim[claim] = {name: mean_of(values) for name, values in seeds.items()}
        best = min(("asv_score", "cm_score"), key=lambda name: means[name]["sasv_eer"][0])
        costs = [json.loads((folder / COST).read_text()) for folder in folders]
        measured[claim] = {
            "systems": {name: told(means[name], seeds[name]) for name in systems},
            "t_eer": [json.loads((folder / "summary.json").read_text())["t_eer"]["mean"] for folder in folders],
            "chosen": [chosen(table) for table in tables],
            "better_alone": best,
            "blend_less_better_alone": differences(means["blended"], means[best], ("sasv_eer", "a_dcf")),
            "n_trials": tables[0]["label"].value_counts().to_dict(),
            "seen": seen(folders[0]),
            "wall_s": [cost["wall_s"] for cost in costs],
        }
    first, *others = arguments.claims
    for claim in others:
        measured[claim]["less_first"] = {
            name: differences(by_claim[claim][name], by_claim[first][name], ("spf_eer", "sasv_eer", "a_dcf"))
            for name in ("cm_score", "blended")
        }
    print(json.dumps(measured, indent=1))
    if arguments.record:
        folders = [arguments.out / f"{claim}-seed-{seed}" for claim in arguments.claims for seed in arguments.seeds]
        about = {"recipe": arguments.recipe, "settings": arguments.settings, "seeds": arguments.seeds}
        record.write(arguments.record, made_alike(folders, arguments.out) | about | {"claims": measured})


def chosen(trials: pd.DataFrame) -> str:
    """The blend that a run took: the column that its chosen scores are those of."""
    names = [name for name in trials if name not in ("blended", "asv_score", "cm_score")]
    return next(str(name) for name in names if trials[name].equals(trials["blended"]))


def seen(folder: Path) -> dict[str, str]:
    """Attack -> whether it was trained on."""
    table = pd.read_csv(folder / "attacks.csv", dtype=str)
    return {row["attack"]: row["seen"] for _, row in table.iterrows() if row["seen"] in ("yes", "no")}


if __name__ == "__main__":
    main()
