import shutil
import subprocess
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
import yaml

from adaspec.errors import InputError
from adaspec.experiments.ablation import TRIALS, Trial, plan, report
from adaspec.runtime.files import write_csv, write_json

ROOT = Path(__file__).parents[1]
GIT = ("git", "-c", "user.name=Test", "-c", "user.email=test@example.org")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A committed repository with a recipe for tones, as current directory."""
    (tmp_path / "recipes").mkdir()
    shutil.copyfile(ROOT / "params.yaml", tmp_path / "params.yaml")
    (tmp_path / "recipes" / "tones.yaml").write_text("# Tones\ntrain: {epochs: 3}\n", encoding="utf-8")
    (tmp_path / "code.py").write_text("print(1)\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for command in (("init", "--quiet"), ("add", "--all"), ("commit", "--quiet", "--message", "Start")):
        subprocess.run([*GIT, *command], check=True)
    return tmp_path


def names(*settings: str) -> list[str]:
    return [trial.experiment for trial in plan("tones", settings=settings)]


def test_plan_varies_what_is_learned_and_nothing_else(repository: Path) -> None:
    trials = {trial.name: trial.knobs for trial in plan("tones")}
    keys = ("frontend.learn_window", "frontend.learn_kernels", "frontend.n_transforms")
    assert {name: tuple(knobs[key] for key in keys) for name, knobs in trials.items()} == TRIALS
    assert len(set(TRIALS.values())) == 7
    varied = {key for knobs in trials.values() for key in knobs if knobs[key] != trials["basic"].get(key, "unset")}
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    for key in varied - set(keys):  # taken back to what params.yaml says anyway
        section, knob = key.split(".")
        assert all(knobs.get(key, params[section][knob]) == params[section][knob] for knobs in trials.values())


def test_plan_asks_of_learned_kernels_only_where_they_are_learned(repository: Path) -> None:
    asked = ("frontend.kernels.constraint=orthonormal", "frontend.window_symmetric=true", "train.frontend.l2_sp=1.0")
    for trial in plan("tones", settings=asked):
        learn_window, learn_kernels, _ = TRIALS[trial.name]
        assert (trial.knobs["frontend.kernels.constraint"] == "orthonormal") == learn_kernels
        assert trial.knobs["frontend.window_symmetric"] == learn_window
        assert (trial.knobs["train.frontend.l2_sp"] == 1.0) == (learn_window or learn_kernels)


def test_plan_names_change_with_knobs_and_code_only(repository: Path) -> None:
    first = names()
    assert len(set(first)) == 7
    assert first == names() == names("engine.parallel_folds=1")  # which decides time alone
    assert not set(first) & set(names("seed=1"))
    (repository / "code.py").write_text("print(2)\n", encoding="utf-8")
    edited = names()
    assert not set(first) & set(edited)
    subprocess.run([*GIT, "commit", "--quiet", "--all", "--message", "Edit"], check=True)
    assert not (set(first) | set(edited)) & set(names())


def test_plan_refuses_a_recipe_that_cannot_learn(repository: Path) -> None:
    (repository / "recipes" / "fixed.yaml").write_text("# Fixed\nfrontend: {name: fbank}\n", encoding="utf-8")
    with pytest.raises(InputError, match="name=fbank is computed once and cannot learn"):
        plan("fixed")


@pytest.fixture
def done(tmp_path: Path) -> list[Trial]:
    """Metrics of three trials: the second right about eight more clips of forty, the third with three windows."""
    rng = np.random.default_rng(0)
    trials = []
    for index, (name, n_right) in enumerate((("basic", 28), ("window", 36), ("three-both", 28))):
        folder = tmp_path / f"run-{name}"
        true = np.arange(40) % 4
        predicted = np.where(np.arange(40) < n_right, true, (true + 1) % 4)
        labels = np.array(["blues", "jazz", "pop", "rock"])
        table: dict[str, Any] = {"clip_id": [f"clip-{clip:02}" for clip in range(40)]}
        table |= {"fold": np.arange(40) // 8 + 1, "label": labels[true], "predicted": labels[predicted]}
        table |= {f"score_{label}": (predicted == number).astype(float) for number, label in enumerate(labels)}
        write_csv(folder / "predictions.csv", pd.DataFrame(table))
        epochs = pd.DataFrame({"epoch": [1, 2, 3], "train_loss": rng.random(3), "validation_accuracy": rng.random(3)})
        write_csv(folder / "curves.csv", epochs)
        window = np.hanning(32)
        columns: dict[str, Any] = {"time_ms": np.arange(32.0) if index else [], "start": [], "learned": []}
        for transform in range((0, 1, 3)[index]):
            suffix = f"_{transform + 1}" if transform else ""
            columns |= {f"start{suffix}": window, f"learned{suffix}": window + 0.1 * transform}
        write_csv(folder / "frontend_window.csv", pd.DataFrame(columns))
        numbers: dict[str, float] = {}
        if name == "window":
            numbers = {"window_change": 0.042, "center_drift_median_hz": 1.5}
        if name == "three-both":
            numbers = {f"transform-{n}/kernel_change": n / 10 for n in (1, 2, 3)}
        write_json(folder / "frontend.json", numbers)
        trials.append(Trial(name, str(folder), {}))
    return trials


def test_report_compares_with_the_first_trial_and_tells_the_drift(done: list[Trial], tmp_path: Path) -> None:
    told = report(done, tmp_path / "out").splitlines()
    basic, window, three = (next(line for line in told if line.startswith(trial.name)) for trial in done)
    assert "0.7000" in basic
    assert "0.9000" in window
    assert "+0.2000" in window
    assert "4.2 %" in window
    assert "1.5 Hz" in window
    assert "10 to 30 %" in three
    table = pd.read_csv(tmp_path / "out" / "table.csv")
    assert list(table["name"]) == [trial.name for trial in done]
    assert list(table["accuracy"]) == [0.7, 0.9, 0.7]
    assert table["difference_low"][1] > 0
    markdown = (tmp_path / "out" / "table.md").read_text().splitlines()
    assert {line.count("|") for line in markdown if line.startswith("|")} == {12}


def test_report_draws_every_trial(done: list[Trial], tmp_path: Path) -> None:
    report(done, tmp_path / "out")
    for name in ("curves", "confusion", "windows"):
        picture = matplotlib.image.imread(tmp_path / "out" / f"{name}.png")
        assert picture.shape[0] > 200
        assert picture[..., :3].std() > 0.02  # not blank
    first = (tmp_path / "out" / "confusion.png").read_bytes()
    report(done[:2], tmp_path / "out")
    assert (tmp_path / "out" / "confusion.png").read_bytes() != first


def test_report_leaves_nothing_where_a_trial_is_missing(done: list[Trial], tmp_path: Path) -> None:
    (Path(done[2].experiment) / "curves.csv").unlink()
    with pytest.raises(InputError, match=r"curves\.csv"):
        report(done, tmp_path / "out")
    assert not (tmp_path / "out").exists()
