from pathlib import Path

import pytest
from toydata import Fit, Toy, make_toy

from adaspec.config import Config
from adaspec.models.history import read_history


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    return make_toy(tmp_path_factory.mktemp("toy"), {"high": 8, "low": 8, "middle": 8})


@pytest.fixture(scope="session")
def toy_fbank(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    knobs = {"frontend.name": "fbank", "frontend.fixed.fbank.n_mels": 16}
    return make_toy(tmp_path_factory.mktemp("toy-fbank"), {"high": 8, "low": 8}, **knobs)


@pytest.fixture(scope="session")
def toy_speech(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    """Few clips of the label bonafide among many of spoof."""
    knobs = {"split.balance": "weighted_sampler", "augment.mix.name": "none"}
    return make_toy(tmp_path_factory.mktemp("toy-speech"), {"bonafide": 6, "spoof": 14}, **knobs)


@pytest.fixture
def fit(toy: Toy, tmp_path: Path) -> Fit:
    """Train fold 1 of the toy data set; returns the bytes of the weights and the history."""
    from adaspec.training.fit import fit_fold
    from adaspec.training.spectrograms import cache_spectrograms

    n_fitted = 0

    def fitted(config: Config = toy.config, data: Toy = toy) -> tuple[bytes, list[dict[str, float]]]:
        nonlocal n_fitted
        n_fitted += 1
        folder = tmp_path / f"fit-{n_fitted}"
        stores = cache_spectrograms(config, data.labels, [1], data.features, folder)
        task = (1, data.rows(), data.labels, config, data.features, folder, folder / "finished")
        fit_fold(*task, spectrograms=stores.get(1))
        return (folder / "finished" / "model.safetensors").read_bytes(), read_history(folder / "finished")

    return fitted
