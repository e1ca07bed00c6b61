"""The seven trials: does learning the window, the kernels or both help, in one transform or in three side by side?

Each trial is a DVC experiment over one recipe. Its name carries a digest of knobs and code, so that the same command,
given again after a break, finds what is done, and queues the rest.
"""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from adaspec.config import Config, flatten
from adaspec.errors import InputError
from adaspec.experiments.ablation_figures import draw_confusions, draw_curves, draw_windows
from adaspec.experiments.compare import Comparison, compare
from adaspec.experiments.compare_table import format_table
from adaspec.experiments.recipes import Knobs, knob_options, read_recipe
from adaspec.experiments.runs import Setting, read_metrics, read_predictions
from adaspec.runtime.files import complete_folder, write_csv
from adaspec.runtime.workspace import only_one, repository_root

__all__ = ["TRIALS", "Trial", "plan", "report", "run_missing"]

TRIALS = {  # trial -> (window learned, kernels learned, number of transforms)
    "basic": (False, False, 1),
    "window": (True, False, 1),
    "kernels": (False, True, 1),
    "both": (True, True, 1),
    "three-windows": (True, False, 3),
    "three-kernels": (False, True, 3),
    "three-both": (True, True, 3),
}
# What a recipe may ask of learned windows and kernels is refused where these are fixed: there it is taken back.
OF_WINDOW = ("frontend.window_nonnegative=false", "frontend.window_symmetric=false")
OF_KERNELS = ("frontend.kernels.form=dense", "frontend.kernels.constraint=free", "frontend.kernels.precision=32")
OF_EITHER = ("train.frontend.freeze_epochs=0", "train.frontend.l2_sp=0.0")
UNDECISIVE = ("engine.", "tune.")  # sections that no result depends on
RESULTS = (":!params.yaml", ":!dvc.lock", ":!metrics")  # what an experiment leaves in the working tree; no code
PATIENCE_S = 60.0


@dataclass(frozen=True)
class Trial:
    """One trial.

    Attributes
    ----------
    name : str
        One of `TRIALS`.
    experiment : str
        Name of its DVC experiment.
    knobs : dict of str to object
        What it sets over params.yaml.
    """

    name: str
    experiment: str
    knobs: Knobs


def plan(recipe: str, root: Path | None = None, settings: Sequence[str] = ()) -> list[Trial]:
    """Lay the seven trials over a recipe.

    Parameters
    ----------
    recipe, root, settings
        As `read_recipe` takes them.

    Raises
    ------
    InputError
        No such recipe, knob, value or folder; or its front end cannot learn.
    """
    trials, code = [], _code()
    for name, (learn_window, learn_kernels, n_transforms) in TRIALS.items():
        switches = [
            f"frontend.learn_window={str(learn_window).lower()}",
            f"frontend.learn_kernels={str(learn_kernels).lower()}",
            f"frontend.n_transforms={n_transforms}",
            *(() if learn_window else OF_WINDOW),
            *(() if learn_kernels else OF_KERNELS),
            *(() if learn_window or learn_kernels else OF_EITHER),
        ]
        knobs, config = read_recipe(recipe, root, [*settings, *switches])
        trials.append(Trial(name, f"{recipe}-{name}-{_digest(config, code)}", knobs))
    return trials


def _code() -> str:
    """The last commit, and what has changed since."""
    return _git("rev-parse", "HEAD") + _git("diff", "HEAD", "--", ".", *RESULTS)


def _digest(config: Config, code: str) -> str:
    knobs = {key: value for key, value in flatten(config).items() if not key.startswith(UNDECISIVE)}
    content = hashlib.sha256(json.dumps(knobs, sort_keys=True).encode())
    content.update(code.encode())
    return content.hexdigest()[:8]


def run_missing(trials: Sequence[Trial], jobs: int) -> None:
    """Queue the trials that have not been done, and follow DVC's workers until they are through.

    Trials that an earlier attempt left behind in the queue, running or not, are queued anew: training goes on from its
    checkpoints.

    Parameters
    ----------
    trials : sequence of Trial
    jobs : int
        Trials at a time; the folds of each share the cores already.

    Raises
    ------
    InputError
        A trial failed; the others are done.
    """
    with only_one(repository_root() / ".adaspec" / "locks" / "trials.lock"):
        missing = _missing(trials)
        if missing:
            _forget({trial.experiment for trial in missing})
            for trial in missing:
                _dvc("exp", "run", "--queue", "--name", trial.experiment, *knob_options(trial.knobs))
            # Prints what the experiments print. An error of one is told below, for all of them.
            subprocess.run(["dvc", "exp", "run", "--run-all", "--jobs", str(jobs)])
        failed = [trial.experiment for trial in _missing(trials)]
    if failed:
        raise InputError(
            f"{len(failed)} of {len(trials)} trials have not been finished: {', '.join(failed)}; 'dvc queue logs NAME' "
            "tells why, and the same command goes on with them"
        )


