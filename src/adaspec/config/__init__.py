"""params.yaml: every knob typed, bounded and described; unknown keys refused."""

from adaspec.config.augment import AttributesConfig, AugmentConfig, MixConfig, NoiseConfig
from adaspec.config.backbone import AstConfig, BackboneConfig, ResnetConfig, TimmConfig
from adaspec.config.data import (
    HIGHEST_RATE,
    SYNTHETIC_ROOT,
    AudioConfig,
    DatasetConfig,
    FeaturesConfig,
    SplitConfig,
    SyntheticConfig,
    WindowConfig,
)
from adaspec.config.frontend import (
    CompressionConfig,
    FbankConfig,
    FrontendConfig,
    KernelsConfig,
    MelConfig,
    PcenConfig,
)
from adaspec.config.knobs import flatten
from adaspec.config.reading import explain, load_config, parse_yaml, read_yaml
from adaspec.config.robustness import GradientConfig, RobustnessConfig
from adaspec.config.run import EngineConfig, EvaluateConfig, TrackingConfig
from adaspec.config.schema import Config, ModelConfig
from adaspec.config.speaker import SpeakerConfig, SpeakerNetworkConfig
from adaspec.config.train import (
    FrontendTrainConfig,
    LossConfig,
    OptimizerConfig,
    ScheduleConfig,
    TrainConfig,
)
from adaspec.config.tune import SearchedKnob, TuneConfig

__all__ = [
    "HIGHEST_RATE",
    "SYNTHETIC_ROOT",
    "AstConfig",
    "AttributesConfig",
    "AudioConfig",
    "AugmentConfig",
    "BackboneConfig",
    "CompressionConfig",
    "Config",
    "DatasetConfig",
    "EngineConfig",
    "EvaluateConfig",
    "FbankConfig",
    "FeaturesConfig",
    "FrontendConfig",
    "FrontendTrainConfig",
    "GradientConfig",
    "KernelsConfig",
    "LossConfig",
    "MelConfig",
    "MixConfig",
    "ModelConfig",
    "NoiseConfig",
    "OptimizerConfig",
    "PcenConfig",
    "ResnetConfig",
    "RobustnessConfig",
    "ScheduleConfig",
    "SearchedKnob",
    "SpeakerConfig",
    "SpeakerNetworkConfig",
    "SplitConfig",
    "SyntheticConfig",
    "TimmConfig",
    "TrackingConfig",
    "TrainConfig",
    "TuneConfig",
    "WindowConfig",
    "explain",
    "flatten",
    "load_config",
    "parse_yaml",
    "read_yaml",
]
