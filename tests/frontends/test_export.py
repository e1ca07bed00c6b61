"""Export and compilation: torch.export, torch.onnx with onnxruntime, torch.compile, for layer and classifier."""

import copy
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from stft_forms import LEARN_ALL, RATE, build, deviation, noise, perturb
from torch import Tensor, nn
from toydata import PARAMS, changed

from adaspec.config import Config
from adaspec.frontends import AdaptiveSTFT
from adaspec.models.classifier import AudioClassifier

N_FFT, HOP = 128, 50
SMALL: dict[str, Any] = {"n_fft": N_FFT, "hop_length": HOP, "n_mels": 16}
FORMS: dict[str, dict[str, Any]] = {
    "fft": {"learn_window": True, "window_symmetric": True, "window_nonnegative": True, "win_length": 100},
    "dense": {"learn_kernels": True, "learn_mel": True, "center": False},
    "banded": {"learn_kernels": True, "kernel_form": "banded", "learn_window": True, "power": 1, "compression": "db"},
    "unit_norm": {"learn_kernels": True, "kernel_constraint": "unit_norm"},
    "orthonormal": {"learn_kernels": True, "kernel_constraint": "orthonormal"},
    "bf16": {"learn_kernels": True, "precision": "bf16"},
    "three": LEARN_ALL | {"n_transforms": 3, "window_ratio": 0.5, "compression": "log1p"},
    "three dense": {"learn_kernels": True, "n_transforms": 3, "window_ratio": 0.5, "center": False},
    "odd": {"n_fft": 127, "n_mels": None, "compression": "none"},
}
BAKED_ONLY = {"orthonormal": "kernel_constraint=orthonormal", "bf16": "precision=bf16"}
CLIPS = [(2, 1000), (1, 1000), (5, 1777), (3, 400)]  # the first is the one exported with; the others test the shapes


def layer_of(form: str) -> AdaptiveSTFT:
    """A layer whose window, kernels and mel bands have moved away from where they start."""
    return perturb(AdaptiveSTFT(sample_rate=RATE, **(SMALL | FORMS[form])), 0.02)


def dynamic() -> tuple[dict[int, Any]]:
    return ({0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC},)


