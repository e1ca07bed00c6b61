import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from adaspec.config import Config, explain, flatten, load_config
from adaspec.config.reference import knobs_page
from adaspec.config.renamed import RENAMED
from adaspec.errors import InputError
from adaspec.models.check import check_model

ROOT = Path(__file__).parents[2]

PCEN = {"frontend.compression.name": "pcen", "frontend.learn_compression": True}
START = "/data/models@0123456789ab"


def put(params: dict[str, Any], key: str, value: Any) -> None:
    *sections, last = key.split(".")
    for section in sections:
        params = params[section]
    params[last] = value


def leaves(section: dict[str, Any], prefix: str = "") -> list[str]:
    keys: list[str] = []
    for key, value in section.items():
        keys += leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else [f"{prefix}{key}"]
    return keys


def problems(folder: Path, content: Any) -> list[str]:
    """The lines that the file leads to, without its name."""
    path = folder / "params.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load_config(path)
    lines = [line.strip() for line in str(caught.value).splitlines()]
    assert all(line.startswith(str(path)) for line in lines)
    return [line.removeprefix(str(path)).strip() for line in lines]


def test_params_of_the_repository_are_valid(params: dict[str, Any]) -> None:
    config = load_config(ROOT / "params.yaml")
    assert config.seed == params["seed"]
    assert config.frontend.window == params["frontend"]["window"]


@pytest.mark.parametrize(
    ("key", "line"),
    [
        ("trian", "trian: unknown key; did you mean train?"),
        ("train.epoch", "train.epoch: unknown key; did you mean epochs?"),
        ("frontend.fixed.fbank.n_mel", "frontend.fixed.fbank.n_mel: unknown key; did you mean n_mels?"),
        ("features.clip_per_shard", "features.clip_per_shard: unknown key; did you mean clips_per_shard?"),
        (
            "engine.zzz",
            "engine.zzz: unknown key; known keys: backend, address, workers, parallel_folds, checkpoint_interval_s",
        ),
    ],
)
def test_config_refuses_unknown_keys_and_names_the_nearest(
    params: dict[str, Any], tmp_path: Path, key: str, line: str
) -> None:
    put(params, key, 1)
    assert problems(tmp_path, params) == [line]


@pytest.mark.parametrize("address", ["auto", "ray://head:10001", "a b:1", "10.0.0.1", "10.0.0.1:x"])
def test_config_refuses_addresses_that_are_none(params: dict[str, Any], tmp_path: Path, address: str) -> None:
    for fine in (None, "10.0.0.1:6379", "head.local:1", "[::1]:6379"):
        put(params, "engine.address", fine)
        Config.model_validate(params)
    put(params, "engine.address", address)
    (line,) = problems(tmp_path, params)
    assert line.startswith(f"engine.address: '{address}' is not host:port, such as 10.0.0.1:6379")


@pytest.mark.parametrize("key", ["functions", "float", "a[b]", "train.int", "train.str", "train.epochs[0]"])
def test_config_names_unknown_keys_that_read_like_types(params: dict[str, Any], tmp_path: Path, key: str) -> None:
    put(params, key, 1)
    (line,) = problems(tmp_path, params)
    assert line.startswith(f"{key}: unknown key; ")


def test_config_refuses_keys_that_are_not_text(params: dict[str, Any], tmp_path: Path) -> None:
    params["train"][True] = 1  # what YAML makes of the key `on`
    (line,) = problems(tmp_path, params)
    assert line.startswith("train")


@pytest.mark.parametrize("key", ["seed", "train", "train.epochs", "frontend.mel.f_max", "frontend.fixed.fbank.n_mels"])
def test_config_refuses_missing_keys(params: dict[str, Any], tmp_path: Path, key: str) -> None:
    *sections, last = key.split(".")
    section = params
    for name in sections:
        section = section[name]
    del section[last]
    (line,) = problems(tmp_path, params)
    assert line.startswith(f"{key}: missing; every key of the file must be there")


def test_config_gives_no_key_a_default(params: dict[str, Any], tmp_path: Path) -> None:
    lines = problems(tmp_path, {key: {} if isinstance(value, dict) else value for key, value in params.items()})
    expected = {".".join(key.split(".")[:2]) for key in leaves(params)}  # a sub-section is missing as a whole
    assert {line.split(":")[0] for line in lines} == expected - {"seed"}


