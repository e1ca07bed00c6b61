"""What every front end keeps: shapes, finite numbers, gradients, and imports of the layers alone.

Each is built from params.yaml, as it is, with all that it can learn, and with each of these alone.
"""

import itertools
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn
from toydata import PARAMS

import adaspec
from adaspec.config import FrontendConfig
from adaspec.errors import SettingError
from adaspec.frontends import FRONTENDS, AdaptiveSTFT, Fbank, build_frontend
from adaspec.frontends.arguments import arguments

RATE = PARAMS["audio"]["sample_rate"]
LEARNABLE = [knob.removeprefix("learn_") for knob in PARAMS["frontend"] if knob.startswith("learn_")]
PIPELINE_ONLY = (
    *("dvc", "mlflow", "lightning", "pydantic", "pandas", "sklearn", "pyarrow", "yaml", "joblib", "typer"),
    *("safetensors", "soundfile", "soxr", "matplotlib", "rich", "requests", "onnx", "onnxruntime", "onnxscript"),
)
Case = tuple[str, tuple[str, ...], str]  # name, what it learns, and its phase


def configured(case: Case) -> FrontendConfig:
    name, learned, phase = case
    switches: dict[str, Any] = {f"learn_{part}": part in learned for part in LEARNABLE}
    if "compression" in learned:  # of the compressions, only this one can learn
        switches["compression"] = PARAMS["frontend"]["compression"] | {"name": "pcen"}
    return FrontendConfig.model_validate(PARAMS["frontend"] | switches | {"name": name, "phase": phase})


def is_possible(case: Case) -> bool:
    """Whether the configuration grants that this front end learns that."""
    try:
        configured(case)
    except ValidationError:
        return False
    return True


SWITCHED: list[tuple[str, ...]] = [(), *((part,) for part in LEARNABLE), tuple(LEARNABLE)]
CASES = [case for case in itertools.product(FRONTENDS, SWITCHED, ("none",)) if is_possible(case)]
CASES += [("stft", (), "group_delay"), ("stft", tuple(LEARNABLE), "group_delay")]
EVERY = pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join((case[0], *case[1], case[2])))


def build(case: Case) -> AdaptiveSTFT | Fbank:
    return build_frontend(configured(case), RATE)


def perturb(frontend: nn.Module) -> None:
    """Move every parameter away from where it starts."""
    random = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in frontend.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=random))


def noise(batch: int, n_samples: int) -> Tensor:
    return 0.3 * torch.randn(batch, n_samples, generator=torch.Generator().manual_seed(0))


def test_frontend_registry_matches_the_configuration() -> None:
    assert list(FRONTENDS) == list(get_args(FrontendConfig.model_fields["name"].annotation))
    assert {name for name, *_ in CASES} == set(FRONTENDS)


@EVERY
def test_frontend_tells_what_it_is(case: Case) -> None:
    config, frontend = configured(case), build(case)
    assert type(frontend) is FRONTENDS[case[0]]
    assert (frontend.sample_rate, frontend.n_features) == (RATE, config.n_features)
    assert all(type(n) is int and n >= 1 for n in (frontend.n_channels, frontend.n_features, frontend.hop_length))
    assert frontend.power in (1, 2)
    assert frontend.learned == case[1]
    assert any(parameter.requires_grad for parameter in frontend.parameters()) == bool(case[1])


@EVERY
@pytest.mark.parametrize("batch", [1, 3])
def test_frontend_shape_and_finite(case: Case, batch: int) -> None:
    frontend = build(case)
    hop = frontend.hop_length
    # Short ones, one hop, exactly full frames and a sample beside these, long ones.
    for n_samples in (1, 7, hop, 2 * hop - 1, 2 * hop, 2 * hop + 1, 10 * hop, 10 * hop + 77):
        output = frontend(noise(batch, n_samples))
        n_frames = frontend.n_frames(n_samples)
        assert output.shape == (batch, frontend.n_channels, frontend.n_features, n_frames)
        assert n_frames >= 1
        assert output.dtype == torch.float32
        assert output.isfinite().all()


@EVERY
def test_frontend_measures_parts_for_each_transform(case: Case) -> None:
    frontend = build(case)
    perturb(frontend)
    for part, measures in frontend.measures().items():
        shapes = {values.shape for values in measures.values()}
        assert len(shapes) == 1, part
        assert frontend.n_channels % shapes.pop()[0] == 0, part  # a transform has a channel, or a pair
        assert all(values.isfinite().all() for values in measures.values()), part


@EVERY
def test_frontend_frames_advance_by_the_hop(case: Case) -> None:
    frontend = build(case)
    n_frames = frontend.n_frames(4000)
    assert frontend.n_frames(4000 + frontend.hop_length) == n_frames + 1
    assert frontend.n_frames(4000 + 10 * frontend.hop_length) == n_frames + 10


