"""Run the commands of docs/tour.md in a clone of the last commit, and write what they print into the page.

    python benchmarks/tour.py [--out DIR]

Some minutes on a laptop. DIR keeps the clone. Of what a whole run prints the page shows what its evaluation printed,
where the comment before its block says so: <!-- evaluation -->.
"""

from __future__ import annotations

import argparse
import itertools
import os
import re
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from accuracy import clone_last_commit

PAGE = Path(__file__).parents[1] / "docs/tour.md"
BLOCK = re.compile(r"(?:<!-- (evaluation) -->\n)?```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def commands(page: str) -> list[str]:
    """What the page has typed, in its order."""
    return [line[2:] for block in BLOCK.finditer(page) for line in block[2].splitlines() if line.startswith("$ ")]


def with_outputs(page: str, run: Callable[[str], str]) -> str:
    """The page with each command's output below it."""

    def filled(block: re.Match[str]) -> str:
        before = block[0][: block.start(2) - block.start()]
        lines: list[str] = []
        for command in [line for line in block[2].splitlines() if line.startswith("$ ")]:
            printed = [line.rstrip() for line in ESCAPES.sub("", run(command[2:])).strip().splitlines()]
            if block[1]:
                first = next(at for at, line in enumerate(printed) if line.startswith(" ") and "accuracy" in line)
                rest = printed[first:]
                printed = ["...", *itertools.takewhile(lambda line: line and not line.startswith("Updating"), rest)]
            lines += [command, *printed]
        return before + "\n".join(lines) + "\n```"

    return BLOCK.sub(filled, page)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, metavar="DIR")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        clone = (arguments.out or Path(scratch) / "adaspec").absolute()
        if not clone.exists():
            clone_last_commit(clone)
        environment = os.environ | {"COLUMNS": "110", "DVC_NO_ANALYTICS": "1", "NO_COLOR": "1"}

        def run(command: str) -> str:
            print(f"$ {command}", flush=True)
            done = subprocess.run(
                command, shell=True, cwd=clone, env=environment, check=True, capture_output=True, text=True
            )
            return done.stdout

        page = with_outputs(PAGE.read_text(encoding="utf-8"), run)
    PAGE.write_text(page, encoding="utf-8")
    print(f"wrote {PAGE.relative_to(PAGE.parents[1])}")


if __name__ == "__main__":
    main()
