"""The repository and its experiments: the only place that asks git and DVC."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Collection, Sequence
from pathlib import Path

from adaspec.errors import InputError
from adaspec.runtime.text import one_line
from adaspec.tracking import Origin

__all__ = [
    "ask",
    "commit",
    "committed",
    "dead_tasks",
    "dequeue",
    "export",
    "finished_experiments",
    "is_ignored",
    "origin",
    "python_of_stages",
    "queue_experiment",
    "read_at",
    "reproduce",
    "run_queue",
    "stale_stages",
]

PATIENCE_S = 60.0  # for a worker of DVC's queue to end


def python_of_stages() -> tuple[str | None, str | None]:
    """The `python` that a shell finds, which the commands of dvc.yaml run, and its prefix; None for what is missing."""
    path = shutil.which("python")
    if path is None:
        return None, None
    done = subprocess.run([path, "-c", "import sys; print(sys.prefix)"], capture_output=True, text=True, timeout=60)
    return path, done.stdout.strip() or None


def commit() -> str | None:
    """The commit that is checked out; None outside a repository."""
    done = _run("git", "rev-parse", "HEAD")
    return done.stdout.strip() if done.returncode == 0 else None


def origin() -> Origin:
    """Where what runs now comes from."""
    return Origin(commit(), os.environ.get("DVC_EXP_NAME", ""))


def committed(path: Path) -> str | None:
    """Text of a file, relative to the current directory, as last committed; None where there is no such commit."""
    done = _run("git", "show", f"HEAD:./{path}")
    return done.stdout if done.returncode == 0 else None


def is_ignored(path: str, repository: Path) -> bool:
    """Whether git ignores a path in a repository."""
    return _run("git", "check-ignore", "-q", path, folder=repository).returncode == 0


def read_at(path: str, rev: str) -> str:
    """Text of a file of the repository at an experiment, branch, tag or commit, from git or from DVC's cache.

    Parameters
    ----------
    path : str
        Relative to the root of the repository.
    rev : str

    Raises
    ------
    InputError
        There is no such revision, it has no such file, or the file is not text.
    """
    import dvc.api
    from dvc.exceptions import DvcException
    from scmrepo.exceptions import SCMError

    try:
        return str(dvc.api.read(path, rev=rev, encoding="utf-8"))
    except (DvcException, SCMError, OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{rev} is neither a folder nor an experiment or commit with {path} ({one_line(error)}); "
            "'dvc exp show' lists experiments"
        ) from None


def stale_stages(stage: str) -> list[str]:
    """A stage, and those before it, as far as their results are not those of the files that they are made of.

    Raises
    ------
    InputError
        DVC cannot tell.
    """
    return list(json.loads(ask("dvc", "status", "--json", "--with-deps", stage)))


def export(rev: str, paths: Sequence[str], folder: Path) -> None:
    """Copy files and folders of a version into a folder, under their paths, from git or from DVC's cache or remote.

    Raises
    ------
    InputError
        One of them is missing.
    """
    from dvc.api import DVCFileSystem
    from dvc.exceptions import DvcException
    from scmrepo.exceptions import SCMError

    path = ""
    try:
        files = DVCFileSystem(rev=rev)
        for path in paths:
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            files.get(path, str(target), recursive=files.isdir(path))
    except (DvcException, SCMError, OSError) as error:
        raise InputError(f"{path} is neither in git nor in DVC's cache ({one_line(error, 100)})") from None


def reproduce(*stages: str) -> None:
    """Bring stages up to date; what DVC and they print goes to stderr.

    Raises
    ------
    InputError
        A stage failed.
    """
    done = subprocess.run([*_program("dvc"), "repro", *stages], stdout=sys.stderr, env=_environment())
    if done.returncode:
        raise InputError(f"'dvc repro {' '.join(stages)}' failed, see above")


def finished_experiments() -> set[str]:
    """Names of the experiments whose results the repository holds."""
    return set(ask("git", "for-each-ref", "--format=%(refname:lstrip=-1)", "refs/exps").split())


def queue_experiment(name: str, options: Sequence[str]) -> None:
    """Put an experiment into DVC's queue; `options` are those of `dvc exp run`, such as -S KEY=VALUE.

    Raises
    ------
    InputError
        DVC refuses it.
    """
    ask("dvc", "exp", "run", "--queue", "--name", name, *options)


def run_queue(jobs: int) -> None:
    """Run what is queued, `jobs` experiments at a time, and print what they print. What fails is not told here."""
    subprocess.run([*_program("dvc"), "exp", "run", "--run-all", "--jobs", str(jobs)], env=_environment())


def dequeue(experiments: Collection[str]) -> None:
    """Take experiments out of DVC's queue, where one stays `Running` for ever if its worker was killed.

    Raises
    ------
    InputError
        One of them does not end.
    """
    deadline = time.monotonic() + PATIENCE_S
    while states := _queued(experiments):
        running = sorted(name for name, state in states.items() if state == "Running")
        if waiting := sorted(states.keys() - set(running)):  # first, so that a worker does not go on to the next
            ask("dvc", "queue", "remove", *waiting)
        if running:
            _run("dvc", "queue", "kill", *running)  # whose exit code tells little: one may just have ended by itself
        if time.monotonic() > deadline:
            raise InputError(
                f"{', '.join(sorted(states))} cannot be stopped; 'dvc queue stop --kill' ends all queued work"
            )


def dead_tasks(root: Path) -> list[str]:
    """Tasks of the queue that DVC takes for running, though their process has ended; by name, or else by number.

    Raises
    ------
    InputError
        DVC cannot tell.
    """
    rows = [line.split() for line in ask("dvc", "queue", "status").splitlines()]
    tasks, exps = [row for row in rows if row[-1:] == ["Running"]], root / ".dvc" / "tmp" / "exps"
    if tasks and any(map(_is_running, (exps / "celery").glob("*.json"))):  # a worker that may be between two steps
        tasks = [row for row in tasks if any((exps / "run").glob(f"{row[0]}*/*.json"))]
    dead = [row for row in tasks if not any(map(_is_running, (exps / "run").glob(f"{row[0]}*/*.json")))]
    return [row[0] if ":" in row[1] else row[1] for row in dead]


def _is_running(process: Path) -> bool:
    """Whether the process that DVC describes in a file still runs."""
    try:
        described = json.loads(process.read_bytes())
        os.kill(described["pid"], 0)
    except (OSError, ValueError, KeyError, TypeError) as error:
        return isinstance(error, PermissionError)  # of another user
    return described.get("returncode") is None


def _queued(experiments: Collection[str]) -> dict[str, str]:
    """State of each of these experiments that DVC's queue knows: Queued, Running, Failed or Success."""
    rows = [line.split() for line in ask("dvc", "queue", "status").splitlines()]
    return {name: row[-1] for row in rows for name in experiments if name in row}


def ask(program: str, *arguments: str) -> str:
    """What a command printed; its error is the user's."""
    done = _run(program, *arguments)
    if done.returncode:
        reason = " ".join(done.stderr.split())[-600:]  # the end: warnings come before
        raise InputError(f"'{' '.join([program, *arguments[:3]])}' failed: {reason}")
    return done.stdout


def _run(program: str, *arguments: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [*_program(program), *arguments]
    try:
        return subprocess.run(
            command, cwd=folder, env=_environment(), capture_output=True, text=True, encoding="utf-8", errors="replace"
        )
    except FileNotFoundError:  # git is not installed, which training can do without
        return subprocess.CompletedProcess(command, 127, "", f"{program} is not installed")


def _program(name: str) -> list[str]:
    """DVC is that of this Python, whatever a shell would find."""
    return [sys.executable, "-m", "dvc"] if name == "dvc" else [name]


def _environment() -> dict[str, str]:
    """With this Python first, which is the `python` of the commands in dvc.yaml."""
    folders = [str(Path(sys.executable).parent), os.environ.get("PATH", "")]
    return os.environ | {"PATH": os.pathsep.join(folders)}