@EVERY
def test_frontend_output_is_its_compressed_spectrogram(case: Case) -> None:
    frontend = build(case)
    perturb(frontend)
    waveform = noise(2, 5000)
    spectrogram = frontend.spectrogram(waveform)
    assert (spectrogram >= 0).all()
    torch.testing.assert_close(frontend.compress(spectrogram), frontend(waveform), rtol=0, atol=0)


@EVERY
def test_frontend_spectrogram_grows_by_its_power(case: Case) -> None:
    """Louder sound by a factor is more by the factor to `power`: augmentation of spectrograms counts on it."""
    frontend = build(case)
    quiet, loud = frontend.spectrogram(noise(2, 5000)), frontend.spectrogram(3 * noise(2, 5000))
    torch.testing.assert_close(loud, 3**frontend.power * quiet, rtol=1e-3, atol=1e-6)
    levels = slice(None) if case[2] == "none" else slice(None, None, 2)  # beside them are delays
    assert (frontend.compress(loud) > frontend.compress(quiet))[:, levels].all()


@EVERY
def test_frontend_is_finite_on_silence_and_learns_from_it(case: Case) -> None:
    frontend = build(case)
    for waveform in (torch.zeros(2, 3000), torch.cat([noise(1, 3000), torch.zeros(1, 3000)])):
        output = frontend(waveform.requires_grad_())
        assert output.isfinite().all()
        output.sum().backward()
        for value in (waveform, *frontend.parameters()):
            assert value.grad is None or value.grad.isfinite().all()
    assert output[1].mean() < output[0].mean()


@EVERY
def test_frontend_gradient_reaches_each_parameter_that_is_learned_and_the_waveform(case: Case) -> None:
    frontend = build(case)
    waveform = noise(2, 5000).requires_grad_()
    values = [waveform, *(each for each in frontend.parameters() if each.requires_grad)]
    reached = [False] * len(values)
    for sign in (1, -1):  # what starts at a limit, as the length of a window may, can move in one direction alone
        gradients = torch.autograd.grad(sign * frontend(waveform).square().sum(), values)
        assert all(gradient.isfinite().all() for gradient in gradients)
        reached = [before or bool(gradient.any()) for before, gradient in zip(reached, gradients, strict=True)]
    assert all(reached)
    frontend(waveform).sum().backward()
    assert all(each.grad is None for each in frontend.parameters() if not each.requires_grad)


@EVERY
def test_frontend_batch_of_one_equals_batch_of_many(case: Case) -> None:
    frontend = build(case).eval()
    clips = noise(4, 5000) * torch.tensor([[1.0], [100.0], [1e-3], [0.0]])
    with torch.no_grad():
        together = frontend(clips)
        alone = torch.cat([frontend(clip[None]) for clip in clips])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)


@EVERY
def test_frontend_is_deterministic(case: Case) -> None:
    clips = noise(2, 5000)
    torch.testing.assert_close(build(case)(clips), build(case)(clips), rtol=0, atol=0)


@EVERY
def test_frontend_save_and_load(case: Case, tmp_path: Path) -> None:
    trained, fresh = build(case), build(case)
    perturb(trained)
    clips = noise(2, 5000)
    assert torch.equal(fresh(clips), trained(clips)) is not any(True for _ in trained.parameters())
    torch.save(trained.state_dict(), tmp_path / "weights.pt")
    fresh.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    torch.testing.assert_close(fresh(clips), trained(clips), rtol=0, atol=0)


@EVERY
def test_frontend_can_be_exported_or_says_why_not(case: Case) -> None:
    config, frontend = configured(case), build(case)
    perturb(frontend)
    waveform = noise(2, 5000)
    refused = None
    try:
        stand_in = frontend.for_export()
    except SettingError as error:
        refused = error.setting
    if refused is None:
        torch.testing.assert_close(stand_in(waveform), frontend(waveform), rtol=1e-4, atol=1e-4)
    else:
        assert refused in {"name", *arguments(config)}


@EVERY
def test_frontend_refuses_waveforms_of_other_shapes(case: Case) -> None:
    for shape in ((100,), (2, 1, 100)):
        with pytest.raises(ValueError, match=r"waveform must have shape \(batch, n_samples\)"):
            build(case)(torch.zeros(shape))


@EVERY
def test_spectrogram_that_is_stored_needs_the_stored_settings_alone(case: Case) -> None:
    section = configured(case).section
    if section is not None:
        stored = section.model_dump(include=set(section.stored))
        frontend = FRONTENDS[case[0]](sample_rate=RATE, **stored)
        waveform = noise(2, 5000)
        torch.testing.assert_close(frontend.spectrogram(waveform), build(case).spectrogram(waveform), rtol=0, atol=0)
        assert frontend.n_frames(5000) == build(case).n_frames(5000)


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
assert frontend.window.values.grad.any() and frontend.kernels.values.grad.any()
assert torch.allclose(frontend.bake()(clips), spectrogram.detach(), atol=1e-5)
ResNet(n_channels=1, n_features=8, n_frames=2, n_classes=5, dropout=0.0, widths=(4, 8))(spectrogram)
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
