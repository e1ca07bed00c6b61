"""The ablation: does learning the window, the kernels or both help, in one transform or in three side by side?

Each of its seven variants is a DVC experiment over one recipe. Its name carries a digest of what decides its result, so
that the same command, given again after a break, finds what is done, and queues the rest.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from adaspec.config import Config
from adaspec.config.knobs import RESULTS, code_digest, deciding
from adaspec.errors import InputError
from adaspec.experiments.ablation_figures import draw_confusions, draw_curves, draw_windows
from adaspec.experiments.compare import Compared, compare
from adaspec.experiments.compare_table import flat_rows, format_table
from adaspec.experiments.recipes import Knobs, knob_options, read_recipe
from adaspec.experiments.repository import dequeue, finished_experiments, queue_experiment, run_queue
from adaspec.experiments.runs import Setting, read_metrics, read_predictions
from adaspec.runtime.files import complete_folder, write_csv
from adaspec.runtime.workspace import lock_file, only_one, repository_root

__all__ = ["VARIANTS", "Variant", "plan", "report", "run_missing"]

VARIANTS = {  # variant -> (window learned, kernels learned, number of transforms)
    "basic": (False, False, 1),
    "window": (True, False, 1),
    "kernels": (False, True, 1),
    "both": (True, True, 1),
    "three-windows": (True, False, 3),
    "three-kernels": (False, True, 3),
    "three-both": (True, True, 3),
}


@dataclass(frozen=True)
class Variant:
    """One variant.

    Attributes
    ----------
    name : str
        One of `VARIANTS`.
    experiment : str
        Name of its DVC experiment.
    knobs : dict of str to object
        What it sets over params.yaml.
    config : Config
        params.yaml with these.
    """

    name: str
    experiment: str
    knobs: Knobs
    config: Config


def plan(recipe: str, root: Path | None = None, settings: Sequence[str] = ()) -> list[Variant]:
    """Lay the seven variants over a recipe.

    Parameters
    ----------
    recipe, root, settings
        As `read_recipe` takes them.

    Raises
    ------
    InputError
        No such recipe, knob, value or folder; or its front end cannot learn.
    """
    variants, code = [], _code()
    for name, (learn_window, learn_kernels, n_transforms) in VARIANTS.items():
        switches = [
            f"frontend.learn_window={str(learn_window).lower()}",
            f"frontend.learn_kernels={str(learn_kernels).lower()}",
            f"frontend.n_transforms={n_transforms}",
        ]
        knobs, config = read_recipe(recipe, root, [*settings, *switches])
        variants.append(Variant(name, f"{recipe}-{name}-{_digest(config, code)}", knobs, config))
    return variants


def _code() -> bytes:
    """Fingerprint of the code that decides results: rooms of the package, and scripts of the stages."""
    scripts = [path for path in sorted(Path("stages").glob("*.py")) if path.stem in RESULTS]
    return code_digest(*RESULTS).encode() + b"".join(path.read_bytes() for path in scripts)


def _digest(config: Config, code: bytes) -> str:
    content = hashlib.sha256(json.dumps(deciding(config), sort_keys=True).encode())
    content.update(code)
    return content.hexdigest()[:8]


def run_missing(variants: Sequence[Variant], jobs: int) -> None:
    """Queue the variants that have not been done, and follow DVC's workers until they are through.

    Variants that an earlier attempt left behind in the queue, running or not, are queued anew: training goes on from
    its checkpoints.

    Parameters
    ----------
    variants : sequence of Variant
    jobs : int
        Variants at a time; the folds of each share the cores already.

    Raises
    ------
    InputError
        A variant failed; the others are done.
    """
    with only_one(lock_file(repository_root(), "ablation")):
        missing = _missing(variants)
        if missing:
            dequeue({variant.experiment for variant in missing})
            for variant in missing:
                queue_experiment(variant.experiment, knob_options(variant.knobs))
            run_queue(jobs)  # what failed is told below, for all of them
        failed = [variant.experiment for variant in _missing(variants)]
    if failed:
        raise InputError(
            f"{len(failed)} of {len(variants)} variants have not been finished: {', '.join(failed)}; 'dvc queue logs "
            "NAME' tells why, and the same command goes on with them"
        )


def _missing(variants: Sequence[Variant]) -> list[Variant]:
    finished = finished_experiments()
    return [variant for variant in variants if variant.experiment not in finished]


def report(variants: Sequence[Variant], out: Path) -> str:
    """Compare the variants with the first, and draw them.

    Parameters
    ----------
    variants : sequence of Variant
        All of them done.
    out : Path
        Gets table.md, table.csv, curves.svg, confusion.svg and, where windows are learned, windows.svg: all or none.

    Returns
    -------
    str
        The table, for a terminal.
    """
    settings = [Setting(each.name, {each.experiment: read_predictions(each.experiment)}) for each in variants]
    learned = [_learned(variant) for variant in variants]
    compared = compare(settings)
    drift = {
        "window changed": [_range(each, "window_change", 100, "%") for each in learned],
        "kernels changed": [_range(each, "kernel_change", 100, "%") for each in learned],
        "centres drifted": [_range(each, "center_drift_median_hz", 1, "Hz") for each in learned],
    }
    curves = {variant.name: _table(variant, "curves.csv") for variant in variants}
    windows = {
        variant.name: _table(variant, "frontend_window.csv")
        for variant in variants
        if variant.config.frontend.learn_window
    }
    with complete_folder(out) as partial:
        table = format_table(compared, markdown=True, further=drift)
        (partial / "table.md").write_text(f"{table}\n", encoding="utf-8")
        write_csv(partial / "table.csv", _comparison(compared, drift, variants))
        draw_curves(curves, partial / "curves.svg")
        draw_confusions({each.name: each.tables[0] for each in settings}, partial / "confusion.svg")
        if windows:
            draw_windows(windows, partial / "windows.svg")
    return format_table(compared, markdown=False, further=drift)


def _learned(variant: Variant) -> dict[str, float]:
    """What its front end learned, in numbers; a run whose front end is fixed leaves no such file."""
    if not variant.config.frontend.learns:
        return {}
    numbers: dict[str, float] = json.loads(read_metrics(variant.experiment, "frontend.json"))
    return numbers


def _table(variant: Variant, name: str) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(read_metrics(variant.experiment, name)))


def _comparison(compared: Compared, drift: dict[str, list[str]], variants: Sequence[Variant]) -> pd.DataFrame:
    table = pd.DataFrame(flat_rows(compared)).drop(columns="per_run")
    table = table.assign(experiment=[variant.experiment for variant in variants])
    return table.assign(**{name.replace(" ", "_"): texts for name, texts in drift.items()})


def _range(numbers: dict[str, float], name: str, factor: float, unit: str) -> str:
    """A number of frontend.json as text, from the least to the most changed transform; empty where nothing learned."""
    values = sorted(factor * value for key, value in numbers.items() if key.split("/")[-1] == name)
    texts = list(dict.fromkeys(f"{value:.2g}" for value in values))
    return f"{texts[0]}{f' to {texts[-1]}' if len(texts) > 1 else ''} {unit}" if texts else ""
