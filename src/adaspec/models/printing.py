"""Predictions on the terminal: a table, JSON or CSV, a recording at a time, whatever the names and the encoding.

A path is printed with an escape for each byte that is not UTF-8, such as caf\\xe9.wav; in a table and in CSV also for
each character that would not show. JSON has escapes of its own for these.
"""

from __future__ import annotations

import csv
import json
import os
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from adaspec.models.predictor import Prediction
from adaspec.runtime.text import visible

__all__ = ["Writer"]

DECIMALS = 6  # of probabilities


class Writer:
    """Prints predictions as they come, in one document.

    Parameters
    ----------
    form : {"table", "json", "csv"}
        A line per recording for the eye; an array of objects; a row per recording (or window) with all probabilities.
    labels : list of str
    windows : bool
        Tell each window too.
    """

    def __init__(self, form: Literal["table", "json", "csv"], labels: list[str], *, windows: bool) -> None:
        self.form, self.labels, self.windows, self.n_written = form, labels, windows, 0
        self.csv = csv.writer(sys.stdout, lineterminator="\n")

    def __enter__(self) -> Self:
        if self.form == "csv":
            times = ["start_s", "end_s"] if self.windows else []
            self.csv.writerow(["path", *times, "label", *(f"score_{visible(label)}" for label in self.labels)])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.form == "json":
            print("\n]" if self.n_written else "[]")

    def write(self, path: Path, prediction: Prediction) -> None:
        """Print one recording's prediction."""
        if self.form == "json":
            decoded = os.fsencode(path).decode("utf-8", "backslashreplace")  # half a pair is no valid JSON
            content: dict[str, Any] = {"path": decoded, "label": prediction.label}
            content["probabilities"] = _rounded(prediction.probabilities)
            if self.windows:
                content["windows"] = [
                    window | {"probabilities": _rounded(window["probabilities"])} for window in prediction.windows
                ]
            print("," if self.n_written else "[", _json(content), sep="\n", end="")
        elif self.form == "csv":
            self._write_rows(path, prediction)
        else:
            print(f"{visible(str(path))}  {_best(prediction.label, prediction.probabilities)}")
            for window in prediction.windows if self.windows else []:
                told = _best(window["label"], window["probabilities"])
                print(f"  {window['start_s']:8.2f} to {window['end_s']:8.2f} s  {told}")
        sys.stdout.flush()
        self.n_written += 1

    def _write_rows(self, path: Path, prediction: Prediction) -> None:
        whole: dict[str, Any] = {"label": prediction.label, "probabilities": prediction.probabilities}
        for part in prediction.windows if self.windows else [whole]:
            times = [part["start_s"], part["end_s"]] if self.windows else []
            scores = _rounded(part["probabilities"])
            own = [visible(str(path)), *times, visible(part["label"])]
            self.csv.writerow([*own, *(scores[name] for name in self.labels)])


def _rounded(probabilities: dict[str, float]) -> dict[str, float]:
    return {label: round(value, DECIMALS) for label, value in probabilities.items()}


def _best(chosen: str, probabilities: dict[str, float]) -> str:
    """The label that was decided for, then the most probable ones, three in all."""
    ranked = sorted(probabilities.items(), key=lambda item: (item[0] != chosen, -item[1]))[:3]
    return "  ".join(f"{visible(label)} {value:.3f}" for label, value in ranked)


def _json(content: Any) -> str:
    """JSON of ASCII where the terminal has no Unicode, else with escapes for what would not show."""
    unicode = (sys.stdout.encoding or "").lower().startswith("utf")
    text = json.dumps(content, ensure_ascii=not unicode)
    return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in text)
