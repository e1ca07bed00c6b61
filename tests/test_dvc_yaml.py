"""dvc.yaml names everything that a stage depends on: code by following its imports, knobs by following params.yaml."""

import ast
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
SOURCE = ROOT / "src"
# These decide time or messages, never a result; the comment in dvc.yaml says so.
WITHOUT_RESULT = {"config", "engine", "errors", "progress", "tracking", "training/digest"}


def module_file(name: str) -> Path | None:
    """File of the module `name`, or of the package that defines it."""
    path = SOURCE / Path(*name.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.exists():
            return candidate
    return None


def imported_files(path: Path) -> set[Path]:
    """Files of the package that a file imports, at its top or within functions."""
    files: set[Path | None] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("adaspec"):
            for name in node.names:
                files.add(module_file(f"{node.module}.{name.name}") or module_file(node.module))
    return {file for file in files if file}


def needed_files(stage: str) -> set[str]:
    """Everything that a stage's script reaches, but what decides no result."""
    seen: set[Path] = set()
    queue = [ROOT / f"stages/{stage}.py"]
    while queue:
        path = queue.pop()
        if path in seen:
            continue
        seen.add(path)
        name = path.relative_to(SOURCE / "adaspec").with_suffix("").as_posix() if path.is_relative_to(SOURCE) else ""
        if name not in WITHOUT_RESULT:
            queue += imported_files(path)
    exempt = {SOURCE / "adaspec" / f"{name}.py" for name in WITHOUT_RESULT} | {SOURCE / "adaspec/__init__.py"}
    return {path.relative_to(ROOT).as_posix() for path in seen - exempt}


@pytest.mark.parametrize("stage", sorted(set(STAGES) - {"validate"}))
def test_stage_depends_on_the_code_that_it_reaches(stage: str) -> None:
    listed = STAGES[stage]["deps"]
    missing = {
        path
        for path in needed_files(stage)
        if not any(path == dependency or path.startswith(f"{dependency}/") for dependency in listed)
    }
    assert not missing


@pytest.mark.parametrize("stage", sorted(STAGES))
def test_stage_depends_on_files_that_exist_or_are_made(stage: str) -> None:
    made = {
        next(iter(out)) if isinstance(out, dict) else out
        for other in STAGES.values()
        for out in other.get("outs", []) + other.get("metrics", [])
    }
    for dependency in STAGES[stage]["deps"]:
        assert dependency in made or dependency == "${dataset.root}" or (ROOT / dependency).exists(), dependency
