"""What a stage of the pipeline does before its first import, which may take seconds, or fail."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

from adaspec.runtime.interrupts import end_at_once

__all__ = ["begin_stage"]

OLDEST = (3, 11)
NEEDED = (  # as they are imported
    *("filelock", "joblib", "lightning", "matplotlib", "numpy", "pandas", "pyarrow", "pydantic", "rich", "safetensors"),
    *("scipy", "sklearn", "soundfile", "soxr", "timm", "torch", "torchaudio", "yaml"),
)


def begin_stage() -> None:
    """In a stage of the pipeline, answer Ctrl-C at once, and end with one line where another Python started it.

    DVC starts what the shell calls `python`, which need not be the one that DVC itself runs on: with `.venv/bin/dvc
    repro` it is the system's. The line comes before the stage's first import, which would fail.
    """
    stage = getattr(sys.modules["__main__"], "__file__", None)
    root = Path(__file__).resolve().parents[3]
    if stage is None or Path(stage).resolve().parent != root / "stages":
        return
    end_at_once()
    lacks = [name for name in NEEDED if find_spec(name) is None]
    if lacks or sys.version_info < OLDEST:
        version = ".".join(map(str, sys.version_info[:2]))
        what = f"lacks {', '.join(lacks)}" if lacks else f"is older than {'.'.join(map(str, OLDEST))}"
        raise SystemExit(
            f"error: {sys.executable} (Python {version}) {what}; activate the environment of the project first: "
            ". .venv/bin/activate"
        )
