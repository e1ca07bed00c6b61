"""What the rest asks of git and DVC, on a real repository."""

import ast
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import adaspec
from adaspec.errors import InputError
from adaspec.experiments import repository as asked

# What DVC opens to look for a file that is not there, it leaves to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

GIT = "git -c user.name=T -c user.email=t@example.org"
DVC_YAML = "stages:\n  only:\n    cmd: python -c \"print(open('params.yaml').read())\" > seen.txt\n    params: [seed]\n"
DVC_YAML += "    outs: [seen.txt]\n"


def run(command: str) -> str:
    environment = os.environ | {"DVC_NO_ANALYTICS": "1", "GIT_CONFIG_GLOBAL": os.devnull}
    words = shlex.split(command)
    words[:1] = [sys.executable, "-m", "dvc"] if words[0] == "dvc" else words[:1]
    return subprocess.run(words, env=environment, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of git and DVC with one stage, and one experiment on it, named other."""
    folder = tmp_path_factory.mktemp("repository")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):  # set where a git hook runs the tests
            patch.delenv(name, raising=False)
        patch.chdir(folder)
        run("git init -q")
        run("dvc init -q")
        for name, text in (("params.yaml", "seed: 1\n"), ("dvc.yaml", DVC_YAML), ("raw.txt", "a\n")):
            Path(name).write_text(text)
        run("git config user.name T")
        run("git config user.email t@example.org")
        run("dvc repro -q")
        run("git add --all")
        run(f"{GIT} commit -qm Start")
        run("dvc exp run -q --temp --name other -S seed=2")
    return folder


@pytest.fixture(autouse=True)
def _inside(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository)


def test_commit_is_the_one_that_is_checked_out() -> None:
    assert asked.commit() == run("git rev-parse HEAD")


def test_commit_is_none_where_there_is_no_repository_or_no_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", str(tmp_path / "python"))
        patch.setenv("PATH", str(tmp_path))
        assert asked.commit() is None
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.chdir(tmp_path)
    assert asked.commit() is None
    assert asked.committed(Path("params.yaml")) is None


def test_committed_text_is_not_what_lies_in_the_folder(repository: Path) -> None:
    (repository / "params.yaml").write_text("seed: 9\n")
    assert asked.committed(Path("params.yaml")) == "seed: 1\n"
    assert asked.committed(Path("gone.yaml")) is None
    (repository / "params.yaml").write_text("seed: 1\n")


def test_ignored_is_what_git_ignores(repository: Path) -> None:
    assert asked.is_ignored("seen.txt", repository)
    assert not asked.is_ignored("raw.txt", repository)


def test_read_at_gives_files_of_git_and_of_dvc() -> None:
    assert asked.read_at("raw.txt", "HEAD") == "a\n"
    assert asked.read_at("params.yaml", "other") == "seed: 2\n"
    assert asked.read_at("seen.txt", "HEAD").strip() == "seed: 1"
    assert asked.read_at("seen.txt", "other").strip() == "seed: 2"


@pytest.mark.parametrize(("path", "rev"), [("raw.txt", "nothing"), ("gone.txt", "HEAD"), ("gone.txt", "other")])
def test_read_at_refuses_in_one_line(path: str, rev: str) -> None:
    with pytest.raises(InputError) as caught:
        asked.read_at(path, rev)
    assert str(caught.value).startswith(f"{rev} is neither a folder nor an experiment or commit with {path} (")
    assert str(caught.value).endswith("; 'dvc exp show' lists experiments")
    assert "\n" not in str(caught.value)


def test_reproduce_runs_stages_and_tells_which_failed(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (repository.parent / "told.txt").open("w") as told:
        monkeypatch.setattr(sys, "stderr", told)
        asked.reproduce("only")
        with pytest.raises(InputError, match=r"^'dvc repro only gone' failed, see above$"):
            asked.reproduce("only", "gone")
    assert "Stage 'only' didn't change" in (repository.parent / "told.txt").read_text()


def test_queue_takes_experiments_and_gives_them_back() -> None:
    assert asked.finished_experiments() == {"other"}
    for name, seed in (("third", 3), ("fourth", 4)):
        asked.queue_experiment(name, ["-S", f"seed={seed}"])
    assert asked._queued({"third", "fourth", "gone"}) == {"third": "Queued", "fourth": "Queued"}
    asked.dequeue({"third", "gone"})
    assert asked._queued({"third", "fourth"}) == {"fourth": "Queued"}
    asked.run_queue(1)
    assert asked.finished_experiments() == {"other", "fourth"}
    assert asked.read_at("params.yaml", "fourth") == "seed: 4\n"


def test_queue_refuses_with_what_dvc_says() -> None:
    with pytest.raises(InputError) as caught:
        asked.queue_experiment("no name", [])
    assert str(caught.value).startswith("'dvc exp run --queue' failed: ")
    assert "\n" not in str(caught.value)


def test_repository_is_the_only_module_that_starts_programs_or_imports_dvc() -> None:
    source = Path(adaspec.__file__).parent
    importers: dict[str, set[str]] = {"subprocess": set(), "dvc": set()}
    for path in source.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in {name.split(".")[0] for name in names} & set(importers):
                importers[name].add(path.relative_to(source).as_posix())
    # The grammar of `dvc exp run -S` is that of recipes.
    expected = {"subprocess": {"experiments/repository.py"}}
    assert importers == expected | {"dvc": {"experiments/recipes.py", "experiments/repository.py"}}
