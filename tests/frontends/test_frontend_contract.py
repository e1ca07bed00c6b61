"""What every front end keeps: the shapes, finite numbers, gradients, and imports of the layers alone."""

import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from torch import Tensor

import adaspec
from adaspec.config import FrontendConfig, load_config
from adaspec.frontends import FRONTENDS, build_frontend

CONFIG = load_config(Path(__file__).parents[2] / "params.yaml")
RATE = 8000
LEARNED = "learn_window", "learn_kernels", "learn_mel"
SETTINGS: dict[str, dict[str, Any]] = {
    "stft": {"n_fft": 256, "hop_length": 100, "n_mels": 20, **dict.fromkeys(LEARNED, True)},
    "fbank": {"frame_length_ms": 25.0, "frame_shift_ms": 10.0, "n_mels": 20, "normalize": False},
}
PIPELINE_ONLY = (
    *("dvc", "mlflow", "lightning", "pydantic", "pandas", "sklearn", "pyarrow", "yaml", "joblib", "typer"),
    *("safetensors", "soundfile", "soxr", "matplotlib", "rich", "requests", "onnx", "onnxruntime", "onnxscript"),
)


def build(name: str) -> torch.nn.Module:
    return FRONTENDS[name](sample_rate=RATE, **SETTINGS[name])


def noise(batch: int, n_samples: int) -> Tensor:
    return 0.3 * torch.randn(batch, n_samples, generator=torch.Generator().manual_seed(0))


def test_frontend_registry_matches_the_configuration() -> None:
    assert set(FRONTENDS) == set(get_args(FrontendConfig.model_fields["name"].annotation))
    assert set(FRONTENDS) == set(SETTINGS)


@pytest.mark.parametrize("name", FRONTENDS)
@pytest.mark.parametrize("n_samples", [1, 7, 199, 200, 1000, 4321])
@pytest.mark.parametrize("batch", [1, 3])
def test_frontend_shape_and_finite(name: str, n_samples: int, batch: int) -> None:
    frontend = build(name)
    output = frontend(noise(batch, n_samples))
    assert output.shape[:3] == (batch, frontend.n_channels, frontend.n_features)
    assert output.shape[3] >= 1
    assert output.dtype == torch.float32
    assert output.isfinite().all()


@pytest.mark.parametrize("name", FRONTENDS)
def test_frontend_frames_advance_by_the_hop(name: str) -> None:
    frontend = build(name)
    n_frames = frontend(noise(1, 4000)).shape[3]
    assert frontend(noise(1, 4000 + frontend.hop_length)).shape[3] == n_frames + 1
    assert frontend(noise(1, 4000 + 10 * frontend.hop_length)).shape[3] == n_frames + 10


@pytest.mark.parametrize("name", FRONTENDS)
def test_frontend_gradient_reaches_each_parameter_and_the_waveform(name: str) -> None:
    frontend = build(name)
    waveform = noise(2, 1500).requires_grad_()
    frontend(waveform).square().sum().backward()
    for value in (waveform, *frontend.parameters()):
        assert isinstance(value.grad, Tensor)
        assert value.grad.isfinite().all()
        assert value.grad.any()


@pytest.mark.parametrize("name", FRONTENDS)
def test_frontend_batch_of_one_equals_batch_of_many(name: str) -> None:
    frontend = build(name).eval()
    clips = noise(4, 1500)
    with torch.no_grad():
        together = frontend(clips)
        alone = torch.cat([frontend(clip[None]) for clip in clips])
    torch.testing.assert_close(together, alone, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", FRONTENDS)
def test_frontend_is_deterministic(name: str) -> None:
    clips = noise(2, 1500)
    torch.testing.assert_close(build(name)(clips), build(name)(clips), rtol=0, atol=0)


@pytest.mark.parametrize("name", FRONTENDS)
def test_frontend_hears_loudness(name: str) -> None:
    frontend = build(name)
    quiet, loud = frontend(noise(1, 1500)), frontend(2 * noise(1, 1500))
    assert (loud > quiet).all()


@pytest.mark.parametrize("name", FRONTENDS)
def test_frontend_save_and_load(name: str, tmp_path: Path) -> None:
    trained, fresh = build(name), build(name)
    with torch.no_grad():
        for parameter in trained.parameters():
            parameter.mul_(1.1)
    torch.save(trained.state_dict(), tmp_path / "weights.pt")
    fresh.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    clips = noise(2, 1500)
    torch.testing.assert_close(fresh(clips), trained(clips), rtol=0, atol=0)


@pytest.mark.parametrize("name", FRONTENDS)
def test_build_frontend_takes_the_configured_settings(name: str) -> None:
    section = CONFIG.frontend.model_copy(update={"name": name, "n_mels": 24, "hop_length": 160})
    fbank = CONFIG.frontend.fbank.model_copy(update={"n_mels": 24, "frame_shift_ms": 10.0})
    config = CONFIG.model_copy(
        update={
            "frontend": section,
            "features": CONFIG.features.model_copy(update={"fbank": fbank}),
            "audio": CONFIG.audio.model_copy(update={"sample_rate": 16_000}),
        }
    )
    frontend = build_frontend(config)
    assert type(frontend) is FRONTENDS[name]
    assert (frontend.n_features, frontend.hop_length, frontend.sample_rate) == (24, 160, 16_000)


BLOCK = f"""
import sys
for name in {PIPELINE_ONLY!r}:
    sys.modules[name] = None  # importing it raises ModuleNotFoundError
"""


def run_python(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False)


def test_layers_import_nothing_of_the_pipeline() -> None:
    done = run_python("import sys, adaspec.frontends, adaspec.backbones, adaspec.linalg; print(*sys.modules)")
    assert done.returncode == 0, done.stderr
    assert set(PIPELINE_ONLY) & set(done.stdout.split()) == set()


def test_layers_work_where_the_pipeline_is_not_installed() -> None:
    program = """
import torch
from adaspec.backbones import ResNet
from adaspec.frontends import AdaptiveSTFT, Fbank
from adaspec.linalg.qr import orthonormalize
frontend = AdaptiveSTFT(
    sample_rate=16000, n_fft=64, n_mels=8, learn_window=True, learn_kernels=True, kernel_constraint="orthonormal"
)
clips = torch.randn(2, 1000)
spectrogram = frontend(clips)
spectrogram.sum().backward()
assert frontend.window.grad.any() and frontend.kernels.grad.any()
assert torch.allclose(frontend.bake()(clips), spectrogram.detach(), atol=1e-5)
ResNet(n_channels=1, n_features=8, n_classes=5, dropout=0.0, widths=(4, 8))(spectrogram)
Fbank(sample_rate=16000, frame_length_ms=25.0, frame_shift_ms=10.0, n_mels=40, normalize=True)(torch.zeros(1, 800))
print(tuple(frontend.filters().shape), tuple(orthonormalize(torch.eye(3)).shape))
"""
    done = run_python(BLOCK + program)
    assert (done.returncode, done.stdout, done.stderr) == (0, "(1, 33, 64) (3, 3)\n", "")


def test_command_tells_in_one_line_that_the_pipeline_is_not_installed() -> None:
    done = run_python(BLOCK + "from adaspec.__main__ import main; main()")
    told = "error: the command needs the pipeline's packages, but typer is missing: pip install '.[pipeline]'\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", told)


def test_command_runs_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "adaspec", "--version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"{adaspec.__version__}\n")
