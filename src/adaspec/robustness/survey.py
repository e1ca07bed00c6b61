"""Ask every fold's model about its changed test clips, and tell what came out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import soundfile

from adaspec.attributes import ATTRIBUTES, attributes_of
from adaspec.config import Config
from adaspec.errors import InputError
from adaspec.evaluation.figures import FIGURES
from adaspec.evaluation.summary import Summary
from adaspec.robustness.asked import CLEAN, Evaluator, ask_chunk, changed, recordings, within_full_scale
from adaspec.robustness.figures import draw_curves, draw_gradient, draw_map
from adaspec.robustness.gradient import GRADIENT, alarms, attack_fold
from adaspec.robustness.measures import ALL, Measures, first_flips, measure
from adaspec.runtime.engine import Needs, run_tasks, tasks_at_a_time
from adaspec.runtime.files import complete_folder, write_csv, write_json
from adaspec.runtime.progress import ClipProgress
from adaspec.tables.columns import PREDICTED_COLUMNS
from adaspec.tables.labels import of_spoofing
from adaspec.tables.stored import labelled_rows

__all__ = ["Survey", "survey"]

CHUNK = 10  # clips of a task
N_FLIPS = 8  # that are kept to be heard
N_TRAINED = 100  # training clips of a fold that a universal perturbation is made of


@dataclass(frozen=True)
class Flip:
    """A clip that a change turned, to be heard.

    Attributes
    ----------
    row : dict
        Of predictions.csv.
    waveform : ndarray of shape (n_samples,)
    sample_rate : int
    """

    row: dict[Any, Any]
    waveform: np.ndarray
    sample_rate: int


@dataclass(frozen=True)
class Survey:
    """What `survey` found; nothing, where nothing was asked for.

    Attributes
    ----------
    predictions : DataFrame
        Of every test clip that was asked about, as it is (`CLEAN`, level 0) and after each change.
    measures : Measures or None
    flips : list of Flip
        Clips that the smallest changes turned.
    defended : list of str
        Attributes that training changed, too.
    alarms : list of str
        What speaks against believing the attacks.
    asked : dict
        The section `robustness`.
    """

    predictions: pd.DataFrame
    measures: Measures | None
    flips: list[Flip]
    defended: list[str]
    alarms: list[str]
    asked: dict[str, Any]

    def headline(self) -> Summary:
        """The few numbers that tell runs apart: the mean over changes, and where each clip has its worst level."""
        if self.measures is None:
            return {}
        score = self.measures.score
        found = {row["change"]: row for row in self.measures.changes.to_dict("records")}
        summary: Summary = {}
        if ALL in found:
            row = found[ALL]
            summary[f"changed_{score}"] = {"mean": row[score], "ci_low": row["ci_low"], "ci_high": row["ci_high"]}
            summary[f"worst_level_{score}"] = {"mean": row["worst_level"]}
        return summary | {f"{name}_{score}": {"mean": found[name][score]} for name in GRADIENT if name in found}

    def write(self, summary: Path, details: Path) -> None:
        """Write the headline as JSON and, all or none, a folder of tables, figures and recordings."""
        with complete_folder(details) as partial:
            write_json(partial / "summary.json", self.summary())
            if self.measures is not None:
                self._write_found(partial, self.measures)
        write_json(summary, self.headline(), sort_keys=False)

    def summary(self) -> dict[str, object]:
        """What tables do not tell."""
        return {
            "alarms": self.alarms,
            "asked": self.asked,
            "defended": self.defended,
            "score": None if self.measures is None else self.measures.score,
        }

    def _write_found(self, folder: Path, measures: Measures) -> None:
        write_csv(folder / "predictions.csv", self.predictions)
        write_csv(folder / "conditions.csv", measures.conditions)
        write_csv(folder / "changes.csv", measures.changes)
        (folder / FIGURES).mkdir()
        changes = set(measures.conditions["change"])
        if changes & set(ATTRIBUTES):
            draw_map(measures.conditions, measures.score, self.defended, folder / FIGURES / "changes.svg")
            draw_curves(measures.conditions, measures.score, folder / FIGURES / "severities.svg")
        if changes & set(GRADIENT):
            draw_gradient(measures.conditions, measures.score, folder / FIGURES / "gradient.svg")
        if self.flips:
            (folder / "flips").mkdir()
            rows = [flip.row | {"file": f"flips/{number}.flac"} for number, flip in enumerate(self.flips, start=1)]
            for row, flip in zip(rows, self.flips, strict=True):
                soundfile.write(folder / str(row["file"]), np.clip(flip.waveform, -1, 1), flip.sample_rate)
            write_csv(folder / "flips.csv", pd.DataFrame(rows))

    def lines(self) -> list[str]:
        """What a terminal shows."""
        if self.measures is None:
            return ["nothing was changed: robustness.attributes and robustness.gradient.snr_db are empty"]
        score = self.measures.score
        lines = [f"{'':14}{score:>10}{'95 % interval':>17}{'difference':>12}{'worst level':>13}{'flips':>8}"]
        for row in self.measures.changes.to_dict("records"):
            mark = " *" if row["change"] in self.defended else ""
            between = f"{row['ci_low']:.3f} to {row['ci_high']:.3f}"
            cells = f"{row[score]:>10.3f}{between:>17}{row['difference']:>+12.3f}{row['worst_level']:>13.3f}"
            lines.append(f"{row['change'] + mark:14}{cells}{row['flip_rate']:>8.3f}")
        if self.defended:
            lines.append("* part of training")
        return lines + self.alarms


def survey(clips: pd.DataFrame, folds: pd.DataFrame, config: Config, models: Path) -> Survey:
    """Change test clips as the section `robustness` asks, and ask the models of their folds.

    Parameters
    ----------
    clips, folds : DataFrame
        clips.csv and folds.csv.
    config : Config
        Resolved.
    models : Path
        Output of the stage `evaluate`.

    Raises
    ------
    InputError
        An attribute is not known, a recording is gone or cannot be read, a model was not evaluated, or a fold of speech
        has one kind alone.
    """
    asked = config.robustness
    section = asked.model_dump(mode="json")
    defended = attributes_of("augment.attributes.names", config.augment.attributes.names)
    if not asked.asks:
        return Survey(pd.DataFrame(), None, [], defended, [], section)
    names, root = attributes_of("robustness.attributes", asked.attributes), Path(config.dataset.root)
    sampled, trained = (
        _sampled(clips, folds, role, number) for role, number in (("test", asked.n_clips), ("train", N_TRAINED))
    )
    if of_spoofing(clips["label"].unique()):
        _check_kinds(sampled)
    evaluators = {
        fold: Evaluator(models / f"fold-{fold}", config.train.device, config.train.threads_per_fold) for fold in sampled
    }
    chunks = [
        (fold, rows.iloc[start : start + CHUNK].reset_index(drop=True))
        for fold, rows in sampled.items()
        for start in range(0, len(rows), CHUNK)
    ]
    n_clips = sum(map(len, sampled.values()))
    asking = [(evaluators[fold], rows, root, names, config.seed) for fold, rows in chunks]
    tables = _answers("changing", n_clips, ask_chunk, asking, config)
    if asked.gradient.snr_db:
        others = _surrogates(evaluators)
        how = (root, asked.gradient.snr_db, asked.gradient.n_steps, config.seed)
        attacks = [(evaluators[fold], others.get(fold), rows, trained[fold], *how) for fold, rows in sampled.items()]
        tables += _answers("attacking", n_clips, attack_fold, attacks, config)
    predictions = pd.concat(tables, ignore_index=True)
    measures = measure(predictions, config.evaluate.n_bootstrap, config.seed)
    flips = list(_flips(predictions, chunks, root, config))
    return Survey(predictions, measures, flips, defended, alarms(predictions), section)


def _answers(
    verb: str, n_clips: int, function: Callable[..., pd.DataFrame], tasks: list[tuple[Any, ...]], config: Config
) -> list[pd.DataFrame]:
    tables, needs = [], Needs(config.train.threads_per_fold, gpu=config.train.device == "auto")
    wanted = tasks_at_a_time(config.engine, needs)
    if config.engine.workers is not None:
        wanted = min(wanted, max(1, config.engine.workers // needs.threads))
    with ClipProgress(verb, n_clips) as progress:
        for found in run_tasks(function, tasks, config.engine, needs, wanted=wanted):
            progress.advance(found["clip_id"].nunique())
            tables.append(found)
    return tables


def _sampled(clips: pd.DataFrame, folds: pd.DataFrame, role: str, number: int | None) -> dict[int, pd.DataFrame]:
    """Some clips of a role in each fold, spread over the labels: of each label in turn the next by its bytes' digest.

    They don't depend on the seed, so that runs of several seeds can be compared.
    """
    columns = [name for name in clips if name in ("path", *PREDICTED_COLUMNS) and name not in ("clip_id", "fold")]
    used = labelled_rows(clips, folds, [*columns, "digest"])
    found = {}
    for fold, rows in used[used["role"] == role].drop(columns=["role", "weight"]).groupby("fold"):
        mixed = rows.sort_values(["digest", "clip_id"])
        ranked = mixed.assign(turn=mixed.groupby("label").cumcount()).sort_values(["turn", "label"], kind="stable")
        found[int(str(fold))] = ranked.drop(columns=["turn", "digest"]).head(number or len(rows))
    return found


def _check_kinds(sampled: dict[int, pd.DataFrame]) -> None:
    """Refuse a fold of one kind of speech alone: error rates need both."""
    for fold, rows in sampled.items():
        if rows["label"].nunique() < 2:
            raise InputError(
                f"fold {fold}: its {len(rows)} test clips are all {rows['label'].iloc[0]}, and error rates need both "
                "kinds; raise robustness.n_clips, or set it to null"
            )


def _surrogates(evaluators: dict[int, Evaluator]) -> dict[int, Evaluator]:
    """The next fold's model for each fold, where there are several."""
    folds = list(evaluators)
    following = [*folds[1:], folds[0]]
    return {fold: evaluators[other] for fold, other in zip(folds, following, strict=True) if other != fold}


def _flips(
    predictions: pd.DataFrame, chunks: list[tuple[int, pd.DataFrame]], root: Path, config: Config
) -> Iterator[Flip]:
    rate = config.audio.sample_rate
    assert rate is not None  # resolved
    of_attributes = predictions[predictions["change"].isin([CLEAN, *ATTRIBUTES])]
    for row in first_flips(of_attributes, N_FLIPS).to_dict("records"):
        [chunk] = [rows for fold, rows in chunks if fold == row["fold"] and (rows["clip_id"] == row["clip_id"]).any()]
        own = within_full_scale(list(recordings([root / path for path in chunk["path"]], rate)))
        position = int((chunk["clip_id"] == row["clip_id"]).argmax())
        how = (row["change"], row["level"], config.seed)
        yield Flip(row, changed(own, position, row["clip_id"], rate, *how), rate)