@pytest.mark.parametrize(
    ("key", "value", "start"),
    [
        ("seed", 1.5, "seed=1.5: "),
        ("seed", True, "seed=True: "),
        ("seed", None, "seed=None: "),
        ("dataset.name", "", "dataset.name='': "),
        ("dataset.root", "", "dataset.root='': "),
        ("dataset.root", 3, "dataset.root=3: "),
        ("features.window.pad", None, "features.window.pad=None: "),
        ("audio.sample_rate", 22050.5, "audio.sample_rate=22050.5: "),
        ("frontend.learn_window", "maybe", "frontend.learn_window='maybe': "),
        ("frontend.power", 3, "frontend.power=3: "),
        ("frontend.power", True, "frontend.power=True: "),
        ("frontend.n_transforms", 2, "frontend.n_transforms=2: "),
        ("frontend.mel.norm", "area", "frontend.mel.norm='area': "),
        ("frontend.kernels.constraint", "orthogonal", "frontend.kernels.constraint='orthogonal': "),
        ("frontend.kernels.precision", 16, "frontend.kernels.precision=16: "),
        ("train.precision", "fp16", "train.precision='fp16': "),
        ("train.loss.name", "hinge", "train.loss.name='hinge': "),
        ("train.compile", "maybe", "train.compile='maybe': "),
        ("frontend.cached", 1, "frontend.cached=1: "),
        ("augment.mix.name", None, "augment.mix.name=None: "),
        ("augment.polarity", 0.5, "augment.polarity=0.5: "),
        ("augment.freq_shift", 1.5, "augment.freq_shift=1.5: "),
        ("augment.noise.snr_db", 10.0, "augment.noise.snr_db=10.0: "),
        ("backbone.resnet.widths", 16, "backbone.resnet.widths=16: "),
        ("backbone.ast.stem", "linear", "backbone.ast.stem='linear': "),
        ("backbone.name", "", "backbone.name='': "),
        ("train", None, "train=None: "),
        ("frontend.fixed.fbank", [1], "frontend.fixed.fbank=[1]: "),
    ],
)
def test_config_refuses_wrong_types_and_choices(
    params: dict[str, Any], tmp_path: Path, key: str, value: Any, start: str
) -> None:
    put(params, key, value)
    (line,) = problems(tmp_path, params)
    assert line.startswith(start)


@pytest.mark.parametrize("key", ["augment.gain_db", "train.optimizer.weight_decay", "frontend.mel.f_min"])
def test_config_refuses_booleans_for_numbers(params: dict[str, Any], tmp_path: Path, key: str) -> None:
    put(params, key, True)
    (line,) = problems(tmp_path, params)
    assert line.startswith(f"{key}=True: ")


