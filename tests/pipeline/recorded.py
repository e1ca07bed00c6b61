"""What MLflow recorded of a pipeline."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run


def mlflow_runs(project: Path, store: str = "mlflow.db") -> tuple[MlflowClient, list[Run]]:
    # A copy: MLflow holds a file open that it has opened once, also where another lies in its place by now.
    copy = Path(tempfile.mkdtemp()) / store
    shutil.copyfile(project / store, copy)
    client = MlflowClient(f"sqlite:///{copy}")
    experiment = client.get_experiment_by_name("adaspec")
    assert experiment is not None
    return client, list(client.search_runs([experiment.experiment_id], max_results=1000))


def parents_and_children(runs: list[Run]) -> dict[str, list[Run]]:
    """Children of each parent, by the parent's run id."""
    tag = "mlflow.parentRunId"
    families: dict[str, list[Run]] = {run.info.run_id: [] for run in runs if tag not in run.data.tags}
    for run in runs:
        if tag in run.data.tags:
            families[run.data.tags[tag]].append(run)
    return families


def described(project: Path, store: str = "mlflow.db") -> dict[tuple[str, ...], dict[str, Any]]:
    """All that is recorded of each run, by the names of its parent and its own, but for ids and what the clock told."""
    client, runs = mlflow_runs(project, store)
    names = {run.info.run_id: run.info.run_name for run in runs}
    found = {}
    for run in runs:
        tags = {name: value for name, value in run.data.tags.items() if name != "adaspec.record"}
        parent = names.get(tags.pop("mlflow.parentRunId", ""), "")
        metrics = [name for name in run.data.metrics if not name.startswith("system/")]
        curves = {name: client.get_metric_history(run.info.run_id, name) for name in metrics}
        location = Path((run.info.artifact_uri or "").removeprefix("file://"))
        found[parent, run.info.run_name] = {
            "status": run.info.status,
            "tags": tags,
            "params": run.data.params,
            "metrics": {name: [(point.step, point.value) for point in curve] for name, curve in curves.items()},
            "data": [
                (each.dataset.name, each.dataset.digest, each.dataset.source) for each in run.inputs.dataset_inputs
            ],
            "artifacts": {
                str(path.relative_to(location)): path.read_bytes() for path in location.rglob("*.*") if path.is_file()
            },
            "models": [_files(client, output.model_id) for output in run.outputs.model_outputs],
        }
    assert len(found) == len(runs)
    return found


def _files(client: MlflowClient, model_id: str) -> dict[str, bytes]:
    """Source and weights of a logged model; what is beside them names its id."""
    folder = Path(client.get_logged_model(model_id).artifact_location.removeprefix("file://"))
    files = [path for part in ("code", "data") for path in (folder / part).rglob("*") if path.suffix != ".pyc"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files if path.is_file()}
