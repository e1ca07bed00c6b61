"""Generate the embedded data set.

In: nothing. Out: data/raw/synthetic, WAV files and their manifest.
"""

import logging
import sys
from pathlib import Path

from adaspec.config import load_config
from adaspec.datasets.synthetic import synthesize as generate
from adaspec.runtime.console import command_line


def synthesize(folder: Path) -> None:
    table = generate(load_config(Path("params.yaml")).synthetic, folder)
    logging.getLogger("adaspec").info("generated %s clips of %s classes", len(table), table["label"].nunique())


if __name__ == "__main__":
    with command_line():
        synthesize(*map(Path, sys.argv[1:]))
