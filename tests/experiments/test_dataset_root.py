import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from adaspec.config import Config
from adaspec.errors import InputError
from adaspec.experiments.dataset_root import check_dataset_root


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):  # set where a git hook runs the tests
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "repository"
    folder.mkdir()
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    (folder / ".gitignore").write_text("/ignored\n", encoding="utf-8")
    for name in ("ignored", "tracked"):
        (folder / name).mkdir()
        (folder / name / "a.wav").write_bytes(b"")
    subprocess.run(["git", "add", "."], cwd=folder, check=True)
    return folder


@pytest.fixture
def check(params: dict[str, Any], repository: Path) -> Any:
    def run(root: str, name: str = "folder") -> None:
        params["dataset"] |= {"name": name, "root": root}
        check_dataset_root(Config.model_validate(params), repository)

    return run


def refusal(check: Any, root: str) -> str:
    with pytest.raises(InputError) as caught:
        check(root)
    message = str(caught.value)
    assert message.startswith(f"params.yaml dataset.root={root}")
    assert "\n" not in message
    return message.removeprefix(f"params.yaml dataset.root={root}")


def test_root_accepts_an_absolute_folder(check: Any, tmp_path: Path) -> None:
    (tmp_path / "recordings").mkdir()
    check(str(tmp_path / "recordings"))


def test_root_accepts_an_absolute_folder_that_git_ignores(check: Any, repository: Path) -> None:
    check(str(repository / "ignored"))


def test_root_accepts_a_relative_folder_in_git(check: Any) -> None:
    check("tracked")


def test_root_is_relative_to_the_repository(check: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    check("tracked")


def test_root_accepts_the_synthetic_data_set_before_it_is_generated(check: Any) -> None:
    check("data/raw/synthetic", "synthetic")


@pytest.mark.parametrize("root", ["~/recordings", "~"])
def test_root_refuses_a_tilde_and_writes_it_out(check: Any, root: str) -> None:
    assert refusal(check, root) == f": DVC does not expand '~'; write {os.path.expanduser(root)}"


@pytest.mark.parametrize("root", ["../recordings", "tracked/../tracked", ".."])
def test_root_refuses_parents_and_writes_the_absolute_path(check: Any, repository: Path, root: str) -> None:
    told = refusal(check, root)
    assert told == f": queued runs work in a copy elsewhere; write the absolute path {(repository / root).resolve()}"


@pytest.mark.parametrize("root", ["ignored", "ignored/"])
def test_root_refuses_a_folder_that_git_ignores(check: Any, repository: Path, root: str) -> None:
    told = refusal(check, root)
    assert told.startswith(": git ignores this folder, so queued runs cannot see it; write the absolute path ")
    assert str(repository / "ignored") in told
    assert "'dvc add ignored" in told


@pytest.mark.parametrize("root", ["ignored", "ignored/"])
def test_root_accepts_an_ignored_folder_that_dvc_tracks(check: Any, repository: Path, root: str) -> None:
    (repository / "ignored.dvc").write_text("outs:\n- path: ignored\n", encoding="utf-8")
    check(root)


@pytest.mark.parametrize("root", ["missing", "tracked/a.wav"])
def test_root_refuses_what_is_no_folder(check: Any, root: str) -> None:
    assert refusal(check, root) == " is not a folder; write the absolute path of your recordings"


def test_root_refuses_a_missing_absolute_folder(check: Any, tmp_path: Path) -> None:
    assert "is not a folder" in refusal(check, str(tmp_path / "missing"))
