"""The page: what stands in it, from the files that the run left."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jinja2
import markupsafe
import pandas as pd

import adaspec
from adaspec.errors import InputError
from adaspec.report.drawings import drawings
from adaspec.report.listening import examples, least_sure
from adaspec.runtime.files import complete_file, read_csv
from adaspec.runtime.text import one_line, visible
from adaspec.tables.columns import labels_of, score_column
from adaspec.tables.predictions import worst_errors

__all__ = ["Provenance", "write_report"]

TERMS = {"tdcf": "t-DCF", "dcf": "DCF", "cllr": "Cllr", "ci": "95 %", "p": "share", "fa": "accepted"} | {
    name: name.upper() for name in ("asv", "ece", "eer", "f1", "sasv", "spf", "sv")
}
N_WRONG, N_UNSURE, N_SKIPPED = 12, 6, 50
PACKAGES = ("torch", "torchaudio", "numpy", "lightning")
SECTIONS = ("training", "classes", "detection", "learned", "robustness", "further")
FIGURES = "figures"


@dataclass(frozen=True)
class Provenance:
    """Where a run comes from.

    Attributes
    ----------
    commit : str or None
        Of the repository.
    knobs : mapping of str to (str, str)
        Knob -> its value as committed and in this run, where they differ.
    sample_rate : int
        That the models hear, in Hz.
    data_digest : str
        Of clips and folds.
    """

    commit: str | None
    knobs: Mapping[str, tuple[str, str]]
    sample_rate: int
    data_digest: str

    @property
    def command(self) -> str:
        """What makes the run again."""
        if not self.knobs:
            return "dvc repro"
        options = [part for name, (_, now) in self.knobs.items() for part in ("-S", f"{name}={now}")]
        return shlex.join(["dvc", "exp", "run", *options])


def write_report(
    clips: pd.DataFrame,
    folds: pd.DataFrame,
    skipped: pd.DataFrame,
    headline_json: Path,
    details: Path,
    robustness: Path,
    root: Path,
    provenance: Provenance,
    path: Path,
) -> None:
    """Write one HTML file, which opens without a network; equal runs are equal bytes.

    Parameters
    ----------
    clips, folds, skipped : DataFrame
        clips.csv, folds.csv and skipped.csv.
    headline_json, details : Path
        metrics/summary.json and metrics/details of the stage `evaluate`.
    robustness : Path
        metrics/robustness of the stage `robustness`.
    root : Path
        Folder of the data set, of whose recordings some are played.
    provenance : Provenance
    path : Path
        Appears once the page is complete.

    Raises
    ------
    InputError
        A file of the metrics is missing or cannot be read.
    """
    try:
        headline = json.loads(headline_json.read_bytes())
        summary = json.loads((details / "summary.json").read_bytes())
        paths = sorted((details / "folds").glob("fold-*.json"), key=lambda path: int(path.stem[5:]))
        of_folds = {path.stem.replace("-", " "): json.loads(path.read_bytes()) for path in paths}
        predictions = read_csv(details / "predictions.csv")
        scores = [score_column(label) for label in labels_of(predictions)]
        predictions = predictions.astype(dict.fromkeys(scores, "float64"))
        per_class = read_csv(details / "per_class.csv", **dict.fromkeys(("precision", "recall", "f1"), "float64"))
        learned = _read_json(details / "frontend.json")
        attacks = _read_table(details / "attacks.csv")
        changed = _read_json(robustness / "summary.json")
        changes = _read_table(robustness / "changes.csv")
        flips = read_csv(robustness / "flips.csv") if (robustness / "flips.csv").exists() else predictions.head(0)
    except (OSError, ValueError) as error:
        raise InputError(f"{details} cannot be read ({one_line(error)}); 'dvc repro' writes it") from None
    figures = drawings(details / FIGURES) + drawings(robustness / FIGURES)
    hear = (clips, root, provenance.sample_rate)
    page = (
        _environment()
        .get_template("page.html.j2")
        .render(
            headline=headline,
            summary=summary,
            folds={name: {key: found[key] for key in headline if key in found} for name, found in of_folds.items()},
            per_class=per_class.sort_values(["f1", "label"], kind="stable").to_dict("records"),
            attacks=attacks,
            changed=changed,
            changes=changes,
            flips=examples(flips, clips, robustness, provenance.sample_rate),
            learned=learned,
            figures={section: [each for each in figures if each.section == section] for section in SECTIONS},
            wrong=examples(worst_errors(predictions, N_WRONG), *hear),
            n_wrong=int((predictions["label"] != predictions["predicted"]).sum()),
            unsure=examples(least_sure(predictions, N_UNSURE), *hear),
            n_tested=len(predictions),
            data=_data_facts(clips, folds),
            skipped=skipped.head(N_SKIPPED).to_dict("records"),
            n_skipped=len(skipped),
            provenance=provenance,
            versions={"adaspec": adaspec.__version__} | {package: version(package) for package in PACKAGES},
            style=markupsafe.Markup((Path(__file__).parent / "page.css").read_text(encoding="utf-8")),
        )
    )
    with complete_file(path) as partial:
        partial.write_text(page, encoding="utf-8")


def _environment() -> jinja2.Environment:
    """Templates whose values are escaped, with control characters made visible."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: visible(value) if type(value) is str else value,
    )
    environment.filters |= {"inline": markupsafe.Markup, "number": _number, "words": _words}
    return environment


def _number(value: float | None) -> str:
    """At most four decimals, none of a large value."""
    return "" if value is None else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4f}".rstrip("0").rstrip(".")


def _words(name: str) -> str:
    """A score's or column's name as a title."""
    words = " ".join(TERMS.get(word, word) for word in name.split("_"))
    return words[:1].upper() + words[1:]


def _read_json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_bytes()) if path.exists() else {}


def _read_table(path: Path) -> dict[str, Any]:
    """A table that only some tasks have."""
    if not path.exists():
        return {"columns": [], "rows": []}
    table = pd.read_csv(path, keep_default_na=False)
    return {"columns": list(table), "rows": table.to_numpy(object).tolist()}


def _data_facts(clips: pd.DataFrame, folds: pd.DataFrame) -> dict[str, Any]:
    """What there is of each class, and in which roles, as counts."""
    used = clips[clips["clip_id"].isin(folds["clip_id"])]
    seconds = used["n_samples"] / used["sample_rate"]
    classes = []
    for label, rows in used.groupby("label"):
        own = seconds[rows.index]
        numbers = {"clips": len(rows), "groups": rows["group"].nunique(), "minutes": own.sum() / 60}
        classes.append({"label": label, **numbers, "shortest": own.min(), "longest": own.max()})
    roles = folds[folds["weight"] > 0].groupby(["fold", "role"]).size().unstack(fill_value=0)
    return {
        "classes": classes,
        "n_clips": len(used),
        "n_groups": used["group"].nunique(),
        "hours": float(seconds.sum()) / 3600,
        "rates": sorted({int(rate) for rate in used["sample_rate"]}),
        "roles": [role for role in ("train", "validation", "test") if role in roles],
        "folds": [{"fold": fold, **row} for fold, row in zip(roles.index, roles.to_dict("records"), strict=True)],
    }
