import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pictures import size_of
from toydata import changed, small_config

from adaspec.config import flatten, knobs
from adaspec.errors import InputError
from adaspec.experiments import ablation
from adaspec.experiments.ablation import VARIANTS, Variant, plan, report, run_missing
from adaspec.runtime.files import write_csv, write_json

ROOT = Path(__file__).parents[2]


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a recipe for tones and its own copy of the code, as current directory."""
    folder = tmp_path / "repository"
    (folder / "recipes").mkdir(parents=True)
    shutil.copyfile(ROOT / "params.yaml", folder / "params.yaml")
    for name in ("src", "stages"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "recipes" / "tones.yaml").write_text("# Tones\ntrain: {epochs: 3}\n", encoding="utf-8")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(knobs, "__file__", str(folder / "src" / "adaspec" / "config" / "knobs.py"))
    return folder


def names(*settings: str) -> list[str]:
    return [variant.experiment for variant in plan("tones", settings=settings)]


def test_plan_varies_what_is_learned_and_nothing_else(repository: Path) -> None:
    switches = ("frontend.learn_window", "frontend.learn_kernels", "frontend.n_transforms")
    variants = {variant.name: flatten(variant.config) for variant in plan("tones")}
    assert {name: tuple(flat[key] for key in switches) for name, flat in variants.items()} == VARIANTS
    assert len(set(VARIANTS.values())) == 7
    others = [{key: value for key, value in flat.items() if key not in switches} for flat in variants.values()]
    assert all(other == others[0] for other in others)


def test_plan_asks_the_same_of_every_variant(repository: Path) -> None:
    """What is asked of learned kernels is unread where they are fixed."""
    asked = ("frontend.kernels.constraint=orthonormal", "frontend.window_symmetric=true", "train.frontend.l2_sp=0.5")
    for variant in plan("tones", settings=asked):
        assert variant.knobs["frontend.kernels.constraint"] == "orthonormal"
        assert variant.knobs["frontend.window_symmetric"] is True
        assert variant.config.train.frontend.l2_sp == 0.5


def test_plan_names_change_with_knobs_that_decide_a_result(repository: Path) -> None:
    first = names()
    assert len(set(first)) == 7
    assert all(name.startswith(f"tones-{variant}-") for name, variant in zip(first, VARIANTS, strict=True))
    assert first == names("engine.parallel_folds=1", "tune.pruner=none")
    assert not set(first) & set(names("seed=1"))
    assert not set(first) & set(names("evaluate.vote=majority"))


def test_plan_names_change_with_code_that_decides_a_result(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    variants = plan("tones")
    monkeypatch.setattr(ablation, "read_recipe", lambda *_: (variants[0].knobs, variants[0].config))  # seconds each
    seen = {names()[0]}
    for name in ("cli.py", "config/schema.py", "experiments/compare.py", "runtime/console.py", "tracking/none.py"):
        append(repository / "src" / "adaspec" / name)
    append(repository / "stages" / "validate.py")
    (repository / "README.md").write_text("changed")
    assert {names()[0]} == seen
    for name in ("training/fit.py", "frontends/fbank.py", "evaluation/evaluate.py", "datasets/folder.py"):
        append(repository / "src" / "adaspec" / name)
        seen.add(names()[0])
    append(repository / "stages" / "train.py")
    seen.add(names()[0])
    assert len(seen) == 6


def append(path: Path) -> None:
    path.write_text(path.read_text(encoding="utf-8") + "# changed\n", encoding="utf-8")


def test_plan_refuses_a_recipe_that_cannot_learn(repository: Path) -> None:
    (repository / "recipes" / "fixed.yaml").write_text("# Fixed\nfrontend: {name: fbank}\n", encoding="utf-8")
    with pytest.raises(InputError, match="name=fbank is computed once and cannot learn"):
        plan("fixed")


class Queue:
    """DVC's queue, in which the experiments in `broken` fail."""

    def __init__(self, finished: set[str], broken: set[str]) -> None:
        self.finished, self.broken, self.queued, self.calls = finished, broken, {"left": []}, []

    def dequeue(self, experiments: set[str]) -> None:
        self.calls.append(("dequeue", sorted(experiments)))

    def queue_experiment(self, name: str, options: list[str]) -> None:
        self.queued[name] = options

    def run_queue(self, jobs: int) -> None:
        self.calls.append(("run", jobs))
        self.finished |= self.queued.keys() - self.broken

    def finished_experiments(self) -> set[str]:
        return set(self.finished)


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Queue:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    queue = Queue({"x-basic"}, set())
    for name in ("dequeue", "queue_experiment", "run_queue", "finished_experiments"):
        monkeypatch.setattr(ablation, name, getattr(queue, name))
    return queue


def variants_of(*names: str) -> list[Variant]:
    return [Variant(name, f"x-{name}", {"seed": 1}, small_config(Path("raw"))) for name in names]


def test_run_queues_what_is_missing_and_takes_back_what_was_left(queue: Queue) -> None:
    run_missing(variants_of("basic", "window", "both"), 2)
    assert queue.calls == [("dequeue", ["x-both", "x-window"]), ("run", 2)]
    assert queue.queued == {"left": [], "x-window": ["-S", "seed=1"], "x-both": ["-S", "seed=1"]}
    run_missing(variants_of("basic", "window", "both"), 2)
    assert len(queue.calls) == 2  # nothing is missing


