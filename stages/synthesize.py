"""Generate the embedded data set.

In: nothing. Out: data/raw/synthetic, WAV files and their manifest.
"""

import logging
import sys
from pathlib import Path

from adaspec.config import load_config
from adaspec.datasets.synthetic import synthesize as generate
from adaspec.runtime.console import stage_command


def synthesize(folder: Path) -> None:
    table = generate(load_config(Path("params.yaml")).synthetic, folder)
    logging.getLogger("adaspec").info("generated %s clips of %s classes", len(table), table["label"].nunique())


if __name__ == "__main__":
    with stage_command():
        synthesize(*map(Path, sys.argv[1:]))
