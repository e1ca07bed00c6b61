"""A disk that is full or read-only ends a command in one line; once it is mended, the same command ends as ever."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure
from toydata import Toy, differing

from adaspec.config import SyntheticConfig
from adaspec.datasets.synthetic import synthesize
from adaspec.features.extract import extract
from adaspec.models.classifier import AudioClassifier
from adaspec.models.saved import save
from adaspec.runtime.figures import save_figure
from adaspec.runtime.files import complete_folder, write_csv, write_json

Refusal = Callable[[Callable[[], object]], str]
KIB = 1024


def recordings(toy: Toy, place: Path) -> None:
    synthesize(SyntheticConfig(clips_per_class=10, duration_s=0.5, seed=1), place)


def features(toy: Toy, place: Path) -> None:
    extract(toy.clips, toy.config, place)


def table(toy: Toy, place: Path) -> None:
    write_csv(place, pd.DataFrame({"clip_id": [f"clip-{number}" for number in range(5000)]}))


def summary(toy: Toy, place: Path) -> None:
    write_json(place, {f"score-{number}": 0.5 for number in range(5000)})


def figures(toy: Toy, place: Path) -> None:
    with complete_folder(place) as partial:
        figure = Figure()
        figure.subplots().plot(np.random.default_rng(0).standard_normal(3000))
        save_figure(figure, partial / "curve.svg")


def model(toy: Toy, place: Path) -> None:
    torch.manual_seed(1)
    with complete_folder(place) as partial:
        save(AudioClassifier(toy.config, toy.labels), partial)


def training(toy: Toy, place: Path) -> None:
    from adaspec.training.fit import fit_fold

    fit_fold(1, toy.rows(), toy.labels, toy.config, toy.features, place, place / "finished")


WRITERS = (recordings, features, table, summary, figures, model, training)


@pytest.mark.parametrize("fault", ["full", "read-only"])
@pytest.mark.parametrize("write", WRITERS)
def test_a_disk_that_takes_nothing_is_told_and_costs_nothing(
    write: Callable[[Toy, Path], None], fault: str, toy: Toy, disk: Path, refusal: Refusal, tmp_path: Path
) -> None:
    filler = disk / "filler"
    if fault == "full":
        filler.write_bytes(bytes(32 * KIB * KIB - 12 * KIB))  # what is left holds folders
    else:
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    line = refusal(lambda: write(toy, disk / "output"))
    assert line.startswith(f"error: {disk / 'output'}")
    reason = (
        "No space left on device; free some space" if fault == "full" else "Read-only file system; make it writable"
    )
    assert f": {reason}" in line
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    filler.unlink(missing_ok=True)
    assert not (disk / "output").is_file()

    write(toy, disk / "output")
    (tmp_path / "undisturbed").mkdir()
    write(toy, tmp_path / "undisturbed" / "output")
    assert differing(disk, tmp_path / "undisturbed") == []
    assert not list(disk.rglob("*.partial"))


def test_links_in_a_circle_and_names_too_long_are_told(tmp_path: Path, refusal: Refusal, toy: Toy) -> None:
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    line = refusal(lambda: table(toy, tmp_path / "circle" / "clips.csv"))
    assert "circle" in line
    assert "symbolic links; remove the link" in line or "File exists" in line
    line = refusal(lambda: table(toy, tmp_path / ("n" * 300)))
    assert "File name too long; shorten the name" in line
