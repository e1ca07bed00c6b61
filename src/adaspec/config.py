"""The schema of params.yaml: every knob typed, bounded and cross-checked; unknown keys refused.

The values live in params.yaml alone, so nothing here has a default. A value of null means "the data set's own" and is
filled in by `adaspec.resolve`, the only place that does so.
"""

from __future__ import annotations

import difflib
import math
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError, field_validator, model_validator

from adaspec.errors import InputError

__all__ = [
    "AstConfig",
    "AudioConfig",
    "AugmentConfig",
    "BackboneConfig",
    "Config",
    "DatasetConfig",
    "EngineConfig",
    "EvaluateConfig",
    "FbankConfig",
    "FeaturesConfig",
    "FrontendConfig",
    "ModelConfig",
    "SearchedKnob",
    "SplitConfig",
    "SyntheticConfig",
    "TimmConfig",
    "TrackingConfig",
    "TrainConfig",
    "TuneConfig",
    "explain",
    "flatten",
    "load_config",
    "parse_yaml",
]

SYNTHETIC_ROOT = "data/raw/synthetic"  # output of the stage `synthesize`
HIGHEST_RATE = 384_000  # Hz
MOST_DENSE = 8192  # n_fft: 256 MiB of kernels, and as much again for their gradient and twice for Adam

Real = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Positive = Annotated[Real, Field(gt=0)]
NonNegative = Annotated[Real, Field(ge=0)]
Fraction = Annotated[Real, Field(ge=0, lt=1)]
Probability = Annotated[Real, Field(ge=0, le=1)]
Switch = Annotated[bool, Field(strict=True)]
Count = Annotated[int, Field(ge=1, strict=True)]
Seed = Annotated[int, Field(ge=0, lt=2**31, strict=True)]


