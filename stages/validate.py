"""Check params.yaml as a whole before anything runs on it.

In: params.yaml. Out: nothing; a mistake is told in one line per key.
"""

import os
import sys
from pathlib import Path

from adaspec.config import load_config
from adaspec.datasets.root import check_dataset_root
from adaspec.errors import exit_on_input_error
from adaspec.frontends import check_frontend


def validate(params: Path) -> None:
    config = load_config(params)
    check_dataset_root(config, Path(os.environ.get("DVC_ROOT", ".")))
    if config.audio.sample_rate is not None:
        check_frontend(config)


if __name__ == "__main__":
    with exit_on_input_error():
        validate(*map(Path, sys.argv[1:]))