@pytest.mark.parametrize(
    ("key", "inside", "outside"),
    [
        ("seed", [0, 2**31 - 1], [-1, 2**31]),
        ("synthetic.clips_per_class", [10, 10_000], [9, 10_001]),
        ("synthetic.duration_s", [0.5, 60], [0.49, 60.1, float("nan")]),
        ("audio.sample_rate", [None, 1000, 384_000], [999, 384_001]),
        ("features.window.length_s", [None, 0.01, 3600], [0, -1, 3601, float("inf"), float("nan")]),
        ("audio.trim_db", [None, 200], [0, 201, float("nan")]),
        ("features.clips_per_shard", [1, 100_000], [0, 100_001]),
        ("frontend.fixed.fbank.n_mels", [4, 1024], [3, 1025]),
        ("split.n_folds", [2, 100], [1, 101]),
        ("split.validation_fraction", [0, 0.5], [-0.01, 0.51, float("nan")]),
        ("frontend.n_fft", [1024, 65_536], [65_537]),
        ("frontend.hop_length", [1], [0]),
        ("frontend.compression.gamma", [1], [0, -1, float("inf"), float("nan")]),
        ("frontend.window_ratio", [0.1, 1], [0, 1.1, float("nan")]),
        ("frontend.kernels.band_width", [1, 9], [0]),
        ("train.frontend.freeze_epochs", [0, 49], [-1]),
        ("train.frontend.l2_sp", [0, 0.5], [-1, 1, 500.0, float("inf"), float("nan")]),
        ("train.frontend.gradient_clip", [None, 0.1], [0, float("inf")]),
        ("backbone.dropout", [0, 0.99], [1, -0.1, float("nan")]),
        ("train.epochs", [1], [0]),
        ("train.batch_size", [2], [1]),
        ("train.optimizer.learning_rate", [1.0e-9], [0, -1.0e-3, float("inf"), float("nan")]),
        ("train.schedule.gamma", [1], [0, 1.01]),
        ("train.ema_decay", [None, 0], [1]),
        ("augment.time_shift", [0, 1], [1.01]),
        ("augment.delay", [0, 0.99], [-0.1, 1, float("nan")]),
        ("augment.adversarial_db", [0.1, 60], [0, -10, float("nan")]),
        ("augment.mix.probability", [0.01, 1], [0, 1.01, float("nan")]),
        ("augment.mix.alpha", [0.01, 100], [0, -1, float("inf")]),
        ("augment.time_stretch", [0, 0.9], [-0.1, 0.91, float("nan")]),
        ("augment.freq_shift", [0, 3], [-1]),
        ("train.loss.focal_gamma", [0, 5], [-0.1, float("inf"), float("nan")]),
        ("evaluate.overlap", [0, 0.95], [-0.1, 0.96, 1, float("nan")]),
        ("backbone.ast.patch_dropout", [0, 0.99], [-0.1, 1]),
        ("backbone.ast.depth", [1, 64], [0, 65]),
        ("evaluate.n_bootstrap", [100, 100_000], [99, 100_001]),
        ("engine.workers", [None, 1], [0]),
    ],
)
def test_config_keeps_numbers_within_bounds(
    params: dict[str, Any], tmp_path: Path, key: str, inside: list[Any], outside: list[Any]
) -> None:
    put(params, "frontend.learn_window", True)
    for value in inside:
        put(params, key, value)
        assert flatten(Config.model_validate(params))[key] == value
    for value in outside:
        put(params, key, value)
        (line,) = problems(tmp_path, params)
        assert line.startswith(f"{key}={value!r}: ")


@pytest.mark.parametrize("text", ["2e-05", "2E-05", "2.e-5", ".2e-4", "0.00002", "2.0e-5", "+2e-05"])
def test_config_reads_small_numbers_however_they_are_written(params: dict[str, Any], tmp_path: Path, text: str) -> None:
    """DVC writes 2e-05, which YAML 1.1 takes for text."""
    put(params, "train.optimizer.learning_rate", 0.123)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params).replace("0.123", text), encoding="utf-8")
    assert load_config(tmp_path / "params.yaml").train.optimizer.learning_rate == 2e-5


