"""The pipeline as its users run it: real DVC, real MLflow, in order from the first repro to queued experiments."""

import contextlib
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

pytestmark = pytest.mark.timeout(600)

STABLE = ("dvc.lock", "metrics/**/*", "models/**/*", "data/*.csv", "data/features/*")


def mlflow_runs(project: Path) -> tuple[MlflowClient, list[Run]]:
    client = MlflowClient(f"sqlite:///{project / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("adaspec")
    assert experiment is not None
    return client, list(client.search_runs([experiment.experiment_id], max_results=1000))


def parents_and_children(runs: list[Run]) -> dict[str, list[Run]]:
    """Children of each parent, by the parent's run id."""
    tag = "mlflow.parentRunId"
    families: dict[str, list[Run]] = {run.info.run_id: [] for run in runs if tag not in run.data.tags}
    for run in runs:
        if tag in run.data.tags:
            families[run.data.tags[tag]].append(run)
    return families


def test_repro_leaves_everything_that_is_promised(project):
    summary = json.loads((project.path / "metrics/summary.json").read_text())
    accuracy = summary["accuracy"]
    assert 0 <= accuracy["ci_low"] <= accuracy["mean"] <= accuracy["ci_high"] <= 1
    for fold in (1, 2, 3):
        description = json.loads((project.path / f"models/fold-{fold}/model.json").read_text())
        assert description["sample_rate"] == 22050
        assert len(description["labels"]) == 10
        assert (project.path / f"metrics/details/folds/fold-{fold}.json").exists()
    assert not list((project.path / ".adaspec").glob("checkpoints/*"))
    assert not list(project.path.rglob("*.partial"))


def test_repro_again_is_up_to_date(project):
    assert "Data and pipelines are up to date." in project.run("dvc", "repro").stdout


def test_metrics_and_plots_are_understood_by_dvc(project):
    shown = json.loads(project.run("dvc", "metrics", "show", "--json").stdout)
    assert shown[""]["data"]["metrics/summary.json"]["data"]["accuracy"]["mean"] > 0
    page = project.run("dvc", "plots", "show", "--out", "plots")
    assert Path(page.stdout.strip().removeprefix("file://")).exists()
    drawn = sorted(path.name for path in (project.path / "plots").rglob("*.png"))
    assert any("confusion" in name for name in drawn)
    assert any("curves" in name for name in drawn)


def test_runs_are_found_by_mlflow_at_the_root(project):
    client, runs = mlflow_runs(project.path)
    families = parents_and_children(runs)
    assert len(families) == 1
    (parent_id, children), parent = families.popitem(), client.get_run(next(iter(parents_and_children(runs))))
    assert sorted(child.data.tags["adaspec.fold"] for child in children) == ["1", "2", "3"]
    assert parent.data.params["train.epochs"] == "2"
    summary = json.loads((project.path / "metrics/summary.json").read_text())
    assert parent.data.metrics["cv/accuracy_mean"] == summary["accuracy"]["mean"]
    curve = client.get_metric_history(children[0].info.run_id, "train_loss")
    assert [point.step for point in curve] == [1, 2]
    assert "summary.json" in {artifact.path for artifact in client.list_artifacts(parent_id)}
    for child in children:
        [output] = child.outputs.model_outputs
        location = client.get_logged_model(output.model_id).artifact_location
        assert location.startswith((project.path / "mlartifacts").as_uri())
        fold = f"fold-{child.data.tags['adaspec.fold']}"
        logged = Path(location.removeprefix("file://"), "data", fold, "model.safetensors")
        assert logged.read_bytes() == (project.path / "models" / fold / "model.safetensors").read_bytes()


def test_forced_repro_with_one_fold_at_a_time_gives_the_same_bytes(project):
    before = project.contents(*STABLE)
    project.set(engine__parallel_folds=1, engine__workers=1)
    project.run("dvc", "repro", "--force")
    after = project.contents(*STABLE)
    project.run("git", "checkout", "params.yaml")
    assert not {name for name in before if before[name] != after[name]}


def test_experiment_with_learned_kernels_keeps_the_features(project):
    n_before = len(parents_and_children(mlflow_runs(project.path)[1]))
    done = project.run("dvc", "exp", "run", "--name", "learned", "--set-param", "frontend.learn_kernels=true")
    assert "Running stage 'train'" in done.stdout
    for stage in ("synthesize", "prepare", "features", "split"):
        assert f"Running stage '{stage}'" not in done.stdout
    table = project.run("dvc", "exp", "show", "--csv").stdout
    assert "learned" in table
    assert "accuracy.mean" in table
    _, runs = mlflow_runs(project.path)
    families = parents_and_children(runs)
    assert len(families) == n_before + 1
    learned = next(run for run in runs if run.data.tags.get("dvc.experiment") == "learned")
    assert learned.data.params["frontend.learn_kernels"] == "True"
    assert len(families[learned.info.run_id]) == 3
    project.run("git", "checkout", ".")
    project.run("dvc", "checkout")


def test_queued_experiments_run_queued_code_into_one_store(project):
    resnet = project.path / "src/adaspec/backbones/resnet.py"
    code = resnet.read_text()
    wider = code.replace("        self.smallest", "        widths = (24, *widths[1:])\n        self.smallest")
    assert wider != code
    resnet.write_text(wider)
    project.run("dvc", "exp", "run", "--queue", "--name", "wider")
    resnet.write_text(code)
    project.run(
        "dvc", "exp", "run", "--queue", "--name", "faster", "--set-param", "train.optimizer.learning_rate=0.004"
    )
    project.run("dvc", "queue", "start", "--jobs", "2")
    for name in ("wider", "faster"):
        project.run("dvc", "queue", "logs", name, "--follow", check=False)
    status = project.run("dvc", "queue", "status").stdout
    assert status.count("Success") == 2, status + project.run("dvc", "queue", "logs", "wider", check=False).stdout

    _, runs = mlflow_runs(project.path)
    families = parents_and_children(runs)
    for name in ("wider", "faster"):
        parent = next(run for run in runs if run.data.tags.get("dvc.experiment") == name)
        assert len(families[parent.info.run_id]) == 3
        assert "cv/accuracy_mean" in parent.data.metrics
        location = parent.info.artifact_uri
        assert location is not None
        assert str(project.path) in location
    project.run("dvc", "exp", "apply", "wider")
    from safetensors import safe_open

    with safe_open(project.path / "models/fold-1/model.safetensors", "pt") as weights:
        assert weights.get_slice("backbone.stem.0.weight").get_shape()[0] == 24
    project.run("git", "checkout", ".")
    project.run("dvc", "checkout")


TWO_VARIANTS = """
import sys
from adaspec import cli
from adaspec.experiments import ablation
ablation.VARIANTS = {name: ablation.VARIANTS[name] for name in ("basic", "window")}  # of the seven, for time
cli.app(sys.argv[1:])
"""


def kill_all_of(project: Path) -> None:
    """Kill, as the kernel does where memory runs out, whatever works in the repository or in a copy of it below."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if Path(process.cwd()).is_relative_to(project):
                process.kill()


def test_variants_that_were_killed_go_on_where_they_were(project):
    (project.path / "recipes/toy.yaml").write_text("# The embedded data set\ntrain: {epochs: 6}\n")
    project.commit("Add a recipe")
    command = (sys.executable, "-c", TWO_VARIANTS, "ablation", "toy")
    with (project.path / "first.log").open("w") as log:
        first = subprocess.Popen(command, cwd=project.path, env=project.environment, stdout=log, stderr=log)
        deadline = time.monotonic() + 240
        try:
            while not list(project.path.glob(".adaspec/checkpoints/*/fold-*/last.ckpt")) or not experiments(project):
                assert first.poll() is None, (project.path / "first.log").read_text()
                assert time.monotonic() < deadline, (project.path / "first.log").read_text()
                time.sleep(0.1)
        finally:  # also where it fails: what is left would hold DVC's lock against all tests that follow
            kill_all_of(project.path)
            first.wait()
    [basic] = experiments(project)
    assert "Running" in project.run("dvc", "queue", "status").stdout  # so DVC believes

    done = project.run(*command)
    assert "going on with a training that was interrupted" in done.stdout
    assert f"Reproducing experiment '{basic}'" not in done.stdout
    assert len(experiments(project)) == 2
    for name in ("basic", "window"):
        assert any(line.startswith(name) for line in done.stdout.splitlines())
    assert (project.path / "reports/ablation/windows.png").exists()

    _, runs = mlflow_runs(project.path)
    again = project.run(*command)
    assert "Reproducing" not in again.stdout
    assert len(mlflow_runs(project.path)[1]) == len(runs)
    names = [run.data.tags.get("dvc.experiment", "") for run in runs]
    assert sum(name.startswith("toy-") for name in names) == 2


def experiments(project) -> list[str]:
    """Names of the finished variants."""
    refs = project.run("git", "for-each-ref", "--format=%(refname:lstrip=-1)", "refs/exps").stdout.split()
    return [name for name in refs if name.startswith("toy-")]


@pytest.mark.parametrize(
    ("knob", "value", "told"),
    [
        (
            "train__optimizer__learning_rat",
            0.1,
            "train.optimizer.learning_rat: unknown key; did you mean learning_rate",
        ),
        ("train__epochs", "many", "train.epochs='many'"),
        ("frontend__win_length", 4096, "win_length=4096 exceeds n_fft=1024"),
        ("dataset__name", "esc50", "holds the synthetic data set"),
    ],
)
def test_mistake_in_params_stops_repro_in_one_line_and_loses_nothing(project, knob, value, told):
    before = project.contents(*STABLE)
    project.set(**{knob: value})
    done = project.run("dvc", "repro", check=False)
    project.run("git", "checkout", "params.yaml")
    assert done.returncode != 0
    errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert told in errors[0]
    assert "Traceback" not in done.stderr
    assert project.contents(*STABLE) == before


def test_impossible_front_end_is_told_first_also_where_only_the_clips_tell_the_rate(project):
    project.set(audio__sample_rate=None, frontend__window="flattop")
    project.set(frontend__learn_window=True, frontend__window_nonnegative=True)
    done = project.run("dvc", "repro", check=False)
    project.run("git", "checkout", "params.yaml")
    assert done.returncode != 0
    assert "error: params.yaml frontend.window='flattop'" in done.stderr
    assert "Running stage 'features'" not in done.stdout


def test_missing_data_folder_stops_repro_in_one_line(project):
    project.set(dataset__name="folder", dataset__root="/nowhere/recordings")
    done = project.run("dvc", "repro", check=False)
    project.run("git", "checkout", "params.yaml")
    assert done.returncode != 0
    assert "error: params.yaml dataset.root=/nowhere/recordings is not a folder" in done.stderr


def test_tune_in_two_terminals_ends_in_a_command_that_repeats_its_figure(project):
    project.set(split__validation_fraction=0.3)  # so that one of the two makes the folds anew, and the other waits
    command = [sys.executable, "-m", "adaspec", "tune", "--trials", "3"]
    with ThreadPoolExecutor() as terminals:
        one, other = terminals.map(lambda _: project.run(*command), range(2))
    assert one.stdout == other.stdout
    assert (one.stderr + other.stderr).count("Running stage 'split'") == 1
    lines = one.stdout.splitlines()
    assert lines[0].endswith("3 trials, 3 complete, 0 pruned, 0 failed")
    assert "split.validation_fraction=0.3" in lines[-1]
    project.run("git", "checkout", "params.yaml")
    project.run("sh", "-c", lines[-1])
    header, *_, last = (project.path / "metrics/details/curves.csv").read_text().splitlines()
    found = dict(zip(header.split(","), last.split(","), strict=True))
    assert f"{float(found['validation_accuracy']):.4f}" == lines[3].split()[1]
    project.run("git", "checkout", ".")
    project.run("dvc", "checkout")
