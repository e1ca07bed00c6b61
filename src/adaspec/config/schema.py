"""params.yaml as a whole, and the rules that reach across its sections.

The values live in params.yaml alone, so nothing here has a default. A value of null means "the data set's own" and is
filled in by `adaspec.config.resolve`, the only place that does so.

One rule: a knob is read only where what it belongs to is chosen, and elsewhere left unread, never refused. What is
refused are requests that cannot be met together. What a layer's settings may be, the layer checks itself.
"""

from __future__ import annotations

from operator import attrgetter
from typing import Self

from pydantic import model_validator

from adaspec.config.augment import AugmentConfig
from adaspec.config.backbone import BackboneConfig
from adaspec.config.data import AudioConfig, DatasetConfig, FeaturesConfig, SplitConfig, SyntheticConfig
from adaspec.config.frontend import FrontendConfig
from adaspec.config.knobs import flatten
from adaspec.config.robustness import RobustnessConfig
from adaspec.config.run import EngineConfig, EvaluateConfig, TrackingConfig
from adaspec.config.speaker import SpeakerConfig
from adaspec.config.train import TrainConfig
from adaspec.config.tune import TuneConfig
from adaspec.config.types import Section, Seed
from adaspec.runtime.text import did_you_mean

__all__ = ["Config", "ModelConfig"]


class ModelConfig(Section):
    """What a trained model needs to be built again; saved with it."""

    audio: AudioConfig
    features: FeaturesConfig
    frontend: FrontendConfig
    backbone: BackboneConfig


