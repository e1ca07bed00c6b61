"""Does what is learned help? Variants of a front end beside the fixed one, over several seeds, run as a user runs them.

    python benchmarks/learning.py RECIPE [--root DIR] [--variants NAME ...] [--seeds 1 2 3] [-S KEY=VALUE ...]
                                         [--noise DB ...] [--out DIR] [--record NAME]

Each variant and seed is one run of benchmarks/accuracy.py: `dvc exp run` in a clone of the last commit. What a variant
has over the fixed front end is the difference of accuracy (of EER in anti-spoofing), averaged over seeds. Its 95 %
interval resamples groups of clips that share a source, in anti-spoofing speakers (trials where there are fewer than
ten): the percentile bootstrap. The p-value, two-sided, is of the same resamples, corrected by Holm for all variants.

--noise tests the trained models besides on test clips alone with white noise, at these signal-to-noise ratios (dB).
-S holds for all variants. Runs that lie in --out are not run again, wherever they were made: each tells its machine.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import record
import yaml
from accuracy import EMBEDDED, SHARED, clone_last_commit, keep, run_recipe

from adaspec.audio import decode
from adaspec.evaluation.bootstrap import Draw, resampled_means
from adaspec.evaluation.scores.classification import classified
from adaspec.evaluation.scores.contract import Scored
from adaspec.evaluation.scores.detection import detected
from adaspec.evaluation.summary import interval
from adaspec.evaluation.trials.detector import FEW_SPEAKERS
from adaspec.models.predictor import Predictor
from adaspec.tables import BONAFIDE, SPOOF
from adaspec.tables.columns import labels_of, score_column

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


MADE, CLIPS = "made.json", "clips.csv"  # of a run: where and of which commit; the clips of its data set


def run(recipe: str, root: Path, settings: list[str], repository: Path, folder: Path, noise: Sequence[float]) -> None:
    """Train, and keep in a folder what is compared; it is complete once it says where it was made."""
    run_recipe(recipe, root, settings, repository)
    keep(repository, folder)
    shutil.copyfile(repository / "data/clips.csv", folder / CLIPS)
    for snr_db in noise:
        predict_in_noise(repository, snr_db).to_csv(folder / noise_file(snr_db), index=False)
    (folder / MADE).write_text(json.dumps({"trained_at": record.head(repository)} | record.environment()))


def noise_file(snr_db: float) -> str:
    return f"noise-{snr_db:g}-db.csv"


def predict_in_noise(repository: Path, snr_db: float) -> pd.DataFrame:
    """What the models of the last run say of their test clips with white noise, whose draw is the clip's alone."""
    settings = yaml.safe_load((repository / "params.yaml").read_text())
    clips = pd.read_csv(repository / "data/clips.csv", dtype=str).set_index("clip_id")
    tested = pd.read_csv(repository / "metrics/details/predictions.csv", dtype={"clip_id": str, "fold": str})
    voting = {key: settings["evaluate"][key] for key in ("vote", "overlap")}
    rows = []
    for fold, own in tested.groupby("fold"):
        predictor = Predictor([repository / f"models/fold-{fold}"], **voting)
        for clip, label in zip(own["clip_id"], own["label"], strict=True):
            path = Path(repository, settings["dataset"]["root"], clips.loc[clip, "path"])
            waveform, sample_rate = decode(path.read_bytes())
            noise = np.random.default_rng(zlib.crc32(clip.encode())).standard_normal(len(waveform))
            scale = np.sqrt(np.mean(np.square(waveform, dtype=np.float64)) / 10 ** (snr_db / 10))
            found = predictor.predict_waveform(waveform + scale * noise, sample_rate)
            scores = {score_column(name): value for name, value in found.probabilities.items()}
            rows.append({"clip_id": clip, "fold": fold, "label": label, "predicted": found.label} | scores)
    return pd.DataFrame(rows)


def scored(table: pd.DataFrame) -> Scored[Any]:
    """Clips with the one score that is compared."""
    labels = labels_of(table)
    if set(labels) == {BONAFIDE, SPOOF}:
        bonafide = (table["label"] == BONAFIDE).to_numpy()
        return detected(table[score_column(BONAFIDE)].to_numpy(), bonafide).only("eer")
    target, predicted = (table[column].map(labels.index).to_numpy() for column in ("label", "predicted"))
    return classified(target, predicted, len(labels)).only("accuracy")


def score_name(table: pd.DataFrame) -> str:
    return next(iter(scored(table).scores))


def mean_over_folds(table: pd.DataFrame) -> float:
    values = [scored(own).values() for _, own in table.groupby("fold")]
    return float(np.mean([value for each in values for value in each.values()]))