class Section(BaseModel):
    """Frozen, and no key passes unread."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DatasetConfig(Section):
    """Which recordings, and where they lie."""

    name: Literal["synthetic", "esc50", "gtzan", "asvspoof2019_la", "folder", "manifest"]
    root: Annotated[str, Field(min_length=1)]
    subset: Literal["esc10"] | None
    on_bad_clip: Literal["fail", "skip"]
    on_missing: Literal["fail", "skip"]

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.subset is not None and self.name != "esc50":
            raise ValueError(f"subset={self.subset} exists in esc50 only, but name={self.name}; set subset to null")
        if self.name == "synthetic" and self.root != SYNTHETIC_ROOT:
            raise ValueError(
                f"root={self.root} is not where the synthetic data set is generated; set root={SYNTHETIC_ROOT}, or "
                "name to esc50, gtzan, asvspoof2019_la, folder or manifest"
            )
        if self.name != "synthetic" and self.root == SYNTHETIC_ROOT:
            raise ValueError(f"root={self.root} holds the synthetic data set, but name={self.name}; set root to yours")
        return self


class SyntheticConfig(Section):
    """The embedded data set."""

    clips_per_class: Annotated[int, Field(ge=10, le=10_000, strict=True)]
    duration_s: Annotated[Real, Field(ge=0.5, le=60)]
    seed: Seed


class AudioConfig(Section):
    """The waveform that every model sees."""

    sample_rate: Annotated[int, Field(ge=1000, le=HIGHEST_RATE, strict=True)] | None
    window_s: Annotated[Real, Field(gt=0, le=3600)] | None
    split_parts: Annotated[int, Field(ge=1, le=1000, strict=True)]
    pad: Literal["repeat", "zeros"]
    trim_db: Annotated[Real, Field(gt=0, le=200)] | None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.split_parts > 1 and self.window_s is not None:
            raise ValueError(
                f"split_parts={self.split_parts} divides the clip, but window_s={self.window_s} sets the window; set "
                "window_s to null, or split_parts to 1"
            )
        return self


class FbankConfig(Section):
    """Kaldi-compatible log-mel filterbank, cached once per clip."""

    frame_length_ms: Annotated[Real, Field(gt=0, le=1000)]
    frame_shift_ms: Annotated[Real, Field(gt=0, le=1000)]
    n_mels: Annotated[int, Field(ge=4, le=1024, strict=True)]
    normalize: Switch


class FeaturesConfig(Section):
    """What the store holds."""

    clips_per_shard: Annotated[int, Field(ge=1, le=100_000, strict=True)]
    fbank: FbankConfig


class SplitConfig(Section):
    """Folds, balancing and validation."""

    scheme: Literal["predefined", "group_kfold", "group_kfold_train", "official"] | None
    n_folds: Annotated[int, Field(ge=2, le=100, strict=True)]
    validation_fraction: Annotated[Real, Field(ge=0, le=0.5)]
    balance: Literal["none", "downsample", "upsample", "class_weights", "weighted_sampler"]
    balance_evaluation: Switch


class FrontendConfig(Section):
    """Waveform to spectrogram."""

    name: Literal["stft", "fbank"]
    n_fft: Annotated[int, Field(ge=4, le=65_536, strict=True)]
    win_length: Annotated[int, Field(ge=2, le=65_536, strict=True)] | None
    hop_length: Count
    window: str | tuple[str | float, ...]
    center: Switch
    power: Annotated[int, Field(ge=1, le=2, strict=True)]
    n_mels: Annotated[int, Field(ge=4, le=1024, strict=True)] | None
    f_min: NonNegative
    f_max: Positive | None
    mel_scale: Literal["htk", "slaney"]
    mel_norm: Literal["slaney"] | None
    compression: Literal["log10", "log1p", "db"]
    log_base: Positive | None
    n_transforms: Literal[1, 3]
    window_ratio: Annotated[Real, Field(gt=0, le=1)]
    learn_window: Switch
    learn_kernels: Switch
    learn_mel: Switch
    kernel_form: Literal["dense", "banded"]
    band_width: Count
    kernel_constraint: Literal["free", "unit_norm", "orthonormal"]
    window_nonnegative: Switch
    window_symmetric: Switch
    precision: Literal[32, "bf16"]
    cached: Switch

    @property
    def n_features(self) -> int:
        """Height of the STFT's spectrogram."""
        return self.n_fft // 2 + 1 if self.n_mels is None else self.n_mels

    @property
    def learns(self) -> bool:
        """Whether anything is learned."""
        return self.learn_window or self.learn_kernels or self.learn_mel

    @field_validator("window", mode="before")
    @classmethod
    def _check_window(cls, window: Any) -> str | tuple[Any, ...]:
        if window == "hann":  # as nearly always: no need to import scipy.signal, which takes every stage a second
            return "hann"
        from scipy.signal import get_window

        window = tuple(window) if isinstance(window, list) else window
        try:
            if not isinstance(window, str | tuple):
                raise TypeError("neither a name nor a list")
            get_window(window, 16)
        except (ValueError, TypeError, AttributeError, IndexError) as error:
            raise ValueError(
                f"{window!r} is not a window of scipy.signal.get_window ({error}); "
                "use for example hann, hamming, boxcar or [kaiser, 14.0]"
            ) from None
        return window

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.win_length is not None and self.win_length > self.n_fft:
            raise ValueError(
                f"win_length={self.win_length} exceeds n_fft={self.n_fft}; raise n_fft or lower win_length"
            )
        if self.f_max is not None and self.f_min >= self.f_max:
            raise ValueError(f"f_min={self.f_min} must be below f_max={self.f_max}")
        if self.name == "fbank" and self.learns:
            raise ValueError("name=fbank is computed once and cannot learn; set name=stft, or learn_* to false")
        if self.cached and self.name == "fbank":
            raise ValueError("cached=true is for name=stft: fbank is always computed once; set cached=false")
        if self.cached and self.learns:
            raise ValueError("cached=true computes the spectrograms once, but they are to be learned; set it to false")
        if self.n_transforms > 1 and self.window_ratio == 1 and not self.learns:
            raise ValueError(
                f"n_transforms={self.n_transforms} would all be the same; set window_ratio below 1, or let them learn"
            )
        if self.learn_kernels and self.kernel_form == "dense" and self.n_fft > MOST_DENSE:
            raise ValueError(
                f"n_fft={self.n_fft} makes {self.n_fft}^2 learned kernel values, above {MOST_DENSE}^2; lower n_fft, or "
                "set kernel_form=banded"
            )
        if self.learn_mel and self.n_mels is None:
            raise ValueError("learn_mel=true needs mel bands, but n_mels=null; set n_mels")
        for switch, key, unused in (
            ("learn_window", "window_nonnegative", False),
            ("learn_window", "window_symmetric", False),
            ("learn_kernels", "kernel_form", "dense"),
            ("learn_kernels", "kernel_constraint", "free"),
            ("learn_kernels", "precision", 32),
        ):
            value = getattr(self, key)
            if value != unused and not getattr(self, switch):
                shown, to_unset = (str(each).lower() for each in (value, unused))
                raise ValueError(
                    f"{key}={shown} has no effect where {switch}=false; set {switch}=true, or {key}={to_unset}"
                )
        for key, unused in (("kernel_constraint", "free"), ("precision", 32)):
            value = getattr(self, key)
            if self.kernel_form == "banded" and value != unused:
                raise ValueError(f"{key}={value} is for kernel_form=dense; set it to {unused}, or the form to dense")
        if self.band_width % 2 == 0:
            raise ValueError(f"band_width={self.band_width} must be odd: a bin and as many neighbours on either side")
        return self


