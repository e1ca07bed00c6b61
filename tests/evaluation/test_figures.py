from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pictures import size_of

from adaspec.evaluation.figures import draw_confusion, draw_curves


def confusion(n_classes: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 9, (n_classes, n_classes)) + 40 * np.eye(n_classes, dtype=int)


def histories(n_folds: int = 2, n_epochs: int = 5, validation: bool = True) -> dict[int, pd.DataFrame]:
    epoch = np.arange(1, n_epochs + 1)
    columns = {"epoch": epoch, "train_loss": 2 / epoch, "learning_rate": 0.1 / epoch}
    if validation:
        columns |= {"validation_loss": 3 / epoch, "validation_accuracy": 1 - 1 / epoch}
    return {fold: pd.DataFrame(columns) for fold in range(1, n_folds + 1)}


@pytest.mark.parametrize("n_classes", [2, 20, 21, 50])
def test_draw_confusion_is_a_picture(tmp_path: Path, n_classes: int) -> None:
    draw_confusion(confusion(n_classes), [f"class {k}" for k in range(n_classes)], tmp_path / "c.svg")
    height, width = size_of(tmp_path / "c.svg")
    assert 300 < height < 2000
    assert 300 < width < 2000


def test_draw_confusion_of_equal_input_is_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        draw_confusion(confusion(3), ["x", "y", "z"], tmp_path / f"{name}.svg")
    other = confusion(3)
    other[0, 1] += 1
    draw_confusion(other, ["x", "y", "z"], tmp_path / "c.svg")
    first, second, third = ((tmp_path / f"{name}.svg").read_bytes() for name in ("a", "b", "c"))
    assert first == second
    assert first != third


def test_draw_confusion_takes_a_class_without_clips(tmp_path: Path) -> None:
    draw_confusion(np.array([[3, 1], [0, 0]]), ["x", "y"], tmp_path / "c.svg")
    assert size_of(tmp_path / "c.svg")[0] > 300


@pytest.mark.parametrize("label", ["a_b^c", "100 %", "$x_$", "$5 and $", "\\frac", "{", "_under", "a long label " * 3])
def test_draw_confusion_takes_labels_as_they_are(tmp_path: Path, label: str) -> None:
    draw_confusion(confusion(2), [label, "other"], tmp_path / "c.svg")
    assert size_of(tmp_path / "c.svg")[0] > 300


@pytest.mark.parametrize(("n_folds", "n_epochs"), [(1, 1), (1, 50), (10, 1), (10, 50)])
def test_draw_curves_is_a_picture(tmp_path: Path, n_folds: int, n_epochs: int) -> None:
    draw_curves(histories(n_folds, n_epochs), tmp_path / "c.svg")
    height, width = size_of(tmp_path / "c.svg")
    assert width > 2 * height  # three panels


def test_draw_curves_of_equal_input_is_equal_bytes(tmp_path: Path) -> None:
    draw_curves(histories(), tmp_path / "a.svg")
    draw_curves(histories(), tmp_path / "b.svg")
    draw_curves(histories(n_epochs=6), tmp_path / "c.svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert (tmp_path / "a.svg").read_bytes() != (tmp_path / "c.svg").read_bytes()


def test_draw_curves_joins_the_epochs_that_were_validated(tmp_path: Path) -> None:
    n_lines = {}
    for name, every in {"some": 3, "none": 100}.items():
        found = histories(n_epochs=6)
        for rows in found.values():
            rows.loc[rows["epoch"] % every != 0, ["validation_loss", "validation_accuracy"]] = np.nan
        draw_curves(found, tmp_path / f"{name}.svg")
        n_lines[name] = (tmp_path / f"{name}.svg").read_text().count("\nL ")
    assert n_lines["some"] > n_lines["none"]


def test_draw_curves_without_validation_has_one_panel(tmp_path: Path) -> None:
    draw_curves(histories(validation=False), tmp_path / "one.svg")
    draw_curves(histories(), tmp_path / "three.svg")
    assert size_of(tmp_path / "three.svg")[1] > 2.5 * size_of(tmp_path / "one.svg")[1]


def test_draw_curves_takes_folds_that_stopped_at_different_epochs(tmp_path: Path) -> None:
    draw_curves({1: histories(1, 3)[1], 2: histories(1, 9)[1]}, tmp_path / "c.svg")
    assert size_of(tmp_path / "c.svg")[0] > 300
