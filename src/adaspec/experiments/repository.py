"""The repository and its experiments: the only place that asks git and DVC."""

from __future__ import annotations

import subprocess

__all__ = ["commit"]


def commit() -> str | None:
    """The commit that is checked out; None outside a repository."""
    done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else None
