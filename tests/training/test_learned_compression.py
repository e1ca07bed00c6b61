"""Training of the compression alone, on spectrograms that were computed once."""

from pathlib import Path
from typing import Any

import pytest
import torch
from toydata import Fit, Toy, changed, differing

from adaspec.features.representation import LogSpectrogram, feature_contract
from adaspec.features.store import FeatureStore
from adaspec.frontends.compression import PCEN
from adaspec.models.classifier import AudioClassifier
from adaspec.models.saved import load
from adaspec.training.fit import fit_fold
from adaspec.training.spectrograms import cache_spectrograms

QUIET = {"augment.gain_db": 0.0, "augment.time_shift": 0.0, "augment.mix.name": "none"}
LEARNED: dict[str, Any] = QUIET | {"frontend.compression.name": "pcen", "frontend.learn_compression": True}
CACHED = LEARNED | {"frontend.cached": True}


@pytest.mark.parametrize("shared", [False, True])
def test_compression_is_learned_on_cached_spectrograms(toy: Toy, tmp_path: Path, shared: bool) -> None:
    config = changed(toy.config, **CACHED, **{"train.epochs": 4, "frontend.compression.pcen.shared": shared})
    [store] = cache_spectrograms(config, toy.labels, [1], toy.features, tmp_path).values()
    task = (1, toy.rows(), toy.labels, config, toy.features, tmp_path, tmp_path / "finished")
    fit_fold(*task, spectrograms=store)
    model = load(tmp_path / "finished")
    compression = model.frontend.compression
    assert isinstance(compression, PCEN)
    for name, parameter in compression.named_parameters():
        assert parameter.shape == (1, 1 if shared else 16)
        assert parameter.all(), name
        assert parameter.abs().max() < 0.5, name  # in steps of a hundredth
    fresh = AudioClassifier(config, toy.labels)
    assert torch.equal(model.frontend.window.values, fresh.frontend.window.values)


def test_compression_learns_on_cached_spectrograms_as_on_waveforms(fit: Fit, toy: Toy) -> None:
    easy = {"train.epochs": 30, "train.loss.label_smoothing": 0.0}
    for on in (True, False):
        _, history = fit(changed(toy.config, **(LEARNED | easy | {"frontend.cached": on})))
        assert history[-1]["train_loss"] < 0.7 * history[0]["train_loss"]


def test_compression_of_a_cached_spectrogram_is_that_of_the_waveform(toy: Toy) -> None:
    """Within what 16 bits of the logarithm hold: 0.07 dB, 1.6 % of a power, of which the root is taken."""
    torch.manual_seed(0)
    config = changed(toy.config, **CACHED)
    model = AudioClassifier(config, toy.labels).eval()
    store = FeatureStore(toy.features, feature_contract(config))
    stored = store.tensor(toy.rows()["clip_id"].iloc[0])
    representation = LogSpectrogram(model.frontend)
    with torch.no_grad():
        exact = model.frontend(stored[None].float() / 32768)
        cached = model.frontend.compress(representation.decode(representation.encode(stored)[None]))
    torch.testing.assert_close(cached, exact, rtol=0.03, atol=1e-3)
    assert not torch.equal(cached, exact)


def test_cached_spectrograms_do_not_depend_on_the_compression(toy: Toy, tmp_path: Path) -> None:
    for name, knobs in (("pcen", CACHED), ("log10", QUIET | {"frontend.cached": True})):
        cache_spectrograms(changed(toy.config, **knobs), toy.labels, [1], toy.features, tmp_path / name)
    assert not differing(tmp_path / "pcen", tmp_path / "log10")