class AstConfig(Section):
    """Audio Spectrogram Transformer."""

    stem: Literal["patches", "convolutions"]
    patch_size: Annotated[int, Field(ge=2, le=64, strict=True)]
    patch_stride: Annotated[int, Field(ge=1, le=64, strict=True)]
    embed_dim: Annotated[int, Field(ge=8, le=4096, strict=True)]
    depth: Annotated[int, Field(ge=1, le=64, strict=True)]
    num_heads: Annotated[int, Field(ge=1, le=64, strict=True)]
    pooling: Literal["cls", "mean"]
    patch_dropout: Fraction

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.embed_dim % self.num_heads:
            raise ValueError(f"embed_dim={self.embed_dim} must be a multiple of num_heads={self.num_heads}")
        if self.patch_stride > self.patch_size:
            raise ValueError(
                f"patch_stride={self.patch_stride} would leave gaps between patches of patch_size={self.patch_size}"
            )
        return self


class TimmConfig(Section):
    """What starts a backbone of timm, and what of it is trained."""

    pretrained: Switch
    weights: str | None
    freeze: Switch

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.weights is not None:
            if not self.pretrained:
                raise ValueError(f"weights={self.weights} has no effect where pretrained=false; set it to true")
            if not self.weights.startswith("/") or not self.weights.endswith(".safetensors"):
                raise ValueError(f"weights={self.weights} must be the absolute path of a .safetensors file")
        if self.freeze and not self.pretrained:
            raise ValueError("freeze=true would keep random weights; set pretrained=true, or freeze=false")
        return self


class BackboneConfig(Section):
    """Spectrogram to logits."""

    name: Annotated[str, Field(pattern=r"^(cnn|resnet|wav_resnet|ast|timm:[a-z0-9_.]+)$")]
    head: Literal["linear", "one_class"]
    members: Annotated[int, Field(ge=1, le=64, strict=True)]
    dropout: Fraction
    widths: Annotated[tuple[Annotated[int, Field(ge=1, le=4096, strict=True)], ...], Field(min_length=1, max_length=8)]
    stem_block: Switch
    ast: AstConfig
    timm: TimmConfig

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.timm.pretrained and not self.name.startswith("timm:"):
            raise ValueError(f"timm.pretrained=true has no effect where name={self.name}; set it to false")
        if self.name == "resnet" and not self.stem_block and len(self.widths) < 2:
            raise ValueError(
                f"stem_block=false leaves the one width of widths={list(self.widths)} no block; give two widths or more"
            )
        if self.head == "one_class" and self.name not in ("resnet", "wav_resnet", "ast"):
            raise ValueError(
                f"head=one_class is for resnet, wav_resnet and ast; with name={self.name} set it to linear"
            )
        return self