@pytest.mark.parametrize(("key", "text"), [("train.epochs", "many"), ("train.optimizer.learning_rate", "1e-3x")])
def test_config_refuses_text_for_a_number(params: dict[str, Any], tmp_path: Path, key: str, text: str) -> None:
    put(params, key, text)
    (line,) = problems(tmp_path, params)
    assert line.startswith(f"{key}={text!r}: input should be a valid ")


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"frontend.name": "fbank", "frontend.learn_window": True},
            "frontend: name=fbank is computed once and cannot learn; set name=stft, or learn_* to false",
        ),
        (
            {"frontend.name": "fbank", "frontend.learn_kernels": True},
            "frontend: name=fbank is computed once and cannot learn; set name=stft, or learn_* to false",
        ),
        (
            {"frontend.name": "fbank", "frontend.learn_mel": True},
            "frontend: name=fbank is computed once and cannot learn; set name=stft, or learn_* to false",
        ),
        (
            {"frontend.name": "fbank", "frontend.learn_length": True},
            "frontend: name=fbank is computed once and cannot learn; set name=stft, or learn_* to false",
        ),
        (
            {"frontend.n_transforms": 3},
            "frontend: n_transforms=3 would all be the same; set window_ratio below 1, or let them learn",
        ),
        (
            {
                "frontend.learn_window": True,
                "train.frontend.freeze_epochs": 5,
                "train.early_stopping_patience": 5,
            },
            "train.early_stopping_patience=5 may stop before the front end learns, after "
            "train.frontend.freeze_epochs=5; raise the patience, or lower the other",
        ),
        (
            {"frontend.learn_mel": True, "train.frontend.freeze_epochs": 20, "train.epochs": 20},
            "train.frontend.freeze_epochs=20 leaves the front end none of train.epochs=20 to learn in; lower it",
        ),
        (
            {"dataset.root": "recordings"},
            "dataset: root=recordings is not where the synthetic data set is generated; set root=data/raw/synthetic, "
            "or name to that of your data set",
        ),
        (
            {"dataset.name": "folder"},
            "dataset: root=data/raw/synthetic holds the synthetic data set, but name=folder; set root to yours",
        ),
        (
            {"train.early_stopping_patience": 5, "split.validation_fraction": 0.0},
            "train.early_stopping_patience needs validation clips, but split.validation_fraction=0; "
            "raise the fraction or set the patience to null",
        ),
        (
            {"tracking.experiment": "Default"},
            "tracking.experiment: 'Default' belongs to MLflow, whose user interface may bind it elsewhere; "
            "name another",
        ),
        *(
            (
                {"frontend.cached": True, f"frontend.learn_{what}": True},
                "frontend: cached=true computes the spectrograms once, but they are to be learned; set it to false",
            )
            for what in ("window", "kernels", "mel")
        ),
        *(
            (
                {f"augment.{key}": value, **once},
                f"augment.{key}={str(value).lower()} changes waveforms, but spectrograms are computed once; switch it "
                "off, or train on waveforms (frontend.name=stft, frontend.cached=false)",
            )
            for once in ({"frontend.cached": True}, {"frontend.name": "fbank"})
            for key, value in (
                ("polarity", True),
                ("speed", 0.1),
                ("resynthesis.share", 0.5),
                ("impulses", 0.2),
                ("adversarial_db", 20.0),
            )
        ),
        *(
            ({f"augment.{key}": n, **bands}, f"augment.{key}={n} must be below the spectrogram's {n} bands")
            for key in ("freq_shift", "freq_mask")
            for n, bands in (
                (40, {"frontend.mel.n_mels": 40}),
                (129, {"frontend.mel.n_mels": None, "frontend.n_fft": 256}),
                (24, {"frontend.name": "fbank", "frontend.fixed.fbank.n_mels": 24}),
            )
        ),
        (
            {"train.epochs": 10, "train.validation_interval": 4},
            "train: validation_interval=4 leaves the last of epochs=10 without a validation; set it to a divisor of "
            "epochs",
        ),
        (
            {"train.epochs": 10, "train.validation_interval": 5, "train.early_stopping_patience": 3},
            "train: early_stopping_patience=3 looks at every epoch, but validation_interval=5; set it to 1, or the "
            "patience to null",
        ),
        (
            {"train.loss.contrast": 0.5, "augment.mix.name": "mixup"},
            "train.loss.contrast=0.5 compares clips by their class, but augment.mix.name=mixup gives them two; set one "
            "of them to 0 or none",
        ),
        (
            {"train.loss.contrast": 0.5, "augment.mix.name": "none", "train.compile": True},
            "train.loss.contrast=0.5 looks into the network, which train.compile=true makes one piece; set "
            "compile=false, or contrast=0",
        ),
        (
            {"augment.resynthesis.families": ["codecs", "codecs"]},
            "augment.resynthesis.families: ['codecs', 'codecs'] names something twice; name each once",
        ),
        (
            {"augment.band_limit_hz": [3000.0, 300.0]},
            "augment: band_limit_hz=[3000.0, 300.0] must be [highest lower edge, lowest upper edge]",
        ),
        *(
            (
                {"train.loss.name": loss, "backbone.head": head},
                f"train.loss.name={loss} and backbone.head={head}: oc_softmax and one_class go together; set both or "
                "neither",
            )
            for loss, head in (("oc_softmax", "linear"), ("cross_entropy", "one_class"))
        ),
        (
            {"augment.noise.snr_db": [20.0, 10.0]},
            "augment.noise: snr_db=[20.0, 10.0] must be [lowest, highest]",
        ),
        (
            {"frontend.learn_compression": True},
            "frontend: learn_compression=true needs parameters, and compression.name=log10 has none; set "
            "compression.name=pcen, or learn_compression=false",
        ),
        (
            PCEN | {"frontend.learn_window": True, "frontend.cached": True},
            "frontend: cached=true computes the spectrograms once, but they are to be learned; set it to false",
        ),
        (
            PCEN | {"train.only_frontend": True},
            "train.only_frontend=true would keep random weights in the backbone; set train.start to trained models",
        ),
        (
            {"train.start": START, "train.only_frontend": True},
            "train.only_frontend=true leaves nothing to train, as the front end is fixed; set frontend.learn_* to true "
            "for what is to be learned",
        ),
        (
            PCEN | {"train.start": START, "train.only_frontend": True, "train.frontend.freeze_epochs": 3},
            "train.frontend.freeze_epochs=3 leaves nothing to train in these epochs, as train.only_frontend=true; set "
            "it to 0",
        ),
        (
            {"train.start": "models"},
            "train.start: 'models' must be the absolute path of a folder with fold-1, fold-2 and so on",
        ),
        (
            {"backbone.name": "timm:resnet18", "backbone.timm.freeze": True},
            "backbone: timm.freeze=true would keep random weights; set timm.pretrained=true, or freeze=false",
        ),
    ],
)
def test_config_checks_keys_against_each_other(
    params: dict[str, Any], tmp_path: Path, changes: dict[str, Any], line: str
) -> None:
    for key, value in changes.items():
        put(params, key, value)
    assert problems(tmp_path, params) == [line]