class Config(ModelConfig):
    """The whole of params.yaml."""

    seed: Seed
    """Of folds, initial weights, batches and augmentation."""
    dataset: DatasetConfig
    synthetic: SyntheticConfig
    split: SplitConfig
    speaker: SpeakerConfig
    train: TrainConfig
    augment: AugmentConfig
    evaluate: EvaluateConfig
    robustness: RobustnessConfig
    tracking: TrackingConfig
    engine: EngineConfig
    tune: TuneConfig

    @model_validator(mode="after")
    def _check_learning(self) -> Self:
        if not self.frontend.learns:
            return self
        train, learned = self.train, self.train.frontend
        if learned.freeze_epochs >= train.epochs:
            raise ValueError(
                f"train.frontend.freeze_epochs={learned.freeze_epochs} leaves the front end none of "
                f"train.epochs={train.epochs} to learn in; lower it"
            )
        patience = train.early_stopping_patience
        if patience is not None and patience <= learned.freeze_epochs:
            raise ValueError(
                f"train.early_stopping_patience={patience} may stop before the front end learns, after "
                f"train.frontend.freeze_epochs={learned.freeze_epochs}; raise the patience, or lower the other"
            )
        return self

    @model_validator(mode="after")
    def _check_only_frontend(self) -> Self:
        train = self.train
        if not train.only_frontend:
            return self
        if train.start is None:
            raise ValueError(
                "train.only_frontend=true would keep random weights in the backbone; set train.start to trained models"
            )
        if not self.frontend.learns:
            raise ValueError(
                "train.only_frontend=true leaves nothing to train, as the front end is fixed; set frontend.learn_* to "
                "true for what is to be learned"
            )
        if train.frontend.freeze_epochs:
            raise ValueError(
                f"train.frontend.freeze_epochs={train.frontend.freeze_epochs} leaves nothing to train in these epochs, "
                "as train.only_frontend=true; set it to 0"
            )
        return self

    @model_validator(mode="after")
    def _check_contrast(self) -> Self:
        train, augment = self.train, self.augment
        if not train.loss.contrast:
            return self
        if train.compile:
            raise ValueError(
                f"train.loss.contrast={train.loss.contrast:g} looks into the network, which train.compile=true "
                "makes one piece; set compile=false, or contrast=0"
            )
        if augment.enabled and augment.mix.name != "none":
            raise ValueError(
                f"train.loss.contrast={train.loss.contrast:g} compares clips by their class, but "
                f"augment.mix.name={augment.mix.name} gives them two; set one of them to 0 or none"
            )
        return self

    @model_validator(mode="after")
    def _check_augment(self) -> Self:
        if not self.augment.enabled:
            return self
        augment, frontend = self.augment, self.frontend
        of_waveforms = {key: attrgetter(key)(augment) for key in augment.of_waveforms}
        if augment.noise.snr_db is not None:
            of_waveforms["noise.color_db"] = augment.noise.color_db
        for key, value in of_waveforms.items():
            if value and not frontend.sees_waveforms:
                raise ValueError(
                    f"augment.{key}={str(value).lower()} changes waveforms, but spectrograms are computed once; switch "
                    "it off, or train on waveforms (frontend.name=stft, frontend.cached=false)"
                )
        if augment.attributes.names and frontend.section is not None:
            raise ValueError(
                f"augment.attributes.names={list(augment.attributes.names)} changes recordings, but "
                f"frontend.name={frontend.name} keeps spectrograms alone; set it to [], or frontend.name=stft"
            )
        mixed = {"mix.name": augment.mix.name != "none", "resynthesis.share": augment.resynthesis.share > 0}
        for key in [key for key, on in mixed.items() if on and augment.attributes.consistency]:
            raise ValueError(
                f"augment.attributes.consistency={augment.attributes.consistency:g} compares a clip with its copy, but "
                f"augment.{key} puts others in their places; switch one of them off"
            )
        if augment.attributes.consistency and not augment.attributes.names:
            raise ValueError(
                f"augment.attributes.consistency={augment.attributes.consistency:g} compares clips with changed "
                "copies, but augment.attributes.names=[] makes none; name some attributes, or set it to 0"
            )
        for key in ("freq_shift", "freq_mask"):
            if getattr(augment, key) >= frontend.n_features:
                raise ValueError(
                    f"augment.{key}={getattr(augment, key)} must be below the spectrogram's {frontend.n_features} bands"
                )
        return self

    @model_validator(mode="after")
    def _check_claim(self) -> Self:
        claim, source, augment = self.backbone.claim, self.speaker.source, self.augment
        if claim == "none":
            return self
        if source == "none":
            raise ValueError(
                f"backbone.claim={claim} needs vectors of speakers, but speaker.source=none; set it to learned or file"
            )
        if self.train.start is not None:
            raise ValueError(
                f"backbone.claim={claim} and train.start: models to start from know the vectors of another speaker "
                "network, which mean something else; set claim=none, or start=null"
            )
        if self.backbone.members > 1:
            raise ValueError(f"backbone.claim={claim} is for one network, got members={self.backbone.members}; set 1")
        if augment.enabled and augment.mix.name != "none":
            raise ValueError(
                f"augment.mix.name={augment.mix.name} mixes clips of two speakers, and backbone.claim={claim} takes "
                "one of them; set mix.name=none"
            )
        return self

    @model_validator(mode="after")
    def _check_robustness(self) -> Self:
        if not self.robustness.asks:
            return self
        if self.backbone.claim != "none":
            raise ValueError(
                f"robustness changes recordings of detectors that ask for no claim, got backbone.claim="
                f"{self.backbone.claim}; set robustness.attributes and robustness.gradient.snr_db to []"
            )
        if self.robustness.gradient.snr_db and self.frontend.section is not None:
            raise ValueError(
                f"robustness.gradient.snr_db={list(self.robustness.gradient.snr_db)} attacks waveforms, but "
                f"frontend.name={self.frontend.name} keeps spectrograms alone; set it to [], or frontend.name=stft"
            )
        return self

    @model_validator(mode="after")
    def _check_loss(self) -> Self:
        loss, head = self.train.loss.name, self.backbone.head
        if (loss == "oc_softmax") != (head == "one_class"):
            raise ValueError(
                f"train.loss.name={loss} and backbone.head={head}: oc_softmax and one_class go together; set both or "
                "neither"
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
                raise ValueError(f"tune.space: {searched.knob} is not a knob{did_you_mean(searched.knob, known)}")
        return self
