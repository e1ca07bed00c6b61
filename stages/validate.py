"""Check params.yaml as a whole before anything runs on it.

In: params.yaml. Out: nothing; a mistake is told in one line per key.
"""

import os
import sys
from pathlib import Path

from adaspec.config import load_config
from adaspec.datasets.root import check_dataset_root
from adaspec.errors import exit_on_input_error


def validate(params: Path) -> None:
    check_dataset_root(load_config(params), Path(os.environ.get("DVC_ROOT", ".")))


if __name__ == "__main__":
    with exit_on_input_error():
        validate(*map(Path, sys.argv[1:]))
