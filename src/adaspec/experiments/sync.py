"""Make the records of runs complete again from results that DVC holds.

A stage that DVC takes from its cache does not run, a pulled experiment ran elsewhere, and a store may be lost.
"""

from __future__ import annotations

import logging
import tempfile
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from adaspec.config import Config, load_config, read_yaml
from adaspec.config.resolve import resolve
from adaspec.errors import InputError
from adaspec.experiments.repository import export, origin, stale_stages
from adaspec.experiments.versions import Version, committed_results, experiments
from adaspec.runtime.workspace import repository_root
from adaspec.tables import read_clips, read_folds
from adaspec.tables.columns import DETAILS
from adaspec.tracking import TRACKERS, Origin
from adaspec.tracking.outcome import Outcome, read_outcome
from adaspec.tracking.record import record
from adaspec.tracking.worst_errors import MOST_CLIPS, outside

__all__ = ["sync"]

PARAMS, LOCK, CLIPS, FOLDS = "params.yaml", "dvc.lock", "data/clips.csv", "data/folds.csv"
MODELS, METRICS, PACKAGE, PAGE = "models", "metrics", "src/adaspec", "reports/index.html"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Results:
    """What a run has left in a folder: the workspace, or a copy of another version of it."""

    folder: Path
    config: Config
    clips: pd.DataFrame
    origin: Origin
    has_page: bool = True

    @property
    def recordings(self) -> Path:
        return self.folder / self.config.dataset.root  # which often is absolute

    def outcome(self) -> Outcome:
        """As far as it is there: models may be missing."""
        found = read_outcome(self.folder / MODELS, self.folder / METRICS, self.recordings)
        page = self.folder / PAGE
        return replace(found, artifacts=[*found.artifacts, page]) if self.has_page and page.exists() else found

    def is_recorded(self, root: Path) -> bool:
        tracker = TRACKERS[self.config.tracking.tracker]
        return tracker.run(root, "", self.config, self.clips, self.origin).holds(self.outcome())


def sync(all_commits: bool) -> str:
    """Record all results that the tracker has no complete record of.

    Parameters
    ----------
    all_commits : bool
        Also those of every commit of a branch or tag, not just of the last that has any.

    Returns
    -------
    str
        What was recorded, a line each, and how many were there already.

    Raises
    ------
    InputError
        No runs are recorded here, or the store fails.
    """
    root = repository_root()
    if load_config(Path(PARAMS)).tracking.tracker == "none":
        raise InputError("params.yaml tracking.tracker=none: no runs are recorded; set it to mlflow")
    recorded: list[str] = []
    n_held = 0
    # The workspace last: it mostly holds what an experiment or a commit has left, which know where they come from.
    for version in [*experiments(), *committed_results(all_commits), None]:
        name = version.name if version else "the workspace"
        with tempfile.TemporaryDirectory() as folder:
            try:
                found = _version(version, Path(folder)) if version else _workspace()
                if found.is_recorded(root):
                    n_held += 1
                    continue
                if version:
                    _complete(found, version)
                folds, outcome = read_folds(found.folder / FOLDS), found.outcome()
            except _LeftOutError as error:
                log.warning("%s is left out: %s", name, error)
                continue
            record(root, found.config, found.clips, folds, outcome, found.origin)
            if not found.is_recorded(root):
                raise InputError(f"{name} could not be recorded, see above")
        recorded.append(name)
        log.info("recorded %s", name)
    told = f"{len(recorded)} recorded" if recorded else "nothing to record"
    return f"{told}, {n_held} there already" if n_held else told


class _LeftOutError(InputError):
    """Results that cannot be recorded."""


def _workspace() -> _Results:
    """What the workspace holds."""
    try:
        stale = {*stale_stages("report")}
        if not stale - {"report", "robustness"}:
            return replace(_read(Path(), origin()), has_page=not stale)
    except InputError as error:
        raise _LeftOutError(str(error)) from None
    raise _LeftOutError(
        f"what {', '.join(sorted(stale))} made is not of the files here; 'dvc repro' makes it anew, 'dvc checkout' "
        "brings back what dvc.lock names"
    )


def _version(version: Version, folder: Path) -> _Results:
    """What an experiment or a commit holds, copied into a folder, but for models, code and recordings."""
    try:
        export(version.rev, [PARAMS, LOCK], folder)
        if changed := _changed_knobs(read_yaml(folder / PARAMS), read_yaml(folder / LOCK)):
            raise InputError(f"its results were made with another {changed[0]} than its params.yaml has")
        export(version.rev, [CLIPS, FOLDS, f"{METRICS}/{DETAILS}"], folder)
        return _read(folder, Origin(version.base, version.experiment, folder / PACKAGE))
    except InputError as error:
        raise _LeftOutError(error.problems[0].replace(f"{folder}/", "")) from None


def _read(folder: Path, run: Origin) -> _Results:
    clips = read_clips(folder / CLIPS)
    config = resolve(load_config(folder / PARAMS), clips)
    if config.tracking.tracker == "none":
        raise InputError("its tracking.tracker is none")
    results = _Results(folder, config, clips, run)
    results.outcome()
    return results


def _complete(found: _Results, version: Version) -> None:
    """Copy what only a new record needs."""
    try:
        export(version.rev, [MODELS, PACKAGE], found.folder)
    except InputError as error:
        raise _LeftOutError(str(error)) from None
    with suppress(InputError):  # of a version that made none
        export(version.rev, [PAGE], found.folder)
    root = Path(found.config.dataset.root)
    if root.is_absolute():
        return
    for path in found.outcome().worst["path"].head(MOST_CLIPS):
        with suppress(InputError):  # what cannot be listened to is missing among the artifacts, and nowhere else
            if not outside(path):
                export(version.rev, [str(root / path)], found.folder)


def _changed_knobs(params: Any, lock: Any) -> list[str]:
    """Knobs that a stage in dvc.lock ran with other values of."""
    changed = []
    for stage in lock["stages"].values():
        for knob, value in stage.get("params", {}).get(PARAMS, {}).items():
            found = params
            for key in knob.split("."):
                found = found.get(key) if isinstance(found, dict) else None
            if found != value:
                changed.append(knob)
    return changed
