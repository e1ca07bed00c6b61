"""Does a detector of spoofed speech carry over to synthesisers of another kind? Whole families are left out in turn.

    python benchmarks/families.py RECIPE --root LA [--families NAME ...] [--seeds 1] [-S KEY=VALUE ...] [--out DIR]
                                  [--record NAME]

LA is a set in the layout of ASVspoof 2019 LA whose attacks A01 to A06 are text to speech, a spectral copy, two vocoders
and two voice conversions, such as minila of $ADASPEC_SHARED. The part eval is not read. For each family the attacks of
its kind leave train, and its methods leave `augment.resynthesis.families`; what is scored are bona fide clips of dev
against dev's attacks of the family, and against copies of these clips by its methods. The other half of dev's bona fide
clips, with the attacks that were trained on, gives the threshold; its speakers are called by other names, as parts must
not share any. So neither attacks nor speakers were heard in training.

Each family and seed is one `dvc exp run` in a clone of the last commit. The family that errs most is what counts.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import record
import soundfile
import torch
from accuracy import DETAILS, SHARED, clone_last_commit, run_recipe

from adaspec.tasks.spoofing.resynthesis import FAMILIES, copy_by

CM = "ASVspoof2019.LA.cm.{}.txt"
PROTOCOLS, LISTS = "ASVspoof2019_LA_cm_protocols", {"train": "train.trn", "dev": "dev.trl", "eval": "eval.trl"}
ATTACKS = {  # family of re-synthesis -> attacks of its kind among A01 to A06
    "copies": ("A02",),
    "vocoders": ("A03", "A04"),
    "conversion": ("A05", "A06"),
    "codecs": (),
    "concatenation": ("A01",),
}


class Trial(NamedTuple):
    """A line of a protocol."""

    speaker: str
    file: str
    unused: str
    attack: str
    key: str


def read_protocol(root: Path, part: str) -> list[Trial]:
    text = (root / PROTOCOLS / CM.format(LISTS[part])).read_text()
    return [Trial(*line.split()) for line in text.splitlines()]


def audio(root: Path, part: str, name: str) -> Path:
    return root / f"ASVspoof2019_LA_{part}/flac/{name}.flac"


def write_copies(source: Path, folder: Path, trial: Trial, family: str) -> list[Trial]:
    """One copy of a bona fide clip by each method of a family; the attack is called after the method."""
    samples, sample_rate = soundfile.read(source, dtype="float32")
    trials = []
    for method in FAMILIES[family]:
        copied = copy_by(method, torch.from_numpy(samples)[None], sample_rate)[0].numpy()
        made = trial._replace(file=f"{trial.file}-{method.__name__}", attack=method.__name__, key="spoof")
        soundfile.write(audio(folder, "eval", made.file), copied, sample_rate, subtype="PCM_16")
        trials.append(made)
    return trials


def write_set(root: Path, folder: Path, family: str) -> None:
    """A set in the layout of LA without a family in train and dev, and with it alone in eval."""
    left_out = ATTACKS[family]
    train, dev = (read_protocol(root, part) for part in ("train", "dev"))
    bonafide = [trial for trial in dev if trial.attack == "-"]
    scored = bonafide[::2]
    parts = {
        "train": [trial for trial in train if trial.attack not in left_out],
        "dev": bonafide[1::2] + [trial for trial in dev if trial.attack not in ("-", *left_out)],
        "eval": [
            trial._replace(speaker=f"{trial.speaker}-scored")
            for trial in [*scored, *(trial for trial in dev if trial.attack in left_out)]
        ],
    }
    for part, trials in parts.items():
        audio(folder, part, "").parent.mkdir(parents=True)
        for trial in trials:
            shutil.copyfile(
                audio(root, "train" if part == "train" else "dev", trial.file), audio(folder, part, trial.file)
            )
    torch.manual_seed(0)
    for trial in parts["eval"][: len(scored)]:
        parts["eval"] += write_copies(audio(root, "dev", trial.file), folder, trial, family)
    (folder / PROTOCOLS).mkdir()
    for part, trials in parts.items():
        lines = "".join(f"{' '.join(trial)}\n" for trial in trials)
        (folder / PROTOCOLS / CM.format(LISTS[part])).write_text(lines)


def errors(repository: Path) -> dict[str, float]:
    """Attack, or `all` -> EER."""
    table = csv.DictReader((repository / DETAILS / "attacks.csv").read_text().splitlines())
    return {row["attack"]: float(row["eer"]) for row in table}


def measure(
    recipe: str, root: Path, family: str, seeds: Sequence[int], settings: list[str], repository: Path, out: Path
) -> dict[str, Any]:
    """Leave a family out, for each seed."""
    found = []
    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch) / "LA"
        write_set(root, data, family)
        others = ",".join(name for name in FAMILIES if name != family)
        for seed in seeds:
            run_recipe(
                recipe, data, [f"seed={seed}", f"augment.resynthesis.families=[{others}]", *settings], repository
            )
            found.append(errors(repository))
            kept = out / f"{family}-seed-{seed}"
            kept.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(repository / DETAILS / "attacks.csv", kept / "attacks.csv")
            print(f"without {family}, seed {seed}: EER {found[-1]['all']:.4f}", flush=True)
    attacks = {
        name: statistics.mean(each[name] for each in found) for name in found[0] if name not in ("all", "unseen")
    }
    return {"family": family, "eer": [each["all"] for each in found], "attacks": attacks}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("--root", type=Path, default=SHARED / "data/minila/LA")
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=list(FAMILIES))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("-S", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--out", type=Path, default=Path("families"))
    parser.add_argument("--record", type=record.check_name, metavar="NAME")
    arguments = parser.parse_args()
    if not (arguments.root / PROTOCOLS).is_dir():
        sys.exit(f"{arguments.root / PROTOCOLS} not found; give --root, or set ADASPEC_SHARED")
    out = arguments.out.absolute()
    with tempfile.TemporaryDirectory() as scratch:
        repository = Path(scratch) / "adaspec"
        clone_last_commit(repository)
        trained_at = record.head(repository)
        asked = (arguments.seeds, arguments.settings, repository, out)
        rows = [measure(arguments.recipe, arguments.root, family, *asked) for family in arguments.families]
    worst = max(rows, key=lambda row: statistics.mean(row["eer"]))
    print(f"worst: {worst['family']}, EER {statistics.mean(worst['eer']):.4f}")
    if arguments.record:
        settings = {"recipe": arguments.recipe, "settings": arguments.settings, "seeds": arguments.seeds}
        record.write(arguments.record, {"trained_at": trained_at} | settings | {"families": rows})


if __name__ == "__main__":
    main()