def test_run_names_the_variants_that_failed(queue: Queue) -> None:
    queue.broken = {"x-both"}
    with pytest.raises(InputError) as caught:
        run_missing(variants_of("basic", "window", "both"), 1)
    told = "1 of 3 variants have not been finished: x-both; 'dvc queue logs NAME' tells why, and the same command goes"
    assert str(caught.value).startswith(told)


@pytest.fixture
def done(tmp_path: Path) -> list[Variant]:
    """Metrics of three variants: the second right about eight more clips of forty, the third with three windows."""
    rng = np.random.default_rng(0)
    variants = []
    for name, n_right in (("basic", 28), ("window", 36), ("three-both", 28)):
        folder = tmp_path / f"run-{name}"
        true = np.arange(40) % 4
        predicted = np.where(np.arange(40) < n_right, true, (true + 1) % 4)
        labels = np.array(["blues", "jazz", "pop", "rock"])
        table: dict[str, Any] = {"clip_id": [f"clip-{clip:02}" for clip in range(40)]}
        table |= {
            "fold": np.arange(40) // 8 + 1,
            "group": np.arange(40),
            "label": labels[true],
            "predicted": labels[predicted],
        }
        table |= {f"score_{label}": (predicted == number).astype(float) for number, label in enumerate(labels)}
        write_csv(folder / "predictions.csv", pd.DataFrame(table))
        epochs = pd.DataFrame({"epoch": [1, 2, 3], "train_loss": rng.random(3), "validation_accuracy": rng.random(3)})
        write_csv(folder / "curves.csv", epochs)
        learn_window, learn_kernels, n_transforms = VARIANTS[name]
        if learn_window:
            window = np.hanning(32)
            columns: dict[str, Any] = {"time_ms": np.arange(32.0)}
            for transform in range(n_transforms):
                suffix = f"_{transform + 1}" if transform else ""
                columns |= {f"start{suffix}": window, f"learned{suffix}": window + 0.1 * transform}
            write_csv(folder / "frontend_window.csv", pd.DataFrame(columns))
            numbers = {"window_change": 0.042, "center_drift_median_hz": 1.5}
            if n_transforms > 1:
                numbers = {f"transform-{n}/kernel_change": n / 10 for n in (1, 2, 3)}
            write_json(folder / "frontend.json", numbers)
        learning = {"frontend.learn_window": learn_window, "frontend.learn_kernels": learn_kernels}
        config = changed(small_config(tmp_path), **learning, **{"frontend.n_transforms": n_transforms})
        variants.append(Variant(name, str(folder), {}, config))
    return variants


def test_report_compares_with_the_first_variant_and_tells_the_drift(done: list[Variant], tmp_path: Path) -> None:
    told = report(done, tmp_path / "out").splitlines()
    basic, window, three = (next(line for line in told if line.startswith(each.name)) for each in done)
    assert "0.7000" in basic
    assert "0.9000" in window
    assert "+0.2000" in window
    assert "4.2 %" in window
    assert "1.5 Hz" in window
    assert "10 to 30 %" in three
    table = pd.read_csv(tmp_path / "out" / "table.csv")
    assert list(table["name"]) == [variant.name for variant in done]
    assert list(table["accuracy"]) == [0.7, 0.9, 0.7]
    assert table["difference"][1] == pytest.approx(0.2)
    assert table["difference_low"][1] < 0  # one run each: by the folds, and all that it is better at lies in one
    assert table["verdict"][1] == "not enough data"
    markdown = (tmp_path / "out" / "table.md").read_text().splitlines()
    assert {line.count("|") for line in markdown[:5]} == {13}  # a column each, and what was learned


def test_report_draws_every_variant(done: list[Variant], tmp_path: Path) -> None:
    report(done, tmp_path / "out")
    for name in ("curves", "confusion", "windows"):
        assert size_of(tmp_path / "out" / f"{name}.svg")[0] > 200
    first = (tmp_path / "out" / "confusion.svg").read_bytes()
    report(done[:2], tmp_path / "out")
    assert (tmp_path / "out" / "confusion.svg").read_bytes() != first


def test_report_of_kernels_alone_draws_no_windows(done: list[Variant], tmp_path: Path) -> None:
    fixed = Path(done[1].experiment)
    (fixed / "frontend_window.csv").unlink()
    switches = {"frontend.learn_window": False, "frontend.learn_kernels": True}
    kernels = Variant("kernels", done[1].experiment, {}, changed(done[1].config, **switches))
    report([done[0], kernels], tmp_path / "out")
    found = {path.name for path in (tmp_path / "out").iterdir()}
    assert found == {"table.md", "table.csv", "curves.svg", "confusion.svg"}


@pytest.mark.parametrize("name", ["curves.csv", "frontend.json", "frontend_window.csv"])
def test_report_leaves_nothing_where_a_file_is_missing(done: list[Variant], tmp_path: Path, name: str) -> None:
    (Path(done[2].experiment) / name).unlink()
    with pytest.raises(InputError, match=name.replace(".", r"\.")):
        report(done, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_command_plans_runs_and_reports(repository: Path, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    from typer.testing import CliRunner

    from adaspec.cli import app

    reported = []
    monkeypatch.setattr(ablation, "report", lambda variants, out: reported.append((len(variants), out)) or "the table")
    told = CliRunner().invoke(app, ["ablation", "tones", "-S", "seed=3", "--jobs", "2"])
    assert told.stdout == "the table\n\ntable and figures: reports/ablation\n"
    assert reported == [(7, Path("reports/ablation"))]
    assert queue.calls[-1] == ("run", 2)
    assert all("seed=3" in options for name, options in queue.queued.items() if name != "left")
