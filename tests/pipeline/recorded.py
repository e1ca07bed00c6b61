"""What MLflow recorded of a pipeline."""

from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run


def mlflow_runs(project: Path) -> tuple[MlflowClient, list[Run]]:
    client = MlflowClient(f"sqlite:///{project / 'mlflow.db'}")
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
