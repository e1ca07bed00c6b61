"""Generate the embedded data set.

In: nothing. Out: data/raw/synthetic, WAV files and their manifest.
"""

import sys
from pathlib import Path

from adaspec.config import load_config
from adaspec.datasets.synthetic import synthesize
from adaspec.runtime.console import command_line

if __name__ == "__main__":
    with command_line():
        table = synthesize(load_config(Path("params.yaml")).synthetic, *map(Path, sys.argv[1:]))
        print(f"generated {len(table)} clips of {table['label'].nunique()} classes", file=sys.stderr)
