"""The repository and its experiments: the only place that asks git and DVC."""

from __future__ import annotations

import subprocess

from adaspec.errors import InputError
from adaspec.runtime.text import one_line

__all__ = ["commit", "read_at"]


def commit() -> str | None:
    """The commit that is checked out; None outside a repository."""
    done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else None


def read_at(path: str, rev: str) -> str:
    """Content of a text file as an experiment, branch, tag or commit has it, whether git or DVC keeps it.

    Parameters
    ----------
    path : str
        Relative to the repository.
    rev : str

    Raises
    ------
    InputError
        There is no such revision, or it has no such file.
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
