from pathlib import Path

import pytest
from toydata import Toy, make_toy


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Toy, Path]:
    """A data set with windows much shorter than its clips, and the models of its two folds."""
    from adaspec.training.fit import fit_fold

    folder = tmp_path_factory.mktemp("trained")
    knobs = {"features.window.length_s": 0.04, "train.epochs": 4, "train.optimizer.learning_rate": 0.005}
    toy = make_toy(folder, {"high": 8, "low": 10, "middle": 8}, **knobs)
    for fold in (1, 2):
        checkpoints, finished = folder / f"checkpoints-{fold}", folder / "models" / f"fold-{fold}"
        fit_fold(fold, toy.rows(fold), toy.labels, toy.config, toy.features, checkpoints, finished)
    return toy, folder / "models"
