"""Check params.yaml as a whole before anything runs on it.

In: params.yaml. Out: nothing; a mistake is told in one line per key.
"""

import sys
from pathlib import Path

from adaspec.config import load_config
from adaspec.experiments.checks import check_config
from adaspec.runtime.console import stage_command
from adaspec.runtime.workspace import repository_root


def validate(params: Path) -> None:
    check_config(load_config(params), repository_root())


if __name__ == "__main__":
    with stage_command():
        validate(*map(Path, sys.argv[1:]))