@pytest.mark.parametrize(
    "changes",
    [
        {"frontend.win_length": 1024, "frontend.n_fft": 1024},
        {"frontend.mel.f_max": 4000.0, "audio.sample_rate": 8000},
        {"frontend.mel.f_max": 96_000.0, "audio.sample_rate": None},  # judged when the rate is known
        {"dataset.name": "esc50", "dataset.root": "/x", "dataset.variant": "esc10"},
        {"train.early_stopping_patience": None, "split.validation_fraction": 0.0},
        {"train.early_stopping_patience": 5, "split.validation_fraction": 0.1},
        {"frontend.learn_window": True, "train.frontend.freeze_epochs": 19, "train.epochs": 20},
        {"frontend.win_length": None, "frontend.n_fft": 512},
        {"frontend.n_transforms": 3, "frontend.window_ratio": 0.5},
        {"frontend.n_transforms": 3, "frontend.learn_window": True},
        {"frontend.n_fft": 16_384, "frontend.learn_kernels": True, "frontend.kernels.form": "banded"},
        {"frontend.learn_mel": True, "train.frontend.l2_sp": 0.9, "train.frontend.lr_multiplier": 2.0},
        {"frontend.n_transforms": 3, "frontend.learn_length": True},
        {"frontend.learn_length": True, "frontend.length_groups": 4, "frontend.mel.form": "free"},
        {"frontend.learn_kernels": True, "frontend.kernels.form": "parametric", "frontend.kernels.smooth": 8},
        {"frontend.mel.scale": "log", "frontend.mel.f_min": 50.0},
        {"tracking.experiment": "default"},
        {"train.precision": 32},
        PCEN | {"frontend.cached": True},
        PCEN | {"train.start": START, "train.only_frontend": True},
        PCEN | {"train.start": START, "frontend.learn_window": True},
        {"frontend.cached": True, "frontend.n_transforms": 3, "frontend.window_ratio": 0.5},
        {"augment.polarity": True, "frontend.learn_window": True},
        {"augment.polarity": True, "frontend.cached": True, "augment.enabled": False},
        {"frontend.mel.n_mels": 40, "augment.freq_shift": 39, "augment.freq_mask": 39},
        {"frontend.mel.n_mels": None, "frontend.n_fft": 256, "augment.freq_shift": 128},
        # The bands that count are those of the front end in use.
        {
            "frontend.name": "fbank",
            "frontend.fixed.fbank.n_mels": 90,
            "frontend.mel.n_mels": 40,
            "augment.freq_shift": 89,
        },
        {"augment.noise.snr_db": (10.0, 10.0)},
        {"augment.noise.snr_db": (-5.0, 40.0)},
        {"backbone.ast.patch_size": 9, "backbone.ast.patch_stride": 9},
        {"backbone.name": "timm:vit_tiny_patch16_224.augreg_in21k"},
        {"backbone.name": "timm:resnet18", "backbone.timm.pretrained": True, "backbone.timm.freeze": True},
        {
            "backbone.name": "timm:resnet18",
            "backbone.timm.pretrained": True,
            "backbone.timm.weights": "/data/a.safetensors",
        },
    ],
)
def test_config_accepts_what_fits_together(params: dict[str, Any], changes: dict[str, Any]) -> None:
    for key, value in changes.items():
        put(params, key, value)
    flat = flatten(Config.model_validate(params))
    assert {key: flat[key] for key in changes} == changes