class TrainConfig(Section):
    """How one fold is fitted."""

    epochs: Count
    batch_size: Annotated[int, Field(ge=2, strict=True)]
    optimizer: Literal["adamw", "sgd", "muon"]
    learning_rate: Positive
    frontend_lr_multiplier: NonNegative
    frontend_freeze_epochs: Annotated[int, Field(ge=0, strict=True)]
    frontend_pull: NonNegative
    frontend_gradient_clip: Positive | None
    weight_decay: NonNegative
    momentum: Fraction
    schedule: Literal["cosine", "exponential"]
    warmup_fraction: Fraction
    gamma: Annotated[Real, Field(gt=0, le=1)]
    gradient_clip: Positive | None
    loss: Literal["cross_entropy", "focal", "oc_softmax"]
    focal_gamma: NonNegative
    label_smoothing: Fraction
    ema_decay: Fraction | None
    early_stopping_patience: Count | None
    device: Literal["auto", "cpu"]
    precision: Literal["auto", 32, "bf16"]
    compile: Switch
    threads_per_fold: Count

    @model_validator(mode="after")
    def _check_frontend(self) -> Self:
        if self.frontend_freeze_epochs >= self.epochs:
            raise ValueError(
                f"frontend_freeze_epochs={self.frontend_freeze_epochs} leaves the front end none of "
                f"epochs={self.epochs} to learn in; lower it"
            )
        rate = self.learning_rate * self.frontend_lr_multiplier
        if rate * self.frontend_pull > 1:
            raise ValueError(
                f"frontend_pull={self.frontend_pull} at a learning rate of {rate:g} would overshoot the start; "
                "keep learning_rate * frontend_lr_multiplier * frontend_pull at 1 or below"
            )
        return self


class AugmentConfig(Section):
    """Random changes to training clips."""

    enabled: Switch
    resynthesis: Annotated[Real, Field(ge=0, le=1)]
    speed: Annotated[Real, Field(ge=0, le=0.9)]
    band_limit_hz: tuple[NonNegative, Positive] | None
    impulses: Fraction
    equalizer_db: Annotated[Real, Field(ge=0, le=60)]
    gain_db: Annotated[Real, Field(ge=0, le=60)]
    polarity: Switch
    delay: Fraction
    time_shift: Annotated[Real, Field(ge=0, le=1)]
    noise_snr_db: tuple[Real, Real] | None
    noise_color_db: Annotated[Real, Field(ge=0, le=60)]
    mix: Literal["none", "mixup", "between_class"]
    mix_probability: Annotated[Real, Field(gt=0, le=1)]
    mix_alpha: Positive
    time_stretch: Annotated[Real, Field(ge=0, le=0.9)]
    freq_shift: Annotated[int, Field(ge=0, strict=True)]
    freq_mask: Annotated[int, Field(ge=0, strict=True)]
    time_mask: Annotated[int, Field(ge=0, strict=True)]

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.noise_snr_db is not None and self.noise_snr_db[0] > self.noise_snr_db[1]:
            lowest, highest = self.noise_snr_db
            raise ValueError(f"noise_snr_db=[{lowest}, {highest}] must be [lowest, highest]")
        if self.band_limit_hz is not None and self.band_limit_hz[0] >= self.band_limit_hz[1]:
            low, high = self.band_limit_hz
            raise ValueError(f"band_limit_hz=[{low}, {high}] must be [highest lower edge, lowest upper edge]")
        return self

    @classmethod
    def off(cls) -> Self:
        """What `enabled=false` stands for: clips as they are."""
        return cls(
            enabled=False,
            resynthesis=0.0,
            speed=0.0,
            band_limit_hz=None,
            impulses=0.0,
            equalizer_db=0.0,
            gain_db=0.0,
            polarity=False,
            delay=0.0,
            time_shift=0.0,
            noise_snr_db=None,
            noise_color_db=0.0,
            mix="none",
            mix_probability=1.0,
            mix_alpha=1.0,
            time_stretch=0.0,
            freq_shift=0,
            freq_mask=0,
            time_mask=0,
        )


class EvaluateConfig(Section):
    """How test clips are scored."""

    vote: Literal["mean", "majority"]
    overlap: Annotated[Real, Field(ge=0, le=0.95)]
    n_bootstrap: Annotated[int, Field(ge=100, le=100_000, strict=True)]
    asv_error_rates: tuple[Probability, Probability, Probability] | None


class TrackingConfig(Section):
    """Where runs are filed in MLflow."""

    experiment: Annotated[str, Field(min_length=1)]

    @field_validator("experiment")
    @classmethod
    def _check_experiment(cls, name: str) -> str:
        if not re.fullmatch(r"\w[\w .-]*", name):
            raise ValueError(f"{name!r} also names a folder; use letters, digits, '_', '-', '.' and spaces")
        if name == "Default":
            raise ValueError("'Default' belongs to MLflow, whose user interface may bind it elsewhere; name another")
        return name


class EngineConfig(Section):
    """How work is spread; decides time, never results."""

    workers: Count | None
    parallel_folds: Count | None
    checkpoint_interval_s: NonNegative


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is not a number")
    return value


