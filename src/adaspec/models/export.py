"""A trained model as an ONNX file, which runs without PyTorch and without adaspec."""

from __future__ import annotations

import json
import logging
import warnings
from pathlib import Path

import torch

from adaspec.errors import InputError, SettingError
from adaspec.models.saved import load
from adaspec.runtime.files import complete_file
from adaspec.runtime.text import one_line

__all__ = ["export_onnx"]


def export_onnx(folder: Path, path: Path) -> str:
    """Write windows -> logits.

    Input `waveform`: float32 (batch, n_samples), +-1, mono, at the model's rate, windows as long as it was trained on.
    Output `logits`: (batch, n_classes). The file's metadata holds `labels` (JSON), `sample_rate` and `n_samples`.

    Parameters
    ----------
    folder : Path
        Such as models/fold-1.
    path : Path

    Returns
    -------
    str
        What was written, in a line.

    Raises
    ------
    InputError
        There is no model, a package is missing, or the model cannot be exported, as those on fbank.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401 - what torch.onnx translates with
    except ModuleNotFoundError as error:
        raise InputError(f"export needs the package {error.name}: pip install onnx onnxscript") from None
    model = load(folder)
    try:
        model.frontend = model.frontend.for_export()  # type: ignore[assignment]
    except SettingError as error:
        raise InputError(f"{folder}: frontend.{error}") from None
    example = torch.zeros(2, model.n_samples)
    with complete_file(path) as partial, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        try:
            torch.onnx.export(
                model.eval(),
                (example,),
                partial,
                dynamo=True,
                verbose=False,
                input_names=["waveform"],
                output_names=["logits"],
                dynamic_shapes=({0: torch.export.Dim.DYNAMIC},),
                external_data=False,
            )
        except Exception as error:  # noqa: BLE001 - exporters raise whatever they like
            reason = f"{type(error).__name__}: {one_line(error)}"
            raise InputError(f"{folder} cannot be exported to ONNX ({reason})") from None
        graph = onnx.load(partial)
        properties = {
            "labels": json.dumps(model.labels),
            "sample_rate": model.sample_rate,
            "n_samples": model.n_samples,
        }
        onnx.helper.set_model_props(graph, {key: str(value) for key, value in properties.items()})
        onnx.save(graph, partial)
    return (
        f"{path}: waveform (batch, {model.n_samples}) at {model.sample_rate} Hz -> logits (batch, {len(model.labels)})"
    )
