"""A small copy of the project in a git and DVC repository of its own, run once for all processes of the tests."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from filelock import FileLock

ROOT = Path(__file__).parents[2]
COPIED = ("src", "stages", "recipes", "dvc.yaml", "params.yaml", ".gitignore", ".dvcignore")
SMALL = {
    "synthetic.clips_per_class": 15,
    "synthetic.duration_s": 0.6,
    "features.window.length_s": 0.5,
    "split.scheme": "group_kfold",
    "split.n_folds": 3,
    "split.validation_fraction": 0.25,
    "train.epochs": 2,
    "evaluate.n_bootstrap": 100,
}


@dataclass
class Project:
    """A repository, and how to run commands in it."""

    path: Path

    @property
    def environment(self) -> dict[str, str]:
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("DVC_", "MLFLOW_"))}
        # The stages call `python`: that of the tests.
        environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
        return environment | {"DVC_NO_ANALYTICS": "1", "GIT_CONFIG_GLOBAL": os.devnull}

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(command, cwd=self.path, env=self.environment, capture_output=True, text=True)
        if check:
            assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
        return done

    def set(self, **values: object) -> None:
        """Change knobs in params.yaml; the names carry '__' for '.'."""
        path = self.path / "params.yaml"
        params = yaml.safe_load(path.read_text())
        for name, value in values.items():
            *sections, key = name.split("__")
            target = params
            for section in sections:
                target = target[section]
            target[key] = value
        path.write_text(yaml.safe_dump(params, sort_keys=False))

    def contents(self, *patterns: str) -> dict[str, bytes]:
        """The bytes of all files that match."""
        files = [path for pattern in patterns for path in self.path.glob(pattern) if path.is_file()]
        return {str(path.relative_to(self.path)): path.read_bytes() for path in files}

    def commit(self, message: str) -> None:
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--message", message)


def make(path: Path) -> Project:
    """Reproduce and commit the small pipeline in a new repository."""
    project = Project(path)
    path.mkdir()
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, project.path / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copyfile(source, project.path / name)
    project.set(**{name.replace(".", "__"): value for name, value in SMALL.items()})
    project.run("git", "init", "--quiet")
    project.run("git", "config", "user.name", "Test")
    project.run("git", "config", "user.email", "test@example.org")
    project.run("dvc", "init", "--quiet")
    project.commit("Start")
    project.run("dvc", "repro")
    project.commit("Reproduce")
    return project


@pytest.fixture(scope="session")
def reproduced(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Project:
    """The small pipeline, reproduced and committed by the process that comes first; to be read only."""
    base = tmp_path_factory.getbasetemp()
    shared = base if worker_id == "master" else base.parent
    path, done = shared / "reproduced", shared / "reproduced.done"
    with FileLock(shared / "reproduced.lock"):
        if not done.exists():
            shutil.rmtree(path, ignore_errors=True)
            make(path)
            done.touch()
    return Project(path)


@pytest.fixture(scope="module")
def project(reproduced: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy for each file of tests, but for MLflow's store: that names its own place."""
    path = tmp_path_factory.mktemp("copy") / "repository"
    shutil.copytree(reproduced.path, path, symlinks=True, ignore=shutil.ignore_patterns("mlflow.db*", "mlartifacts"))
    return Project(path)