def onnx_of(module: nn.Module, path: Path, example: Tensor) -> Callable[[Tensor], Tensor]:
    """The module as onnxruntime computes it, for any batch and length."""
    module.eval()
    torch.onnx.export(module, (example,), path, dynamo=True, dynamic_shapes=dynamic(), verbose=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    [entry] = session.get_inputs()

    def run(waveform: Tensor) -> Tensor:
        [output] = session.run(None, {entry.name: waveform.numpy()})
        assert isinstance(output, np.ndarray)
        return torch.from_numpy(output)

    return run


@torch.no_grad()
def worst(found: Callable[[Tensor], Tensor], expected: Callable[[Tensor], Tensor]) -> float:
    return max(deviation(found(noise(*shape)), expected(noise(*shape))) for shape in CLIPS)


def test_forms_of_these_tests_are_told_apart() -> None:
    # Otherwise an export that loses what was learned would go unnoticed.
    waveform = noise(2, 1000)
    for form in FORMS:
        fresh, moved = AdaptiveSTFT(sample_rate=RATE, **(SMALL | FORMS[form])), layer_of(form)
        with torch.no_grad():
            assert deviation(moved(waveform), fresh(waveform)) > 1e-3, form


@pytest.mark.parametrize("form", FORMS)
def test_torch_export_gives_the_same_for_any_batch_and_length(form: str) -> None:
    layer = layer_of(form)
    program = torch.export.export(layer, (noise(*CLIPS[0]),), dynamic_shapes=dynamic()).module()
    # While exporting, LAPACK's QR takes the place of the layer's own.
    assert worst(program, layer) <= (1e-5 if form == "orthonormal" else 1e-6)


@pytest.mark.parametrize(("center", "shortest"), [(True, N_FFT // 2 + 1), (False, N_FFT + HOP)])
def test_torch_export_refuses_clips_that_the_layer_would_fill_up(center: bool, shortest: int) -> None:
    layer = build("fft", **SMALL, center=center)
    program = torch.export.export(layer, (noise(2, 1000),), dynamic_shapes=dynamic()).module()
    assert deviation(program(noise(2, shortest)), layer(noise(2, shortest))) <= 1e-6
    with pytest.raises(AssertionError, match=f"Guard failed.* >= {shortest}"):
        program(noise(2, shortest - 1))


def test_torch_export_of_a_baked_layer() -> None:
    baked = layer_of("three dense").bake()
    program = torch.export.export(baked, (noise(*CLIPS[0]),), dynamic_shapes=dynamic()).module()
    assert worst(program, baked) <= 1e-6


@pytest.mark.parametrize("form", ["banded", "odd"])
def test_onnx_output_equals_torch(form: str, tmp_path: Path) -> None:
    layer = layer_of(form)
    # onnxruntime's FFT is coarser where n_fft is no power of two.
    assert worst(onnx_of(layer, tmp_path / "layer.onnx", noise(*CLIPS[0])), layer) <= (1e-4 if form == "odd" else 2e-6)


def test_onnx_output_of_a_baked_layer_equals_torch(tmp_path: Path) -> None:
    layer = layer_of("three dense")
    assert worst(onnx_of(layer.bake(), tmp_path / "baked.onnx", noise(*CLIPS[0])), layer) <= 2e-6


def test_baked_layer_computes_in_float32_what_the_layer_multiplies_with_8_bits() -> None:
    layer = layer_of("bf16")
    exact = AdaptiveSTFT(sample_rate=RATE, **SMALL, learn_kernels=True)
    exact.load_state_dict(layer.state_dict())
    assert worst(layer.bake(), layer) <= 2e-2
    assert worst(layer.bake(), exact) <= 2e-6


@pytest.mark.parametrize(
    "settings", [{"power": 1}, {"phase": "group_delay", "gamma": 1e9}], ids=["magnitude", "group delay"]
)
def test_exported_programs_add_no_constant_that_the_optimiser_drops(settings: dict[str, Any]) -> None:
    # It takes constants of 1e-8 and less for zero: the logarithm of a magnitude on silence was off by 1.07.
    layer = build("fft", **SMALL, **settings)
    for module in (layer, layer.bake()):
        program = torch.export.export(module, (noise(2, 1000),))
        added = [node.args[1] for node in program.graph.nodes if node.target is torch.ops.aten.add.Tensor]
        assert [each for each in added if isinstance(each, float) and each <= 1e-8] == []
        silence = torch.zeros(2, 1000)
        torch.testing.assert_close(program.module()(silence), module(silence), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("form", "setting"), BAKED_ONLY.items())
def test_onnx_refuses_what_it_cannot_hold(form: str, setting: str, tmp_path: Path) -> None:
    layer, waveform = layer_of(form).eval(), noise(2, 1000)
    told = (
        f"{setting} cannot be exported to ONNX, nor by torch.export with strict=True; "
        "export layer.bake() in the layer's place"
    )
    with pytest.raises(torch.onnx.OnnxExporterError, match=re.escape(told)):
        torch.onnx.export(layer, (waveform,), tmp_path / "layer.onnx", dynamo=True, verbose=False)
    with pytest.raises(torch._dynamo.exc.Unsupported, match=re.escape(told).replace("'", r"\\?'")):
        torch.export.export(layer, (waveform,), strict=True)


def gradients_of(module: nn.Module, layer: nn.Module, waveform: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    layer.zero_grad()
    output = module(waveform)
    (output * torch.linspace(-1, 1, output.numel()).view(output.shape)).sum().backward()
    found = {name: parameter.grad for name, parameter in layer.named_parameters() if parameter.requires_grad}
    return output.detach(), {name: gradient for name, gradient in found.items() if gradient is not None}


def compare_steps(layer: AdaptiveSTFT, backend: str, shapes: list[tuple[int, int]]) -> None:
    """One graph without breaks; output and gradients are those of the layer."""
    torch._dynamo.reset()
    peer = copy.deepcopy(layer)
    compiled = torch.compile(layer, backend=backend, fullgraph=True)
    for shape in shapes:
        output, gradients = gradients_of(compiled, layer, noise(*shape))
        expected, expected_gradients = gradients_of(peer, peer, noise(*shape))
        assert deviation(output, expected) <= 1e-5
        assert gradients.keys() == expected_gradients.keys() != set()
        for name, gradient in gradients.items():
            assert deviation(gradient, expected_gradients[name]) <= 1e-4, name


@pytest.mark.parametrize("form", ["fft", "banded", "orthonormal"])
def test_torch_compile_trains_in_one_graph(form: str) -> None:
    # Captured and differentiated as with any backend; generating code is slow, and tested on unit_norm alone.
    # A second shape is compiled again, for any batch and length.
    compare_steps(layer_of(form), "aot_eager", CLIPS[::2] if form == "banded" else CLIPS[:1])


@pytest.mark.parametrize("form", ["bf16", "odd"])
def test_torch_compile_infers_in_one_graph(form: str) -> None:
    torch._dynamo.reset()
    layer = layer_of(form).requires_grad_(False)
    assert worst(torch.compile(layer, backend="eager", fullgraph=True), layer) <= 1e-6


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile generates C++ for the CPU, and there is no g++")
def test_torch_compile_generates_code_that_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    with torch._inductor.config.patch(compile_threads=1):
        compare_steps(layer_of("unit_norm"), "inductor", CLIPS[:1])


def classifier(**knobs: Any) -> AudioClassifier:
    """The model of params.yaml, whose statistics have moved as in training."""
    config = changed(Config.model_validate(PARAMS), **{f"frontend.{name}": value for name, value in knobs.items()})
    torch.manual_seed(0)
    model = AudioClassifier(config, [f"class {i}" for i in range(10)]).train()
    perturb(model.frontend, 0.02)
    model(noise(8, 9_000))
    return model.eval()


WINDOW = noise(2, 20_000)


def test_classifier_exports_to_onnx(tmp_path: Path) -> None:
    model = classifier(learn_window=True)
    run = onnx_of(model, tmp_path / "model.onnx", WINDOW)
    with torch.no_grad():
        for shape in [(2, 20_000), (1, 55_125), (5, 9_000)]:
            assert deviation(run(noise(*shape)), model(noise(*shape))) <= 1e-4


def test_classifier_exports_to_torch_and_compiles() -> None:
    model = classifier(**{"learn_kernels": True, "kernels.form": "banded"}).requires_grad_(False)
    program = torch.export.export(model, (WINDOW,), dynamic_shapes=dynamic()).module()
    torch._dynamo.reset()
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    assert deviation(program(noise(3, 9_000)), model(noise(3, 9_000))) <= 1e-5
    assert deviation(compiled(WINDOW), model(WINDOW)) <= 1e-5
