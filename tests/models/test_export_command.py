import copy
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from toydata import make_toy
from typer.testing import CliRunner

from adaspec.cli import app
from adaspec.models.classifier import AudioClassifier
from adaspec.models.saved import load, save

KNOBS: dict[str, dict[str, Any]] = {
    # The recipes' own settings are exported in tests/tracking/test_evaluated_use.py.
    "magnitude": {"frontend.power": 1},
    "orthonormal": {"frontend.learn_kernels": True, "frontend.kernels.constraint": "orthonormal"},
    "bf16": {"frontend.learn_kernels": True, "frontend.kernels.precision": "bf16", "backbone.name": "resnet"},
}


def saved(folder: Path, **knobs: Any) -> AudioClassifier:
    """A model with random weights whose batch norms have seen something."""
    toy = make_toy(folder, {"high": 4, "low": 4}, **({"backbone.name": "cnn"} | knobs))
    torch.manual_seed(0)
    model = AudioClassifier(toy.config, toy.labels)
    for _ in range(3):
        model.train()(0.1 * torch.randn(8, model.n_samples))
    (folder / "model").mkdir()
    save(model, folder / "model")
    return load(folder / "model")


@pytest.mark.parametrize("name", KNOBS)
def test_exported_model_gives_the_same_logits(name: str, tmp_path: Path) -> None:
    model = saved(tmp_path, **KNOBS[name])
    path = tmp_path / "model.onnx"
    result = CliRunner().invoke(app, ["export", str(tmp_path / "model"), "--onnx", str(path)])
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"{path}: waveform (batch, 1600) at 8000 Hz -> logits (batch, 2)\n"
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    waveform = 0.1 * torch.randn(5, model.n_samples, generator=torch.Generator().manual_seed(1))
    [found] = session.run(["logits"], {"waveform": waveform.numpy()})
    [alone] = session.run(["logits"], {"waveform": waveform[:1].numpy()})
    with torch.no_grad():
        expected = model(waveform).numpy()
    np.testing.assert_allclose(found, expected, atol=0.02 if name == "bf16" else 1e-4)
    np.testing.assert_allclose(alone, found[:1], atol=1e-5)
    told = session.get_modelmeta().custom_metadata_map
    assert (json.loads(told["labels"]), told["sample_rate"], told["n_samples"]) == (["high", "low"], "8000", "1600")
    assert sorted(file.name for file in tmp_path.glob("*onnx*")) == ["model.onnx"]


def test_export_refuses_a_file_that_gives_other_logits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(tmp_path)
    written = torch.onnx.export

    def wrongly(module: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
        other = copy.deepcopy(module)
        with torch.no_grad():
            list(other.parameters())[-1][0].add_(0.001)  # the head's bias of one class
        return written(other, *args, **kwargs)

    monkeypatch.setattr(torch.onnx, "export", wrongly)
    result = CliRunner().invoke(app, ["export", str(tmp_path / "model"), "--onnx", str(tmp_path / "model.onnx")])
    assert result.exit_code == 1
    assert re.fullmatch(
        rf"error: {tmp_path / 'model'} cannot be exported to ONNX: on silence onnxruntime's logits differ from the "
        r"model's by \d.*, above 0.0001; nothing was written\n",
        result.stderr,
    )
    assert not list(tmp_path.glob("*onnx*"))


def test_export_names_a_folder_without_model(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["export", str(tmp_path), "--onnx", str(tmp_path / "model.onnx")])
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: {tmp_path / 'model.json'} not found; give a folder such as models/fold-1")
    assert list(tmp_path.iterdir()) == []