@pytest.mark.parametrize(
    ("key", "value", "start"),
    [
        ("backbone.resnet.widths", [], "backbone.resnet.widths=[]: "),
        ("backbone.resnet.widths", [16] * 9, "backbone.resnet.widths=[16, 16, "),
        ("backbone.resnet.widths", [16, 0], "backbone.resnet.widths=0: "),
        ("backbone.timm.weights", "a.safetensors", "backbone.timm.weights: 'a.safetensors' must be the absolute path"),
        ("backbone.timm.weights", "/data/a.pt", "backbone.timm.weights: '/data/a.pt' must be the absolute path"),
        ("augment.noise.snr_db", [], "augment.noise.snr_db=[]: too few values"),
        ("augment.noise.snr_db", [1.0], "augment.noise.snr_db=[1.0]: too few values"),
        ("augment.noise.snr_db", [1.0, 2.0, 3.0], "augment.noise.snr_db=[1.0, 2.0, 3.0]: "),
        ("augment.noise.snr_db", [1.0, "a"], "augment.noise.snr_db='a': "),
    ],
)
def test_config_refuses_lists_of_another_length_or_content(
    params: dict[str, Any], tmp_path: Path, key: str, value: list[Any], start: str
) -> None:
    put(params, key, value)
    (line,) = problems(tmp_path, params)
    assert line.startswith(start)


@pytest.mark.parametrize("window", ["hann", "boxcar", ["kaiser", 14.0], ["general_hamming", 0.6]])
def test_config_accepts_windows_of_scipy(params: dict[str, Any], window: str | list[Any]) -> None:
    params["frontend"]["window"] = window
    expected = tuple(window) if isinstance(window, list) else window
    assert Config.model_validate(params).frontend.window == expected


def test_config_tells_every_problem_in_a_line_of_its_own(params: dict[str, Any], tmp_path: Path) -> None:
    params["seed"] = -1
    params["train"]["epochs"] = 0
    params["trian"] = {}
    del params["features"]["window"]["pad"]
    lines = problems(tmp_path, params)
    assert sorted(line.split(":")[0] for line in lines) == ["features.window.pad", "seed=-1", "train.epochs=0", "trian"]


def test_config_is_frozen(params: dict[str, Any]) -> None:
    config = Config.model_validate(params)
    with pytest.raises(ValidationError):
        config.train.epochs = 1
    with pytest.raises(ValidationError):
        config.seed = 1
    assert config.train.epochs == params["train"]["epochs"]


def test_flatten_names_the_leaves_of_the_file(params: dict[str, Any]) -> None:
    flat = flatten(Config.model_validate(params))
    assert sorted(flat) == sorted(leaves(params))
    for key in ("seed", "train.epochs", "frontend.fixed.fbank.n_mels"):
        value: Any = params
        for part in key.split("."):
            value = value[part]
        assert flat[key] == value


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz_[]", min_size=1, max_size=12))
def test_explain_names_any_unknown_key(key: str) -> None:
    content = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    if key in content["train"] or f"train.{key}" in RENAMED:
        return
    content["train"][key] = 1
    with pytest.raises(ValidationError) as caught:
        Config.model_validate(content)
    (problem,) = caught.value.errors()
    assert explain(problem).startswith(f"train.{key}: unknown key; ")


def test_load_config_names_a_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    with pytest.raises(InputError) as caught:
        load_config(path)
    assert (
        str(caught.value) == f"{path} cannot be read (No such file or directory); run from the root of the repository"
    )


