"""Versions of the repository that hold results: experiments and commits."""

from __future__ import annotations

import re
from dataclasses import dataclass

from adaspec.experiments.repository import ask, commit

__all__ = ["Version", "committed_results", "experiments"]

EXPERIMENT = re.compile(r"(?P<rev>\w+) (?P<base>\w*) refs/exps/[0-9a-f]{2}/[0-9a-f]{38}/(?P<name>.+)")


@dataclass(frozen=True)
class Version:
    """A version of the repository that a run has left.

    Attributes
    ----------
    rev : str
        Commit that holds its results.
    base : str
        Commit that was checked out when it ran.
    experiment : str
        Name of the DVC experiment, "" for none.
    """

    rev: str
    base: str
    experiment: str = ""

    @property
    def name(self) -> str:
        """For messages."""
        return self.experiment or f"commit {self.rev[:7]}"


def experiments() -> list[Version]:
    """DVC's finished experiments, by the order of their dates."""
    form = "--format=%(objectname) %(parent) %(refname)"
    lines = ask("git", "for-each-ref", form, "--sort=creatordate", "refs/exps").splitlines()
    found = [match for line in lines if (match := EXPERIMENT.fullmatch(line))]
    return [Version(match["rev"], match["base"], match["name"]) for match in found]


def committed_results(everywhere: bool) -> list[Version]:
    """The commit that last changed dvc.lock; or, the oldest first, all that did on any branch or tag."""
    if commit() is None:
        return []
    where = ["--branches", "--remotes", "--tags", "HEAD"] if everywhere else ["-1"]
    lines = ask("git", "log", "--reverse", "--format=%H %P", *where, "--", "dvc.lock").splitlines()
    return [Version(rev, (parents or [rev])[0]) for rev, *parents in (line.split() for line in lines)]
