"""A fold's model as MLflow keeps it: description, this package's source, and a copy of the model's folder."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["logged_model"]


def logged_model(
    client: MlflowClient, experiment_id: str, run_id: str, model: Path, voting: dict[str, Any], package: Path
) -> str:
    """Id of a run's model, which is logged where an evaluation that was cut short has not done so.

    Parameters
    ----------
    client : MlflowClient
    experiment_id, run_id : str
    model : Path
        Such as models/fold-1.
    voting : dict
        `vote` and `overlap` that it is served with, unless a server says otherwise.
    package : Path
        Source of adaspec that trained it.
    """
    from mlflow.entities import LoggedModelOutput, LoggedModelStatus
    from mlflow.models import Model, ModelSignature
    from mlflow.pyfunc import save_model

    from adaspec.tracking import serving  # here: training, which logs no model, does without what it imports

    outputs = client.get_run(run_id).outputs
    if outputs is not None and outputs.model_outputs:
        return str(outputs.model_outputs[0].model_id)
    logged = client.create_logged_model(experiment_id, name="model", source_run_id=run_id)
    # What pandas finds outdated in MLflow is not for our users.
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(action="ignore"):
        save_model(
            folder,
            loader_module=serving.__name__,
            data_path=str(model),
            code_paths=[str(package)],
            mlflow_model=Model(logged.artifact_location, run_id, model_uuid=logged.model_id, model_id=logged.model_id),
            signature=ModelSignature.from_dict(serving.signature(model)),
            input_example=pd.DataFrame([serving.EXAMPLE]),
            pip_requirements=serving.requirements(),  # MLflow would take ten seconds to find them out
            model_config=voting | serving.further_settings(model),
        )
        client.log_model_artifacts(logged.model_id, folder)
    client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)
    client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
    return str(logged.model_id)