Bound = Annotated[int | float, PlainValidator(_number)]  # an integer stays one


class SearchedKnob(Section):
    """A knob and the values that `adaspec tune` may give it: from `low` to `high`, or one of `choices`.

    The only keys that may be left out of params.yaml are those here: a range has no choices, and choices no bounds.
    """

    knob: Annotated[str, Field(min_length=1)]
    low: Bound | None = None
    high: Bound | None = None
    log: Switch = False
    step: Count | None = None
    choices: Annotated[tuple[Any, ...], Field(min_length=2)] | None = None

    @property
    def is_integer(self) -> bool:
        """Whether a range is one of integers."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.choices is not None:
            if self.low is not None or self.high is not None or self.log or self.step is not None:
                raise ValueError(f"{self.knob} has choices, and so neither low, high, log nor step; leave those out")
            return self
        if self.low is None or self.high is None:
            raise ValueError(f"{self.knob} needs low and high, or choices")
        if self.low >= self.high:
            raise ValueError(f"{self.knob} has low={self.low}, which must be below high={self.high}")
        if self.log and self.low <= 0:
            raise ValueError(f"{self.knob} has low={self.low}, which log: true takes no logarithm of; raise it above 0")
        if self.step is not None and (self.log or not self.is_integer):
            raise ValueError(f"{self.knob} has step={self.step}, which is for integers, and without log; leave it out")
        return self


class TuneConfig(Section):
    """What `adaspec tune` searches, and by which figure of the validation clips; nothing to the pipeline itself."""

    objective: Literal["validation_accuracy", "validation_loss"]
    pruner: Literal["median", "none"]
    space: tuple[SearchedKnob, ...]

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.space:
            raise ValueError("space=[] names no knob; give at least one")
        names = [searched.knob for searched in self.space]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"space has {name} {names.count(name)} times; give it one line")
        return self


class ModelConfig(Section):
    """What a trained model needs to be built again; saved with it."""

    audio: AudioConfig
    features: FeaturesConfig
    frontend: FrontendConfig
    backbone: BackboneConfig

    @model_validator(mode="after")
    def _check_frequencies(self) -> Self:
        rate = self.audio.sample_rate
        if rate is not None:
            if self.frontend.f_max is not None and self.frontend.f_max > rate / 2:
                raise ValueError(
                    f"frontend.f_max={self.frontend.f_max} exceeds half of audio.sample_rate={rate}; "
                    "lower it or set it to null"
                )
            if self.frontend.f_min >= rate / 2:
                raise ValueError(f"frontend.f_min={self.frontend.f_min} must be below half of audio.sample_rate={rate}")
        return self


class Config(ModelConfig):
    """The whole of params.yaml."""

    seed: Seed
    dataset: DatasetConfig
    synthetic: SyntheticConfig
    split: SplitConfig
    train: TrainConfig
    augment: AugmentConfig
    evaluate: EvaluateConfig
    tracking: TrackingConfig
    engine: EngineConfig
    tune: TuneConfig

    @model_validator(mode="after")
    def _check_learning(self) -> Self:
        patience, n_frozen = self.train.early_stopping_patience, self.train.frontend_freeze_epochs
        for key in ("frontend_freeze_epochs", "frontend_pull"):
            if getattr(self.train, key) and not self.frontend.learns:
                raise ValueError(
                    f"train.{key}={getattr(self.train, key)} has no effect where the front end learns nothing; "
                    "set a frontend.learn_* to true, or it to 0"
                )
        if patience is not None and patience <= n_frozen:
            raise ValueError(
                f"train.early_stopping_patience={patience} may stop before the front end learns, after "
                f"train.frontend_freeze_epochs={n_frozen}; raise the patience, or lower the other"
            )
        return self

    @model_validator(mode="after")
    def _check_augment(self) -> Self:
        frontend = self.frontend
        augment = self.augment if self.augment.enabled else AugmentConfig.off()
        for key in ("resynthesis", "speed", "band_limit_hz", "impulses", "noise_color_db", "polarity"):
            value = getattr(augment, key)
            if value and (frontend.cached or frontend.name == "fbank"):
                raise ValueError(
                    f"augment.{key}={str(value).lower()} changes waveforms, but spectrograms are computed once; switch "
                    "it off, or train on waveforms (frontend.name=stft, frontend.cached=false)"
                )
        if (self.train.loss == "oc_softmax") != (self.backbone.head == "one_class"):
            raise ValueError(
                f"train.loss={self.train.loss} and backbone.head={self.backbone.head}: oc_softmax and one_class go "
                "together; set both or neither"
            )
        n_features = self.features.fbank.n_mels if frontend.name == "fbank" else frontend.n_features
        for key in ("freq_shift", "freq_mask"):
            if getattr(augment, key) >= n_features:
                raise ValueError(
                    f"augment.{key}={getattr(augment, key)} must be below the spectrogram's {n_features} bands"
                )
        return self

    @model_validator(mode="after")
    def _check_validation(self) -> Self:
        if self.train.early_stopping_patience is not None and self.split.validation_fraction == 0:
            raise ValueError(
                "train.early_stopping_patience needs validation clips, but split.validation_fraction=0; "
                "raise the fraction or set the patience to null"
            )
        return self

    @model_validator(mode="after")
    def _check_space(self) -> Self:
        known = [key for key in flatten(self) if not key.startswith("tune.")]
        for searched in self.tune.space:
            if searched.knob not in known:
                close = difflib.get_close_matches(searched.knob, known, n=1)
                hint = f"; did you mean {close[0]}?" if close else ""
                raise ValueError(f"tune.space: {searched.knob} is not a knob{hint}")
        return self


class _Loader(yaml.SafeLoader):
    """Takes 1e-3 for a number, as YAML 1.2 does: DVC writes 2e-05 into params.yaml where it is told 2.0e-5."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def parse_yaml(text: str | bytes) -> Any:
    """Content of a YAML document, read safely."""
    return yaml.load(text, _Loader)


