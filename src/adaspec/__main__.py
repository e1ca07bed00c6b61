"""The command `adaspec`, also as `python -m adaspec`."""

from __future__ import annotations

import sys

from adaspec.runtime.interrupts import end_at_once

__all__ = ["main"]


def main() -> None:
    """Run the command, or tell in one line what it lacks."""
    end_at_once()
    try:
        from adaspec.cli import app

        app(prog_name="adaspec")
    except ModuleNotFoundError as error:
        sys.exit(
            f"error: the command needs the pipeline's packages, but {error.name} is missing: pip install '.[pipeline]'"
        )


if __name__ == "__main__":
    main()
