"""Mistakes that stop the pipeline, and tuning on it, on real DVC."""

import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from recorded import mlflow_runs, parents_and_children

pytestmark = pytest.mark.timeout(600)

STABLE = ("dvc.lock", "metrics/**/*", "models/**/*", "data/*.csv", "data/features/*")


@pytest.mark.parametrize(
    ("knobs", "told"),
    [
        (
            {"train__optimizer__learning_rat": 0.1},
            "train.optimizer.learning_rat: unknown key; did you mean learning_rate",
        ),
        (
            {"dataset__name": "folder", "dataset__root": "/nowhere/recordings"},
            "error: params.yaml dataset.root=/nowhere/recordings is not a folder",
        ),
    ],
)
def test_mistake_in_params_stops_repro_in_one_line_and_loses_nothing(project, knobs, told):
    before = project.contents(*STABLE)
    project.set(**knobs)
    done = project.run("dvc", "repro", check=False)
    project.run("git", "checkout", "params.yaml")
    assert done.returncode != 0
    errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert told in errors[0]
    assert "Traceback" not in done.stderr
    assert project.contents(*STABLE) == before


def test_tune_in_two_terminals_ends_in_a_command_that_repeats_its_figure(project):
    project.set(
        split__n_folds=2, split__validation_fraction=0.3
    )  # so that one of the two makes the folds anew, and the other waits
    command = [sys.executable, "-m", "adaspec", "tune", "--trials", "2"]
    with ThreadPoolExecutor() as terminals:
        one, other = terminals.map(lambda _: project.run(*command), range(2))
    assert one.stdout == other.stdout
    assert (one.stderr + other.stderr).count("Running stage 'split'") == 1
    lines = one.stdout.splitlines()
    assert lines[0].endswith("2 trials, 2 complete, 0 pruned, 0 failed")
    assert "split.validation_fraction=0.3" in lines[-1]
    project.run("git", "checkout", "params.yaml")
    n_before = len(parents_and_children(mlflow_runs(project.path)[1]))
    done = project.run("sh", "-c", lines[-1])
    assert "Running stage 'train'" in done.stdout
    for stage in ("synthesize", "prepare", "features"):
        assert f"Running stage '{stage}'" not in done.stdout
    header, *_, last = (project.path / "metrics/details/curves.csv").read_text().splitlines()
    found = dict(zip(header.split(","), last.split(","), strict=True))
    assert f"{float(found['validation_accuracy']):.4f}" == lines[3].split()[1]
    families = parents_and_children(mlflow_runs(project.path)[1])
    assert len(families) == n_before + 1
    [experiment] = (run for run in mlflow_runs(project.path)[1] if "dvc.experiment" in run.data.tags)
    assert len(families[experiment.info.run_id]) == 2