def _missing(trials: Sequence[Trial]) -> list[Trial]:
    done = set(_git("for-each-ref", "--format=%(refname:lstrip=-1)", "refs/exps").split())
    return [trial for trial in trials if trial.experiment not in done]


def _forget(experiments: set[str]) -> None:
    """Take experiments out of DVC's queue, where one stays `Running` for ever if its worker was killed."""
    deadline = time.monotonic() + PATIENCE_S
    while states := _states(experiments):
        running = [name for name, state in states.items() if state == "Running"]
        if waiting := sorted(states.keys() - set(running)):  # first, so that a worker does not go on to the next
            _dvc("queue", "remove", *waiting)
        if running:
            # Without looking at its exit code: an experiment may just have ended by itself.
            subprocess.run(["dvc", "queue", "kill", *running], capture_output=True)
        if time.monotonic() > deadline:
            raise InputError(f"{', '.join(running)} cannot be stopped; 'dvc queue stop --kill' ends all queued work")


def _states(experiments: Iterable[str]) -> dict[str, str]:
    """State of each of these experiments that DVC's queue knows: Queued, Running, Failed or Success."""
    rows = [line.split() for line in _dvc("queue", "status").splitlines()]
    return {name: row[-1] for row in rows for name in experiments if name in row}


def report(trials: Sequence[Trial], out: Path) -> str:
    """Compare the trials with the first, and draw them.

    Parameters
    ----------
    trials : sequence of Trial
        All of them done.
    out : Path
        Gets table.md, table.csv, curves.png, confusion.png and windows.png, all or none.

    Returns
    -------
    str
        The table, for a terminal.
    """
    settings = [Setting(trial.name, {trial.experiment: read_predictions(trial.experiment)}) for trial in trials]
    learned = [json.loads(read_metrics(trial.experiment, "frontend.json")) for trial in trials]
    compared = compare(settings)
    drift = {
        "window changed": [_range(each, "window_change", 100, "%") for each in learned],
        "kernels changed": [_range(each, "kernel_change", 100, "%") for each in learned],
        "centres drifted": [_range(each, "center_drift_median_hz", 1, "Hz") for each in learned],
    }
    curves, windows = (
        {trial.name: pd.read_csv(io.StringIO(read_metrics(trial.experiment, file))) for trial in trials}
        for file in ("curves.csv", "frontend_window.csv")
    )
    with complete_folder(out) as partial:
        table = format_table(compared, markdown=True, further=drift)
        (partial / "table.md").write_text(f"{table}\n", encoding="utf-8")
        write_csv(partial / "table.csv", _table(compared, drift, trials))
        draw_curves(curves, partial / "curves.png")
        draw_confusions({each.name: each.tables[0] for each in settings}, partial / "confusion.png")
        draw_windows({name: window for name, window in windows.items() if len(window)}, partial / "windows.png")
    return format_table(compared, markdown=False, further=drift)


def _table(compared: Sequence[Comparison], drift: dict[str, list[str]], trials: Sequence[Trial]) -> pd.DataFrame:
    table = pd.DataFrame([vars(each) for each in compared]).assign(experiment=[trial.experiment for trial in trials])
    return table.assign(**{name.replace(" ", "_"): texts for name, texts in drift.items()})


def _range(numbers: dict[str, float], name: str, factor: float, unit: str) -> str:
    """A number of frontend.json as text, from the least to the most changed transform; empty where nothing learned."""
    values = sorted(factor * value for key, value in numbers.items() if key.split("/")[-1] == name)
    texts = list(dict.fromkeys(f"{value:.2g}" for value in values))
    return f"{texts[0]}{f' to {texts[-1]}' if len(texts) > 1 else ''} {unit}" if texts else ""


def _dvc(*arguments: str) -> str:
    """Run a command of DVC; its error is the user's."""
    return _run("dvc", *arguments)


def _git(*arguments: str) -> str:
    return _run("git", *arguments)


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise InputError(f"'{' '.join(command[:4])}' failed: {' '.join(done.stderr.split())[-600:]}")
    return done.stdout
