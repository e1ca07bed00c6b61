import hashlib
import json
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from toydata import changed

import adaspec
from adaspec.backbones import combined
from adaspec.config import Config, ModelConfig, load_config
from adaspec.errors import InputError
from adaspec.features.representation import ReadySpectrogram, feature_contract, representation_of
from adaspec.models.classifier import AudioClassifier
from adaspec.models.evaluated import Evaluated, Threshold, decide
from adaspec.models.saved import FORMAT, load, read_description, read_evaluated, save, save_evaluated

PARAMS = load_config(Path(__file__).parents[2] / "params.yaml")
RATE = 8000
LABELS = ["cat", "dog", "ähre"]
SMALL: dict[str, Any] = {
    "audio.sample_rate": RATE,
    "frontend.n_fft": 256,
    "frontend.win_length": 200,
    "frontend.hop_length": 100,
    "frontend.mel.n_mels": 16,
    "frontend.fixed.fbank.n_mels": 16,
    "frontend.fixed.fbank.normalize": True,
    "backbone.name": "cnn",
}


def configure(**knobs: Any) -> Config:
    return changed(PARAMS, **(SMALL | knobs))


def noise(batch: int = 3, n_samples: int = 2000) -> Tensor:
    return 0.3 * torch.randn(batch, n_samples, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A saved model."""
    torch.manual_seed(0)
    save(AudioClassifier(configure(), LABELS), tmp_path)
    return tmp_path


RESNET, FBANK = {"backbone.name": "resnet"}, {"frontend.name": "fbank"}
CONFIGS = {
    "stft and cnn": configure(),
    "stft and resnet": configure(**RESNET),
    "learned window and kernels": configure(**{"frontend.learn_window": True, "frontend.learn_kernels": True}),
    "window with a parameter": configure(**{"frontend.window": ("kaiser", 14.0)}),
    "linear power": configure(**{"frontend.mel.n_mels": None, "frontend.compression.name": "none"}),
    "fbank": configure(**RESNET, **FBANK),
    "ensemble": configure(**{"backbone.members": 2}),
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
    assert description["format"] == FORMAT
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


@pytest.mark.parametrize("name", ["stft and cnn", "stft and resnet", "ensemble"])
@pytest.mark.parametrize("n_samples", [1, 300, 2000, 9999])
def test_model_gives_a_logit_per_label(name: str, n_samples: int) -> None:
    logits = AudioClassifier(CONFIGS[name], LABELS).eval()(noise(2, n_samples))
    assert logits.shape == (2, len(LABELS))
    assert logits.isfinite().all()


def test_model_other_sample_rate_is_refused() -> None:
    model = AudioClassifier(configure(), LABELS).eval()
    torch.testing.assert_close(model(noise(), sample_rate=RATE), model(noise()), rtol=0, atol=0)
    with pytest.raises(ValueError, match=r"^waveform has 44100 Hz, the model takes 8000 Hz; resample it$"):
        model(noise(), sample_rate=44_100)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
def test_model_gives_for_what_is_stored_the_logits_of_the_waveform(config: Config) -> None:
    model = AudioClassifier(config, LABELS).eval()
    representation = representation_of(feature_contract(config))
    samples = (noise().clamp(-1, 1) * 32767).short()
    stored = torch.stack([representation.encode(clip) for clip in samples])
    logits = model.logits(stored, representation)
    assert logits.shape == (config.backbone.members, 3, len(LABELS))
    exact = {"rtol": 0, "atol": 0} if representation.domain == "waveform" else {"rtol": 1e-2, "atol": 1e-2}
    torch.testing.assert_close(combined(logits), model(samples.float() / 32768), **exact)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
def test_model_gives_for_ready_spectrograms_the_logits_of_the_waveform(config: Config) -> None:
    model = AudioClassifier(config, LABELS).eval()
    spectrogram = model.frontend.spectrogram(noise())
    assert model.spectrogram(spectrogram, ReadySpectrogram()) is spectrogram
    assert torch.equal(combined(model.logits(spectrogram, ReadySpectrogram())), model(noise()))


def test_model_of_several_members_averages_their_probabilities() -> None:
    model = AudioClassifier(CONFIGS["ensemble"], LABELS).eval()
    logits = model.members(model.frontend(noise()))
    assert not torch.equal(*logits)
    torch.testing.assert_close(model(noise()).softmax(dim=1), logits.softmax(dim=2).mean(dim=0))


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
@pytest.mark.parametrize("window_s", [1e-5, 0.1, 0.25, 1.0])
def test_model_knows_the_frames_of_its_window(config: Config, window_s: float) -> None:
    model = AudioClassifier(changed(config, **{"features.window.length_s": window_s}), LABELS)
    assert model.n_samples == max(1, round(window_s * RATE))
    assert model.n_frames == model.frontend.spectrogram(noise(1, model.n_samples)).shape[3]


@pytest.mark.parametrize("name", ["stft and cnn", "stft and resnet", "window with a parameter", "linear power"])
def test_model_is_the_same_whether_its_spectrograms_are_cached_in_training(name: str) -> None:
    config = CONFIGS[name]
    cached = changed(config, **{"frontend.cached": True})
    outputs = []
    for each in (config, cached):
        torch.manual_seed(0)
        outputs.append(AudioClassifier(each, LABELS).eval()(noise()))
    assert torch.equal(*outputs)


def test_model_normalises_the_window_that_it_sees() -> None:
    config = configure(**FBANK)
    model = AudioClassifier(config, LABELS).eval()
    representation = representation_of(feature_contract(config))
    clip = (noise(1, 16_000).clamp(-1, 1)[0] * torch.linspace(0.01, 1, 16_000) * 32767).short()
    stored = representation.encode(clip)
    for window in (stored[:30], stored[-30:]):
        seen = model.frontend.compress(model.spectrogram(window[None], representation))
        assert float(seen.mean()) == pytest.approx(0, abs=1e-5)
        assert float(seen.std(correction=0)) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(("normalize", "level", "channel"), [("none", 0, 0), ("level", 1, 0), ("band", 1, 1)])
def test_normalised_spectrogram_does_not_tell_the_level(normalize: str, level: bool, channel: bool) -> None:
    torch.manual_seed(0)
    knobs = {"frontend.compression.name": "db", "frontend.compression.gamma": 1e12, "audio.sample_rate": 8000}
    model = AudioClassifier(configure(**knobs, **{"backbone.normalize": normalize}), LABELS).eval()
    spectrogram = 1e-2 + torch.rand(2, 1, model.frontend.n_features, model.n_frames)
    gains = torch.linspace(0.1, 10, model.frontend.n_features)[:, None]
    before, quieter, coloured = (
        model.members(model.frontend.compress(each)) for each in (spectrogram, spectrogram / 50, spectrogram * gains)
    )
    assert torch.allclose(before, quieter, atol=1e-4) == level
    assert torch.allclose(before, coloured, atol=1e-4) == channel


@pytest.mark.parametrize("key", ["audio.sample_rate", "features.window.length_s"])
def test_model_is_not_built_of_a_configuration_that_is_not_resolved(key: str) -> None:
    with pytest.raises(ValueError, match=r"is null: resolve it first$"):
        AudioClassifier(configure(**{key: None}), LABELS)


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


def refusal_of(folder: Path, *, resealed: bool = False) -> str:
    """The line that a model is refused with; resealed as one does who writes a hostile one."""
    if resealed:
        change_description(
            folder, weights_sha256=hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
        )
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
    refusal_of(folder, resealed=True)


def test_load_other_weights_are_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    save(AudioClassifier(CONFIGS["stft and resnet"], LABELS), tmp_path / "other")
    (tmp_path / "other" / "model.safetensors").replace(folder / "model.safetensors")
    refusal_of(folder, resealed=True)


HEAD = f'{{"format": {FORMAT}'


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "3", '"text"', HEAD + "}", HEAD + ', "config": {}, "labels": []}', "\x00", "[" * 10**5],
)
def test_load_corrupt_description_is_refused(folder: Path, text: str) -> None:
    (folder / "model.json").write_text(text, encoding="utf-8")
    refusal_of(folder)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"format": None, "adaspec_version": "0.0.9"}, "0.0.9 in format 1"),  # the first wrote no number
        ({"format": FORMAT - 1, "adaspec_version": "0.1.0"}, f"0.1.0 in format {FORMAT - 1}"),
        ({"format": FORMAT + 1, "adaspec_version": "9.0.0"}, f"9.0.0 in format {FORMAT + 1}"),
        ({"format": FORMAT + 1, "adaspec_version": None}, f"of an unknown version in format {FORMAT + 1}"),
        ({"format": 1, "adaspec_version": "0.1\x1b[2J\nok"}, "of an unknown version in format 1"),
        ({"format": str(FORMAT)}, f"{adaspec.__version__} in format '{FORMAT}'"),
        ({"format": [FORMAT]}, f"{adaspec.__version__} in format [{FORMAT}]"),
        ({"format": True}, f"{adaspec.__version__} in format True"),
    ],
)
def test_load_another_format_is_refused_with_the_version_that_wrote_it(
    folder: Path, change: dict[str, Any], told: str
) -> None:
    path = folder / "model.json"
    description = json.loads(path.read_text(encoding="utf-8")) | change
    # As the other version may have written it: nothing but the format and the version is looked at.
    path.write_text(json.dumps({key: value for key, value in description.items() if value is not None} | {"config": 3}))
    for read in (load, read_description):
        with pytest.raises(InputError) as refusal:
            read(folder)
        assert str(refusal.value) == (
            f"{folder} was written by adaspec {told}, this is adaspec {adaspec.__version__}, which reads format "
            f"{FORMAT}; use the version that wrote it, or train again with 'dvc repro'"
        )


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
        refusal_of(folder, resealed=name == "model.safetensors")
        (folder / name).write_bytes(intact)
    torch.save({"weights": _Bomb(marker)}, folder / "model.safetensors")
    refusal_of(folder, resealed=True)
    assert not marker.exists()


def change_description(folder: Path, **changes: Any) -> None:
    description = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    (folder / "model.json").write_text(json.dumps(description | changes), encoding="utf-8")


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        (["a", "a", "b"], "and some are equal"),
        ("abc", "not str"),
        ({"a": 1, "b": 2}, "not dict"),
        (None, "not NoneType"),
        (["a"], "not 1"),
        ([["a"], ["b"], ["c"]], "and number 0 is none that can be printed"),
        (["a", 1, "c"], "and number 1 is none that can be printed"),
        (["a", " ", "c"], "and number 1 is none that can be printed"),
        (["a", "b", "\x1b[31mred\x07"], "and number 2 is none that can be printed"),
        (["\x9b2J", "b", "c"], "and number 0 is none that can be printed"),
        (["a\u2028", "b", "c"], "and number 0 is none that can be printed"),
    ],
)
def test_load_refuses_labels_that_are_none(folder: Path, labels: Any, told: str) -> None:
    change_description(folder, labels=labels)
    assert f"(labels must be two or more different texts, {told})" in refusal_of(folder)


@pytest.mark.parametrize("place", [0, 9, 0.5, -1])  # length and content of the header, weights
def test_load_sees_a_flipped_bit_of_the_weights(folder: Path, place: float) -> None:
    weights = folder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[int(place * len(content)) if isinstance(place, float) else place] ^= 1
    weights.write_bytes(content)
    with pytest.raises(InputError) as refusal:
        load(folder)
    assert str(refusal.value) == (
        f"{weights} is damaged, or belongs to another model.json: its SHA-256 is not the one there; copy the folder "
        "again, or restore it with 'dvc repro'"
    )


def test_load_refuses_weights_of_another_fold(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    torch.manual_seed(1)
    save(AudioClassifier(configure(), LABELS), tmp_path / "other")
    (tmp_path / "other" / "model.safetensors").replace(folder / "model.safetensors")
    with pytest.raises(InputError, match=r"belongs to another model\.json"):
        load(folder)


@pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
def test_load_refuses_what_never_ends(folder: Path, name: str) -> None:
    (folder / name).unlink()
    (folder / name).symlink_to("/dev/zero")
    assert "a device where a file is needed" in refusal_of(folder)


def test_load_compares_the_description_with_the_weights_before_it_builds(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    huge = {"frontend.learn_kernels": True, "frontend.n_fft": 8192, "frontend.win_length": 8192}  # 256 MiB
    description = configure(**huge).model_dump(mode="json", include=set(ModelConfig.model_fields))
    change_description(folder, config=description)
    built = []
    monkeypatch.setattr(torch.nn.Module, "train", lambda model, mode=True: built.append(model) or model)
    assert "size mismatch" in refusal_of(folder)
    assert all(tensor.is_meta for model in built for tensor in model.parameters())
    change_description(folder, config=description, labels=[str(number) for number in range(100)])
    refusal_of(folder)


@pytest.mark.parametrize(
    ("knobs", "told"),
    [
        (
            {"features.window.length_s": 3600.0, "audio.sample_rate": 384_000},
            "features.window.length_s=3600 makes windows of 1382400000 samples at 384000 Hz, more than 16777216",
        ),
        (
            {"features.window.length_s": 200.0, "frontend.hop_length": 1},
            "features.window.length_s=200 makes spectrograms of 1 x 16 x 1600001 numbers, more than 16777216",
        ),
    ],
)
def test_load_refuses_windows_beyond_all_bounds(folder: Path, knobs: dict[str, Any], told: str) -> None:
    changed_config = configure(**knobs).model_dump(mode="json", include=set(ModelConfig.model_fields))
    change_description(folder, config=changed_config)
    assert told in refusal_of(folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_load_refuses_weights_that_are_not_finite(folder: Path, value: float) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["frontend.window.values"][0, 0] = value
    save_file(weights, folder / "model.safetensors")
    assert "its weights are not all finite" in refusal_of(folder, resealed=True)


def test_load_shows_what_is_not_printable_as_escapes(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    save_file(weights | {"\x1b]0;owned\x07": torch.zeros(1)}, folder / "model.safetensors")
    assert "\\x1b]0;owned\\x07" in refusal_of(folder, resealed=True)


def test_load_passes_a_label_of_any_script(folder: Path) -> None:
    change_description(folder, labels=["сова", "ふくろう", "\N{OWL} \u200d owl"])
    assert load(folder).labels[0] == "сова"


EVALUATED = {"vote": "majority", "overlap": 0.5, "threshold": {"label": "cat", "log_odds": -0.25}}


def test_model_keeps_what_it_was_evaluated_with(folder: Path) -> None:
    assert read_evaluated(folder) is None
    before = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    save_evaluated(folder, Evaluated.model_validate(EVALUATED))
    assert json.loads((folder / "model.json").read_text(encoding="utf-8")) == before | {"evaluation": EVALUATED}
    assert read_evaluated(folder) == Evaluated.model_validate(EVALUATED)
    load(folder)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"vote": "most"}, "evaluation.vote: "),
        ({"overlap": 1.0}, "evaluation.overlap: "),
        ({"overlap": float("nan")}, "evaluation.overlap: "),
        ({"threshold": {"label": "cow", "log_odds": 0.0}}, "its threshold is for a label that it does not have"),
        ({"threshold": 0.5}, "evaluation.threshold: "),
    ],
)
def test_evaluation_that_is_none_is_refused(folder: Path, change: dict[str, Any], told: str) -> None:
    change_description(folder, evaluation=EVALUATED | change)
    with pytest.raises(InputError, match=re.escape(told)) as refusal:
        read_evaluated(folder)
    assert "\n" not in str(refusal.value)


def test_labels_are_decided_at_the_threshold_and_above() -> None:
    probabilities = np.array([[0.6, 0.1, 0.3], [0.5, 0.2, 0.3], [0.1, 0.7, 0.2], [1.0, 0.0, 0.0]], dtype=np.float32)
    assert decide(probabilities, LABELS, None) == ["cat", "cat", "dog", "cat"]
    at = Threshold(label="cat", log_odds=float(np.log(np.float32(0.6) / np.float32(0.4))) - 1e-6)
    assert decide(probabilities, LABELS, at) == ["cat", "ähre", "dog", "cat"]
    assert decide(probabilities, LABELS, Threshold(label="cat", log_odds=100.0))[3] == "dog"