def load_config(path: Path) -> Config:
    """Read and check a params file.

    Parameters
    ----------
    path : Path
        A YAML file with every key of `Config`.

    Returns
    -------
    Config
        Frozen.

    Raises
    ------
    InputError
        One line per problem: file, key, value got, values allowed.
    """
    try:
        content = parse_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); run from the root of the repository") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise InputError(f"{path} must hold a mapping of sections, got {type(content).__name__}")
    try:
        return Config.model_validate(content)
    except ValidationError as error:
        lines = dict.fromkeys(f"{path} {explain(problem)}" for problem in error.errors())
        raise InputError("\n       ".join(lines)) from None


def explain(problem: Any) -> str:
    """Say one problem of a pydantic `ValidationError` as 'key=value: what is allowed'."""
    keys, known = _keys_of(problem["loc"])
    if problem["type"] == "extra_forbidden":
        unknown = str(problem["loc"][-1])
        close = difflib.get_close_matches(unknown, known, n=1)
        hint = f"did you mean '{close[0]}'?" if close else f"known keys: {', '.join(known)}"
        return f"{'.'.join([*keys, unknown])}: unknown key; {hint}"
    key = ".".join(keys)
    if problem["type"] == "missing" and isinstance(problem["loc"][-1], int):
        return f"{key}={problem['input']!r}: too few values"
    if problem["type"] == "missing":
        return f"{key}: missing; every key of the file must be there, null where the data set's own value is wanted"
    message = problem["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:] if message.startswith("Input ") else message
    if problem["type"] == "value_error":
        return f"{key}: {message}" if key else message
    return f"{key}={problem['input']!r}: {message}"


def _keys_of(location: tuple[Any, ...]) -> tuple[list[str], list[str]]:
    """The part of a pydantic location that is keys of the file, and the keys known at its end.

    What follows, such as the branch of a union, is pydantic's own.
    """
    model: Any = Config
    keys: list[str] = []
    for part in location:
        if isinstance(part, int) and model == tuple[SearchedKnob, ...]:
            keys[-1] += f"[{part}]"
            model = SearchedKnob
            continue
        if not hasattr(model, "model_fields") or part not in model.model_fields:
            break
        keys.append(part)
        model = model.model_fields[part].annotation
    return keys, list(getattr(model, "model_fields", []))


def flatten(section: BaseModel) -> dict[str, Any]:
    """Every knob under its dotted name, as `dvc exp run -S` takes it."""
    flat: dict[str, Any] = {}
    for key, value in section:
        if isinstance(value, BaseModel):
            flat |= {f"{key}.{inner}": leaf for inner, leaf in flatten(value).items()}
        else:
            flat[key] = value
    return flat
