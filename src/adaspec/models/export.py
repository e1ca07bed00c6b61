"""A trained model as an ONNX file, which runs without PyTorch and without adaspec."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from adaspec.backbones import combined
from adaspec.errors import InputError
from adaspec.features.representation import LogSpectrogram, feature_contract, representation_of
from adaspec.models.classifier import AudioClassifier
from adaspec.models.saved import load, read_evaluated
from adaspec.runtime.files import complete_file
from adaspec.runtime.text import one_line, visible

__all__ = ["export_onnx"]

INPUTS = ["waveform", "claimed"]
TOLERANCE = 1e-4  # of logits, or of the largest logit where that is above 1
TOLERANCE_BF16 = 2e-2  # where the model multiplies in bf16, which onnxruntime has no kernel for on the CPU
N_CLIPS = 3  # at a time, other than it is exported with


def export_onnx(folder: Path, path: Path) -> str:
    """Write windows -> logits, once onnxruntime gives what the model does.

    Input `waveform`: float32 (batch, n_samples), +-1, mono, at the model's rate, windows as long as it was trained on.
    Output `logits`: (batch, n_classes). The file's metadata holds `labels` (JSON), `sample_rate`, `n_samples`,
    `trim_db` and `pad`, and as `evaluation` (JSON) what the model was evaluated with, as its description has it.

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
        There is no model, a package is missing, the model cannot be exported, or the file gives other logits than the
        model on silence, a tone, noise or decaying harmonics; then none is written.
    """
    try:
        import onnx
        import onnxruntime  # noqa: F401 - what the file is compared with
        import onnxscript  # noqa: F401 - what torch.onnx translates with
    except ModuleNotFoundError as error:
        raise InputError(f"export needs the package {error.name}: pip install onnx onnxruntime onnxscript") from None
    model, evaluated = load(folder), read_evaluated(folder)
    exported = _Exported(model).eval()
    with complete_file(path) as partial, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        try:
            torch.onnx.export(
                exported,
                _inputs(torch.zeros(2, model.n_samples), model),
                partial,
                dynamo=True,
                optimize=False,  # the optimiser drops added constants of 1e-8 and less
                verbose=False,
                input_names=INPUTS[: 2 if model.n_claimed else 1],
                output_names=["logits"],
                dynamic_shapes=({0: torch.export.Dim.DYNAMIC},) * (2 if model.n_claimed else 1),
                external_data=False,
            )
        except Exception as error:  # noqa: BLE001 - exporters raise whatever they like
            told = error.__cause__ or error  # the exporter's own says what it was about to do
            reason = f"{type(told).__name__}: {visible(one_line(told))}"
            raise InputError(f"{folder} cannot be exported to ONNX ({reason})") from None
        graph = onnx.load(partial)
        properties = {
            "labels": json.dumps(model.labels),
            "sample_rate": model.sample_rate,
            "n_samples": model.n_samples,
            "trim_db": json.dumps(model.config.audio.trim_db),
            "pad": model.config.features.window.pad,
            "evaluation": "null" if evaluated is None else evaluated.model_dump_json(),
        }
        onnx.helper.set_model_props(graph, {key: str(value) for key, value in properties.items()})
        onnx.save(graph, partial)
        _compare(folder, model, partial)
    claim = f", {INPUTS[1]} (batch, {model.n_claimed})" if model.n_claimed else ""
    taken = f"{INPUTS[0]} (batch, {model.n_samples}) at {model.sample_rate} Hz{claim}"
    return f"{path}: {taken} -> logits (batch, {len(model.labels)})"


def _inputs(waveform: Tensor, model: AudioClassifier) -> tuple[Tensor, ...]:
    """Waveforms, and vectors of claimed speakers where the model takes such."""
    if not model.n_claimed:
        return (waveform,)
    vectors = torch.randn(len(waveform), model.n_claimed, generator=torch.Generator().manual_seed(0))
    return waveform, nn.functional.normalize(vectors)


class _Exported(nn.Module):
    """What is exported of a model: logits as evaluation computes them, from the waveform on.

    Parameters
    ----------
    model : AudioClassifier
        Left as it is.
    """

    def __init__(self, model: AudioClassifier) -> None:
        super().__init__()
        kept = representation_of(feature_contract(model.config))
        self.kept = kept if isinstance(kept, LogSpectrogram) else None
        self.frontend: Any = model.frontend.for_export()
        self.backbone, self.members = model.backbone, model.members

    def forward(self, waveform: Tensor, claimed: Tensor | None = None) -> Tensor:
        if self.kept is None:
            return combined(self.members(self.frontend(waveform), claimed))
        spectrogram = self.kept.rounded(self.frontend.spectrogram(waveform))
        return combined(self.members(self.frontend.compress(spectrogram), claimed))


def _compare(folder: Path, model: AudioClassifier, path: Path) -> None:
    """Refuse a file whose logits are not the model's."""
    from onnxruntime import InferenceSession, SessionOptions

    options = SessionOptions()
    options.log_severity_level = 3
    try:
        session = InferenceSession(path, options, providers=["CPUExecutionProvider"])
        kept = representation_of(feature_contract(model.config))
        tolerance = TOLERANCE_BF16 if _in_bf16(model) else TOLERANCE
        for sound, waveform in _sounds(model.n_samples, model.sample_rate):
            with torch.no_grad():
                spectrogram = kept.rounded(model.frontend.spectrogram(waveform))
                inputs = _inputs(waveform, model)
                expected = combined(model.members(model.frontend.compress(spectrogram), *inputs[1:]))
            [logits] = session.run(["logits"], {name: each.numpy() for name, each in zip(INPUTS, inputs, strict=False)})
            difference = float((torch.from_numpy(logits) - expected).abs().max())
            if not difference <= tolerance * max(1.0, float(expected.abs().max())):
                raise InputError(
                    f"{folder} cannot be exported to ONNX: on {sound} onnxruntime's logits differ from the model's by "
                    f"{difference:.2g}, above {tolerance:g}; nothing was written"
                )
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001 - onnxruntime raises classes of its own
        raise InputError(f"{folder} cannot be exported to ONNX (onnxruntime: {visible(one_line(error))})") from None


def _in_bf16(model: AudioClassifier) -> bool:
    frontend = model.config.frontend
    return frontend.section is None and frontend.learn_kernels and frontend.kernels.precision == "bf16"


def _sounds(n_samples: int, sample_rate: int) -> Iterator[tuple[str, Tensor]]:
    """Names of sounds, and waveforms (N_CLIPS, n_samples) in 16 bits, as recordings are."""
    generator = torch.Generator().manual_seed(0)
    time_s = torch.arange(n_samples) / sample_rate
    noise = 0.1 * torch.randn(N_CLIPS, n_samples, generator=generator)
    pitch_hz = torch.tensor([[0.01], [0.02], [0.03]]) * sample_rate
    harmonics = sum((2 * torch.pi * order * pitch_hz * time_s).sin() / order for order in range(1, 9))
    decaying = 0.2 * harmonics * (-8 * (time_s % 0.5)).exp() + 0.01 * noise
    tone = 0.1 * (2 * torch.pi * 10 * pitch_hz * time_s).sin()
    for name, waveform in {
        "silence": torch.zeros(N_CLIPS, n_samples),
        "a tone": tone,
        "noise": noise,
        "decaying harmonics": decaying,
    }.items():
        yield name, (waveform * 32768).round().clamp(-32768, 32767) / 32768
