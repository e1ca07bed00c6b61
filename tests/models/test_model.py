import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import adaspec
from adaspec.config import Config, ModelConfig, load_config
from adaspec.errors import InputError
from adaspec.features.representation import to_stored
from adaspec.frontends import Fbank
from adaspec.models.classifier import AudioClassifier
from adaspec.models.saved import load, save

PARAMS = load_config(Path(__file__).parents[1] / "params.yaml")
RATE = 8000
LABELS = ["cat", "dog", "ähre"]
STFT: dict[str, Any] = {"n_fft": 256, "win_length": 200, "hop_length": 100, "n_mels": 16}


def configure(backbone: str = "cnn", **frontend: Any) -> Config:
    fbank = PARAMS.frontend.fbank.model_copy(update={"n_mels": 16, "normalize": True})
    return PARAMS.model_copy(
        update={
            "audio": PARAMS.audio.model_copy(update={"sample_rate": RATE}),
            "features": PARAMS.features.model_copy(update={"fbank": fbank}),
            "frontend": PARAMS.frontend.model_copy(update=STFT | frontend),
            "backbone": PARAMS.backbone.model_copy(update={"name": backbone}),
        }
    )


def noise(batch: int = 3, n_samples: int = 2000) -> Tensor:
    return 0.3 * torch.randn(batch, n_samples, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A saved model."""
    torch.manual_seed(0)
    save(AudioClassifier(configure(), LABELS), tmp_path)
    return tmp_path


CONFIGS = {
    "stft and cnn": configure(),
    "stft and resnet": configure("resnet"),
    "learned window and kernels": configure(learn_window=True, learn_kernels=True),
    "window with a parameter": configure(window=("kaiser", 14.0)),
    "linear power": configure(n_mels=None, log_base=None),
    "fbank": configure("resnet", name="fbank"),
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
def test_model_save_and_load_give_equal_logits(config: Config, tmp_path: Path) -> None:
    torch.manual_seed(3)
    model = AudioClassifier(config, LABELS).train()
    model(noise(8))  # moves the running statistics
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.3)
    save(model, tmp_path)
    loaded = load(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.json", "model.safetensors"]
    assert loaded.labels == LABELS
    assert loaded.config == ModelConfig.model_validate(config.model_dump(include=set(ModelConfig.model_fields)))
    assert loaded.sample_rate == RATE
    with torch.no_grad():
        torch.testing.assert_close(loaded(noise()), model.eval()(noise()), rtol=0, atol=0)


def test_model_loads_ready_for_inference(folder: Path) -> None:
    model = adaspec.load(str(folder))
    assert not any(module.training for module in model.modules())
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert not model(noise()).requires_grad


def test_model_saves_the_same_bytes_again(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    save(load(folder), tmp_path / "again")
    for name in ("model.json", "model.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()


def test_model_description_tells_what_the_model_takes(folder: Path) -> None:
    description = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    assert description["labels"] == LABELS
    assert description["sample_rate"] == RATE
    assert description["adaspec_version"] == adaspec.__version__
    assert description["features"] == {"representation": "waveform", "sample_rate": RATE, "trim_db": 60.0}


def test_model_files_hold_nothing_of_the_machine(folder: Path, tmp_path: Path) -> None:
    config = configure()
    elsewhere = config.model_copy(
        update={
            "dataset": config.dataset.model_copy(update={"name": "folder", "root": str(tmp_path)}),
            "engine": config.engine.model_copy(update={"workers": 7, "parallel_folds": 3}),
        }
    )
    (tmp_path / "again").mkdir()
    torch.manual_seed(0)
    save(AudioClassifier(elsewhere, LABELS), tmp_path / "again")
    for name in ("model.json", "model.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()


@pytest.mark.parametrize("backbone", ["cnn", "resnet"])
@pytest.mark.parametrize("n_samples", [1, 300, 2000, 9999])
def test_model_gives_a_logit_per_label(backbone: str, n_samples: int) -> None:
    logits = AudioClassifier(configure(backbone), LABELS).eval()(noise(2, n_samples))
    assert logits.shape == (2, len(LABELS))
    assert logits.isfinite().all()


def test_model_other_sample_rate_is_refused() -> None:
    model = AudioClassifier(configure(), LABELS).eval()
    torch.testing.assert_close(model(noise(), sample_rate=RATE), model(noise()), rtol=0, atol=0)
    with pytest.raises(ValueError, match=r"^waveform has 44100 Hz, the model takes 8000 Hz; resample it$"):
        model(noise(), sample_rate=44_100)


def test_model_stored_waveforms_give_the_logits_of_the_waveform() -> None:
    model = AudioClassifier(configure(), LABELS).eval()
    stored = (noise().clamp(-1, 1) * 32767).short()
    torch.testing.assert_close(model.classify(model.input_of(stored)), model(stored.float() / 32768), rtol=0, atol=0)


def test_model_stored_features_give_the_logits_of_the_waveform() -> None:
    model = AudioClassifier(configure("cnn", name="fbank"), LABELS).eval()
    assert isinstance(model.frontend, Fbank)
    stored = (noise().clamp(-1, 1) * 32767).short()
    features = torch.stack([to_stored(model.frontend, clip) for clip in stored])
    assert features.dtype == torch.float16
    found = model.classify(model.input_of(features))
    torch.testing.assert_close(found, model(stored.float() / 32768), rtol=1e-2, atol=1e-2)
    assert model.energies(model.input_of(features)).shape == model.energies(stored.float() / 32768).shape


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
def test_model_gives_the_same_logits_for_energies(config: Config) -> None:
    model = AudioClassifier(config, LABELS).eval()
    energies = model.energies(noise())
    assert torch.equal(model.classify(energies), model(noise()))
    assert model.input_of(energies) is energies
    assert model.energies(energies) is energies


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
@pytest.mark.parametrize("window_s", [1e-5, 0.1, 0.25, 1.0])
def test_model_knows_the_frames_of_its_window(config: Config, window_s: float) -> None:
    config = config.model_copy(update={"audio": config.audio.model_copy(update={"window_s": window_s})})
    model = AudioClassifier(config, LABELS)
    assert model.n_frames == model.energies(noise(1, max(1, round(window_s * RATE)))).shape[3]


@pytest.mark.parametrize("name", ["stft and cnn", "stft and resnet", "window with a parameter", "linear power"])
def test_model_is_the_same_whether_its_spectrograms_are_cached_in_training(name: str) -> None:
    config = CONFIGS[name]
    cached = config.model_copy(update={"frontend": config.frontend.model_copy(update={"cached": True})})
    outputs = []
    for each in (config, cached):
        torch.manual_seed(0)
        outputs.append(AudioClassifier(each, LABELS).eval()(noise()))
    assert torch.equal(*outputs)


def test_model_normalises_the_window_that_it_sees() -> None:
    model = AudioClassifier(configure("cnn", name="fbank"), LABELS).eval()
    clip = (noise(1, 16_000).clamp(-1, 1)[0] * torch.linspace(0.01, 1, 16_000) * 32767).short()
    stored = to_stored(model.frontend, clip)
    for window in (stored[:30], stored[-30:]):
        seen = model.frontend.compress(model.energies(model.input_of(window[None])))
        assert float(seen.mean()) == pytest.approx(0, abs=1e-5)
        assert float(seen.std(correction=0)) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
def test_load_missing_file_is_refused(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(InputError) as refusal:
        load(folder)
    assert str(refusal.value) == f"{folder / name} not found; give a folder such as models/fold-1"


def test_load_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"model\.json not found; give a folder such as models/fold-1$"):
        load(tmp_path / "nowhere")


def test_load_file_instead_of_folder_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match=r"model\.json"):
        load(folder / "model.json")


def refusal_of(folder: Path) -> str:
    with pytest.raises(InputError) as refusal:
        load(folder)
    told = str(refusal.value)
    assert told.startswith(f"{folder} is no model of adaspec {adaspec.__version__} (")
    assert told.endswith("); train it again with 'dvc repro'")
    assert "\n" not in told
    return told


@pytest.mark.parametrize("n_kept", [0, 4, 100, -1])
def test_load_truncated_weights_are_refused(folder: Path, n_kept: int) -> None:
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[:n_kept])
    refusal_of(folder)


def test_load_other_weights_are_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    save(AudioClassifier(configure("resnet"), LABELS), tmp_path / "other")
    (tmp_path / "other" / "model.safetensors").replace(folder / "model.safetensors")
    refusal_of(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "3", '"text"', "{}", '{"config": {}, "labels": []}', "\x00"])
def test_load_corrupt_description_is_refused(folder: Path, text: str) -> None:
    (folder / "model.json").write_text(text, encoding="utf-8")
    refusal_of(folder)


def test_load_description_that_is_not_utf8_is_refused(folder: Path) -> None:
    (folder / "model.json").write_bytes(b"\xff\xfe{}")
    refusal_of(folder)


@pytest.mark.parametrize(
    ("key", "value"),
    [("labels", 3), ("labels", None), ("labels", ["cat"]), ("config", []), ("config", {"seed": 1})],
)
def test_load_description_of_another_layout_is_refused(folder: Path, key: str, value: Any) -> None:
    description = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    (folder / "model.json").write_text(json.dumps(description | {key: value}), encoding="utf-8")
    refusal_of(folder)


def test_load_unresolved_sample_rate_is_refused(folder: Path) -> None:
    description = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    description["config"]["audio"]["sample_rate"] = None
    (folder / "model.json").write_text(json.dumps(description), encoding="utf-8")
    refusal_of(folder)


class _Bomb:
    """Unpickling this makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_load_never_unpickles(folder: Path, tmp_path: Path) -> None:
    marker = tmp_path / "unpickled"
    content = pickle.dumps(_Bomb(marker))
    pickle.loads(content)
    assert marker.exists()  # the bomb works
    marker.unlink()
    for name in ("model.safetensors", "model.json"):
        intact = (folder / name).read_bytes()
        (folder / name).write_bytes(content)
        refusal_of(folder)
        (folder / name).write_bytes(intact)
    torch.save({"weights": _Bomb(marker)}, folder / "model.safetensors")
    refusal_of(folder)
    assert not marker.exists()
