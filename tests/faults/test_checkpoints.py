"""Checkpoints and finished folds that were damaged or moved: never a traceback, never other bytes."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from toydata import Toy, changed, differing

from adaspec.tracking import TRACKERS
from adaspec.training.crossvalidate import cross_validate
from adaspec.training.fit import fit_fold


@pytest.fixture(scope="module")
def begun(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> tuple[tuple, Path, Path]:
    """A fold whose model could not be saved, so that its checkpoints are left; and one that was trained whole."""
    folder = tmp_path_factory.mktemp("begun")
    config = changed(toy.config, **{"train.epochs": 2, "train.early_stopping_patience": 2})
    task = (1, toy.rows(), toy.labels, config, toy.features)
    (folder / "file").touch()
    with pytest.raises(OSError, match="file"):
        fit_fold(*task, folder / "fold", folder / "file" / "finished")
    fit_fold(*task, folder / "whole", folder / "whole" / "finished")
    return task, folder / "fold", folder / "whole" / "finished"


def flip(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "truncated": lambda content: content[: len(content) // 2],
    "flipped": flip,
    "empty": lambda content: b"",
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["last.ckpt", "best.ckpt"])
def test_a_damaged_checkpoint_costs_its_fold(begun, name: str, damage: str, tmp_path: Path, capsys) -> None:
    task, left, whole = begun
    folder = tmp_path / "fold"
    shutil.copytree(left, folder)
    (folder / name).write_bytes(DAMAGES[damage]((folder / name).read_bytes()))
    fit_fold(*task, folder, folder / "finished")
    assert differing(folder / "finished", whole) == []
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"warning: {folder / name} is damaged (")
    assert line.endswith("the fold is trained from its beginning")


def test_checkpoints_that_were_moved_are_gone_on_with(begun, tmp_path: Path, capsys) -> None:
    task, left, whole = begun
    shutil.copytree(left, tmp_path / "moved")
    fit_fold(*task, tmp_path / "moved", tmp_path / "moved" / "finished")
    assert differing(tmp_path / "moved" / "finished", whole) == []
    assert capsys.readouterr().err == ""


def test_a_damaged_finished_fold_is_trained_again(toy: Toy, tmp_path: Path, capsys) -> None:
    config = changed(toy.config, **{"train.epochs": 1})
    task = (toy.clips, toy.folds, config, toy.features)
    run = TRACKERS["none"].run
    cross_validate(*task, tmp_path / "models", tmp_path, run)
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        cross_validate(*task, tmp_path / "file" / "models", tmp_path, run)
    [weights] = tmp_path.glob(".adaspec/checkpoints/*/fold-1/finished/model.safetensors")
    weights.write_bytes(flip(weights.read_bytes()))
    capsys.readouterr()
    cross_validate(*task, tmp_path / "again", tmp_path, run)
    assert f"warning: {weights.parent} is damaged; fold 1 is trained again\n" in capsys.readouterr().err
    assert differing(tmp_path / "models", tmp_path / "again") == []
