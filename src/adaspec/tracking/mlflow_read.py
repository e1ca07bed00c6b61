"""Finding a run in MLflow again, and what it was recorded with."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from adaspec.errors import InputError
from adaspec.runtime.text import one_line
from adaspec.tracking.mlflow_run import FOLD
from adaspec.tracking.mlflow_store import MlflowStore

if TYPE_CHECKING:
    from mlflow.entities import Run

__all__ = ["RecordedRun", "find_run"]

PAGE = 1000  # runs a request
SHOWN = 5  # candidates in a message


@dataclass(frozen=True)
class RecordedRun:
    """A pipeline run as MLflow has it.

    Attributes
    ----------
    store : MlflowStore
    run_id : str
    params : dict of str to str
        Knob -> value.
    """

    store: MlflowStore
    run_id: str
    params: dict[str, str]

    def text(self, name: str) -> str:
        """Text of an artifact.

        Raises
        ------
        InputError
            The run has no such artifact.
        """
        try:
            with tempfile.TemporaryDirectory() as scratch:
                found = self.store.client.download_artifacts(self.run_id, name, scratch)
                return Path(found).read_text(encoding="utf-8")
        except Exception as error:  # noqa: BLE001 - of whatever store
            raise InputError(
                f"MLflow's run {self.run_id} has no readable {name} ({one_line(error)}); a run has one "
                "once 'dvc repro' has evaluated it"
            ) from None


def find_run(root: Path, name: str) -> RecordedRun:
    """Find a pipeline run by its id, the beginning of its id, or its name.

    Parameters
    ----------
    root : Path
        Repository.
    name : str

    Raises
    ------
    InputError
        There is none, or there are several; or the store cannot be read.
    """
    if not os.environ.get("MLFLOW_TRACKING_URI") and not (root / "mlflow.db").exists():
        raise InputError(f"{root / 'mlflow.db'} not found; give MLflow's runs at the root of the repository")
    store = MlflowStore(root, "")
    try:
        found = _matching(store, name)
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001
        raise InputError(f"MLflow's runs cannot be read ({one_line(error)}); mend that, or name a folder") from None
    if not found:
        raise InputError(f"MLflow has no run whose name is {name!r} or whose id begins so; 'mlflow ui' shows them")
    if len(found) > 1:
        ids = ", ".join(run.info.run_id for run in found[:SHOWN]) + (", ..." if len(found) > SHOWN else "")
        raise InputError(
            f"{name!r} is the name or the beginning of the id of {len(found)} MLflow runs ({ids}); name one"
        )
    return RecordedRun(store, found[0].info.run_id, dict(found[0].data.params))


def _matching(store: MlflowStore, name: str) -> list[Run]:
    """Runs over all folds that this id, beginning of an id or name is meant for; a whole id means one alone."""
    found: list[Run] = []
    experiments = [experiment.experiment_id for experiment in store.client.search_experiments()]
    token = None
    while True:
        page = store.client.search_runs(experiments, max_results=PAGE, page_token=token) if experiments else []
        runs = [run for run in page if FOLD not in run.data.tags]
        if whole := [run for run in runs if run.info.run_id == name]:
            return whole
        found += [run for run in runs if name and (run.info.run_id.startswith(name) or run.info.run_name == name)]
        token = getattr(page, "token", None)
        if not token:
            return found
