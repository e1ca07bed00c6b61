"""An ablation that is killed, on real DVC."""

import contextlib
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from recorded import mlflow_runs

pytestmark = pytest.mark.timeout(600)

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
    (project.path / "recipes/toy.yaml").write_text("# The embedded data set\nsplit: {n_folds: 2}\ntrain: {epochs: 6}\n")
    project.commit("Add a recipe")
    command = (sys.executable, "-c", TWO_VARIANTS, "ablation", "toy")
    with (project.path / "first.log").open("w") as log:
        first = subprocess.Popen(command, cwd=project.path, env=project.environment, stdout=log, stderr=log)
        deadline = time.monotonic() + 480
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
    assert (project.path / "reports/ablation/windows.svg").exists()

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