def test_load_config_refuses_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load_config(tmp_path)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        b"seed: [1\n",
        b"a: b: c\n",
        b"\tseed: 1\n",
        bytes(range(256)),
        b"\0\0\0\0",
        "seed: 1\n".encode("utf-16"),
        b"seed: 0b_\n",  # no such number
    ],
)
def test_load_config_refuses_broken_yaml_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        load_config(path)
    assert str(caught.value).startswith(f"{path} is not valid YAML: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("content", "kind"), [("- seed\n", "list"), ("", "NoneType"), ("text\n", "str")])
def test_load_config_wants_a_mapping(tmp_path: Path, content: str, kind: str) -> None:
    assert problems(tmp_path, content) == [f"must hold a mapping of sections, got {kind}"]


def test_load_config_runs_no_python_tags(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    (line,) = problems(tmp_path, f"!!python/object/apply:os.mkdir ['{marker}']\n")
    assert line.startswith("is not valid YAML: ")
    assert not marker.exists()


def test_load_config_refuses_a_date_for_a_number(params: dict[str, Any], tmp_path: Path) -> None:
    params["seed"] = datetime.date(2024, 1, 2)
    (line,) = problems(tmp_path, params)
    assert line.startswith("seed=")


@pytest.mark.parametrize("name", ["a/../../evil", "/absolute", "..", ".hidden", ""])
def test_tracking_experiment_names_no_path(params: dict[str, Any], name: str) -> None:
    params["tracking"]["experiment"] = name
    with pytest.raises(ValueError, match="experiment"):
        Config.model_validate(params)


# One rule: what is not chosen is left unread, whatever its knobs say.
@pytest.mark.parametrize(
    "changes",
    [
        {"frontend.kernels.constraint": "orthonormal", "frontend.kernels.precision": "bf16"},
        {"frontend.kernels.form": "banded", "frontend.kernels.band_width": 4},
        {"frontend.window_nonnegative": True, "frontend.window_symmetric": True},
        {"train.frontend.l2_sp": 0.9, "train.frontend.freeze_epochs": 10_000},
        {"backbone.ast.embed_dim": 100, "backbone.ast.num_heads": 6},
        {"backbone.timm.weights": "/data/a.safetensors", "backbone.timm.freeze": True},
        {"train.loss.focal_gamma": 5.0, "train.schedule.gamma": 0.5, "train.optimizer.momentum": 0.1},
        {"augment.noise.color_db": 3.0, "frontend.cached": True},
        {"augment.mix.name": "none", "augment.mix.alpha": 3.0},
        {"frontend.cached": True, "frontend.name": "fbank"},
        {"features.window.n_parts": 3, "features.window.length_s": 1.0},
        {"backbone.name": "resnet", "backbone.timm.pretrained": True},
        {"augment.enabled": False, "augment.freq_shift": 10_000, "augment.speed": 0.5, "frontend.cached": True},
        {"frontend.name": "fbank", "frontend.n_transforms": 3, "frontend.n_fft": 64, "frontend.win_length": 1024},
    ],
)
def test_config_leaves_unread_what_is_not_chosen(params: dict[str, Any], changes: dict[str, Any]) -> None:
    for key, value in changes.items():
        put(params, key, value)
    check_model(Config.model_validate(params))


@pytest.mark.parametrize("old", [old for old in RENAMED if "=" not in old])
def test_config_refuses_old_names_with_the_new_one(params: dict[str, Any], tmp_path: Path, old: str) -> None:
    old, new = (
        (old, RENAMED[old]) if not old.startswith("features.fbank") else ("features.fbank", "frontend.fixed.fbank")
    )
    put(params, old, "x")
    lines = problems(tmp_path, params)
    assert any(line.startswith(old) and new in line for line in lines), lines


def test_config_refuses_an_old_value_with_the_new_one(params: dict[str, Any], tmp_path: Path) -> None:
    put(params, "backbone.name", "wav_resnet")
    (line,) = problems(tmp_path, params)
    assert line.endswith("wav_resnet is now called resnet18")


def test_renamed_knobs_exist_under_their_new_names(params: dict[str, Any]) -> None:
    known = flatten(Config.model_validate(params))
    for old, new in RENAMED.items():
        assert "=" in old or new.partition(" ")[0] in known or new == "frontend.fixed.fbank"
        assert old not in known


def test_every_knob_is_described(params: dict[str, Any]) -> None:
    def undescribed(model: type[BaseModel], prefix: str) -> list[str]:
        names = []
        for name, field in model.model_fields.items():
            if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
                assert field.annotation.__doc__
                names += undescribed(field.annotation, f"{prefix}{name}.")
            elif not field.description:
                names.append(prefix + name)
        return names

    assert not undescribed(Config, "")


def test_page_of_knobs_is_current() -> None:
    page = (ROOT / "docs/knobs.md").read_text(encoding="utf-8")
    assert page == knobs_page(ROOT / "params.yaml"), "python -m adaspec.config.reference > docs/knobs.md"
    for key in flatten(load_config(ROOT / "params.yaml")):
        assert f"| `{key}` |" in page