def resampled(tables: list[pd.DataFrame], clips: pd.DataFrame) -> np.ndarray[Any, Any]:
    """The score of every resample of the clips, which all tables of these clips share: the mean over tables."""
    means = []
    for table in tables:
        ordered = table.sort_values("clip_id")
        folds = []
        rng = np.random.default_rng(0)
        for _, own in ordered.groupby("fold"):
            of_clips = clips.loc[own["clip_id"]]
            by_speaker = "speaker" not in clips or of_clips["speaker"].nunique() >= FEW_SPEAKERS
            draw = Draw(of_clips["group"], rng) if by_speaker else Draw(own["clip_id"], rng, strata=own["label"])
            folds.append((scored(own), draw))
        means.append(next(iter(resampled_means(folds, N_RESAMPLES).values())))
    return np.mean(means, axis=0)


def compare(found: dict[str, list[pd.DataFrame]], clips: pd.DataFrame) -> list[dict[str, Any]]:
    """A row for each variant: its score, and the difference to the first with interval and p-values."""
    rows: list[dict[str, Any]] = []
    draws = {name: resampled(tables, clips) for name, tables in found.items()}
    for name, tables in found.items():
        means = [mean_over_folds(table) for table in tables]
        rows.append({"name": name, "settings": VARIANTS[name], score_name(tables[0]): float(np.mean(means))})
        rows[-1]["per_seed"] = means
        if name == "fixed":
            continue
        differences = draws[name] - draws["fixed"]
        low, high = interval(differences)
        below, above = (int((sign * differences >= 0).sum()) for sign in (-1, 1))
        p_value = min(1.0, 2 * (min(below, above) + 1) / (N_RESAMPLES + 1))
        rows[-1] |= {"difference": float(np.mean(means)) - rows[0][score_name(tables[0])]}
        rows[-1] |= {"difference_low": low, "difference_high": high, "p_value": p_value}
    for row, p_value in zip(rows[1:], holm([row["p_value"] for row in rows[1:]]), strict=True):
        row["p_holm"] = p_value
    return rows


def holm(values: list[float]) -> list[float]:
    """p-values corrected for how many there are (S. Holm, 1979)."""
    corrected, largest = [0.0] * len(values), 0.0
    for rank, index in enumerate(np.argsort(values)):
        largest = max(largest, min(1.0, values[index] * (len(values) - rank)))
        corrected[index] = largest
    return corrected


def describe(row: dict[str, Any], score: str) -> str:
    line = f"{row['name']}: {row[score]:.4f}"
    if "difference" in row:
        line += f"  {row['difference']:+.4f} ({row['difference_low']:+.4f} to {row['difference_high']:+.4f})"
        line += f", p {row['p_value']:.4f}, Holm {row['p_holm']:.4f}"
    return line


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("--root", type=Path, default=SHARED / "data/esc10")
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS), metavar="NAME")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("-S", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--noise", type=float, nargs="+", default=[], metavar="DB")
    parser.add_argument("--out", type=Path, default=Path("learning"))
    parser.add_argument("--record", type=record.check_name, metavar="NAME")
    arguments = parser.parse_args()
    if arguments.recipe != EMBEDDED and not arguments.root.is_dir():
        sys.exit(f"{arguments.root} not found; give --root, or set ADASPEC_SHARED")
    names = ["fixed", *(name for name in arguments.variants if name != "fixed")]
    out = arguments.out.absolute()
    files = ["predictions.csv", *map(noise_file, arguments.noise)]
    found: dict[str, dict[str, list[pd.DataFrame]]] = {file: {name: [] for name in names} for file in files}
    made: list[dict[str, Any]] = []
    for seed in arguments.seeds:
        for name in names:
            folder = out / f"{name}-seed-{seed}"
            if not all((folder / file).exists() for file in [*files, MADE]):
                settings = [f"seed={seed}", *arguments.settings, *VARIANTS[name]]
                repository = out / "repository"
                if not repository.exists():
                    out.mkdir(parents=True, exist_ok=True)
                    clone_last_commit(repository)
                run(arguments.recipe, arguments.root.absolute(), settings, repository, folder, arguments.noise)
            for file in files:
                found[file][name].append(pd.read_csv(folder / file, dtype={"clip_id": str}))
            made.append(json.loads((folder / MADE).read_text()))
            print(f"{name} seed {seed}: {mean_over_folds(found['predictions.csv'][name][-1]):.4f}", flush=True)
    clips = pd.read_csv(folder / CLIPS, dtype=str).set_index("clip_id")
    rows = {file.removesuffix(".csv"): compare(tables, clips) for file, tables in found.items()}
    clean = rows.pop("predictions")
    score = score_name(found["predictions.csv"]["fixed"][0])
    for condition, some in {"clean": clean, **rows}.items():
        print(f"{condition}, {score}")
        for row in some:
            print("  " + describe(row, score))
    if arguments.record:
        if any(one != made[0] for one in made):
            sys.exit(f"not recorded: the runs in {arguments.out} are of several machines, versions or commits")
        measured = {"recipe": arguments.recipe, "settings": arguments.settings, "seeds": arguments.seeds}
        measured |= {"score": score, "rows": clean, "in_noise": rows}
        record.write(arguments.record, made[0] | measured)


if __name__ == "__main__":
    main()
