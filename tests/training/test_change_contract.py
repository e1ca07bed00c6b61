"""What every change to a batch keeps: nothing where it is off, shape, finite numbers, and its seed.

Which knob switches a change on is found by trying: a change is tested by being listed.
"""

import itertools
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from knobs import augmentations, other_values
from torch import Tensor
from toydata import changed, small_config

from adaspec.config import AugmentConfig, MixConfig
from adaspec.frontends import FRONTENDS, build_frontend
from adaspec.training.augment import augment_compressed, augment_inputs, augment_spectrograms, longest_window, sound_of
from adaspec.training.augment.changes import CHANGES
from adaspec.training.augment.mixing import MIXES
from adaspec.training.augment.sounds import SpectrogramSound
from adaspec.training.augment.spectrograms import CHANGES_OF_COMPRESSED, CHANGES_OF_SPECTROGRAMS

RATE, N_SAMPLES = 8000, 4000
OFF = small_config(Path("raw"), **{f"augment.{knob}": value for knob, value in AugmentConfig.off()})
# Front ends whose spectrograms are changed: each as params.yaml has it, magnitudes, and pairs of powers.
KINDS = {name: small_config(Path("raw"), **{"frontend.name": name}).frontend for name in FRONTENDS}
KINDS["magnitude"] = small_config(Path("raw"), **{"frontend.power": 1}).frontend
KINDS["phase"] = small_config(Path("raw"), **{"frontend.phase": "group_delay"}).frontend
BUILT = {kind: build_frontend(config, RATE) for kind, config in KINDS.items()}
REGISTRIES: dict[str, dict[str, Any]] = {
    "inputs": CHANGES,
    "spectrograms": CHANGES_OF_SPECTROGRAMS,
    "compressed": CHANGES_OF_COMPRESSED,
}


def switched_on(knob: str) -> AugmentConfig:
    """With this change alone."""
    name = f"augment.{knob}"
    return changed(OFF, **{name: other_values(OFF, name)[-1 if knob == "mix.name" else 0]}).augment


# All that needs no model: see test_adversarial.
ON = {knob: switched_on(knob) for knob in augmentations() if knob != "adversarial_db"}
OF_CHANGE = {
    (place, name): [knob for knob, config in ON.items() if is_on(config)]
    for place, registry in REGISTRIES.items()
    for name, (is_on, _) in registry.items()
}
CASES = [
    (kind, knob)
    for kind, knob in itertools.product(("waveform", *KINDS), ON)
    if kind == "waveform" or knob not in AugmentConfig.of_waveforms
]
EVERY = pytest.mark.parametrize(("kind", "knob"), CASES)


def noise(n_clips: int, n_samples: int = N_SAMPLES) -> Tensor:
    return 0.1 * torch.randn(n_clips, n_samples, generator=torch.Generator().manual_seed(1))


def change(kind: str, waveforms: Tensor, config: AugmentConfig, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Compressed spectrograms of a batch as training makes them, and its targets."""
    torch.manual_seed(seed)
    frontend = BUILT["stft" if kind == "waveform" else kind]
    inputs = waveforms if kind == "waveform" else frontend.spectrogram(waveforms)
    sound = sound_of("waveform" if kind == "waveform" else "spectrogram", frontend)
    changed_inputs, targets = augment_inputs(inputs, torch.eye(len(inputs)), sound, config)
    assert len(changed_inputs) == len(inputs)
    assert changed_inputs.shape[1:-1] == inputs.shape[1:-1]
    if not config.speed:
        assert changed_inputs.shape == inputs.shape
    spectrogram = frontend.spectrogram(changed_inputs) if kind == "waveform" else changed_inputs
    n_frames = frontend.n_frames(N_SAMPLES)
    spectrogram = augment_spectrograms(spectrogram, n_frames, SpectrogramSound(frontend), config)
    assert (spectrogram >= 0).all()
    compressed = augment_compressed(frontend.compress(spectrogram), config)
    assert compressed.shape == (len(inputs), frontend.n_channels, frontend.n_features, n_frames)
    return compressed, targets


@pytest.mark.parametrize("case", OF_CHANGE, ids="-".join)
def test_every_change_has_a_knob_and_is_off_without_it(case: tuple[str, str]) -> None:
    place, name = case
    assert OF_CHANGE[case]
    assert not REGISTRIES[place][name][0](OFF.augment)


def test_every_knob_switches_a_change_on() -> None:
    reached = {knob for knobs in OF_CHANGE.values() for knob in knobs}
    assert reached | {"mix.name"} == set(ON)


def test_mixes_are_those_of_the_configuration() -> None:
    assert ["none", *MIXES] == list(get_args(MixConfig.model_fields["name"].annotation))


@pytest.mark.parametrize("kind", ["waveform", *KINDS])
def test_batch_stays_as_it_is_where_nothing_is_on(kind: str) -> None:
    frontend = BUILT["stft" if kind == "waveform" else kind]
    found, targets = change(kind, noise(5), OFF.augment)
    assert torch.equal(found, frontend(noise(5)))
    assert torch.equal(targets, torch.eye(5))


@EVERY
def test_change_is_decided_by_the_seed(kind: str, knob: str) -> None:
    waveforms = noise(8, longest_window(N_SAMPLES, ON[knob]))
    first, again, other = (change(kind, waveforms, ON[knob], seed)[0] for seed in (3, 3, 4))
    assert torch.equal(first, again)
    if knob != "polarity":  # which is not seen in a spectrogram
        assert not torch.equal(first, other)


@EVERY
def test_change_is_finite_on_silence_and_on_a_batch_of_one(kind: str, knob: str) -> None:
    n_samples = longest_window(N_SAMPLES, ON[knob])
    silence = torch.zeros(2, n_samples)
    for waveforms in (silence, silence[:1], noise(1, n_samples), torch.cat([noise(2, n_samples), silence])):
        found, targets = change(kind, waveforms, ON[knob])
        assert found.isfinite().all()
        torch.testing.assert_close(targets.sum(dim=1), torch.ones(len(waveforms)))


@pytest.mark.parametrize("name", MIXES)
@pytest.mark.parametrize("kind", ["waveform", *KINDS])
def test_mix_changes_targets_with_the_sounds(kind: str, name: str) -> None:
    config = changed(OFF, **{"augment.mix.name": name, "augment.mix.alpha": 1.0}).augment
    found, targets = change(kind, noise(8), config)
    alone = targets.diagonal() == 1
    assert not alone.all()
    assert torch.equal(alone, (found == change(kind, noise(8), OFF.augment)[0]).flatten(1).all(dim=1))
