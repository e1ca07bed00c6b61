"""Score every fold's clips with the model that never saw them, and report on them as their task asks."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from adaspec.config import Config
from adaspec.evaluation.figures import FIGURES, draw_curves
from adaspec.evaluation.learned import Learned
from adaspec.evaluation.reports import REPORTS, Evidence, Report
from adaspec.evaluation.speaking import Speaking
from adaspec.evaluation.trials.decision import COHORT
from adaspec.features.representation import feature_contract
from adaspec.features.store import FeatureStore
from adaspec.models.evaluated import Evaluated, decide
from adaspec.models.history import read_history
from adaspec.models.saved import SPEAKER, load, save_evaluated
from adaspec.models.scoring import score_clips
from adaspec.runtime.engine import Needs, compute_alike, run_tasks, torch_device
from adaspec.runtime.files import complete_folder, write_csv, write_json
from adaspec.speakers.network import copy_network, has_network
from adaspec.speakers.vectors import Vectors, write_vectors
from adaspec.tables import VERIFICATION_COLUMNS
from adaspec.tables.columns import DETAILS, PREDICTED_COLUMNS, score_column
from adaspec.tables.stored import labelled_rows
from adaspec.tasks import task_name

__all__ = ["Evaluation", "evaluate"]

MANY = 10_000  # clips, from which on it pays to start processes that score folds side by side


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found.

    Attributes
    ----------
    report : Report
    learned : Learned
        What the front end learned.
    predictions : DataFrame
        Of each test clip `PREDICTED_COLUMNS` as far as the data set tells them, and `score_LABEL`: all that it takes to
        compare runs.
    histories : dict of int to DataFrame
        Fold -> rows of `read_history`.
    evaluated : dict of int to Evaluated
        Fold -> what its model was evaluated with.
    cohorts : dict of int to Vectors
        Fold -> vectors of its training speakers, where there are any.
    """

    report: Report
    learned: Learned
    predictions: pd.DataFrame
    histories: dict[int, pd.DataFrame]
    evaluated: dict[int, Evaluated]
    cohorts: dict[int, Vectors]

    def write(self, folder: Path) -> None:
        """Write summary.json and, all or none, the folder `DETAILS`."""
        details = folder / DETAILS
        with complete_folder(details) as partial:
            (partial / FIGURES).mkdir()
            self.report.write(partial)
            self.learned.write(partial)
            draw_curves(self.histories, partial / FIGURES / "curves.svg")
            curves = pd.concat(self.histories.values()).groupby("epoch", as_index=False).mean()
            write_csv(partial / "curves.csv", curves, missing="NaN")  # an empty cell would be drawn as 0
            write_csv(partial / "predictions.csv", self.predictions)
            write_json(partial / "summary.json", self.report.summary)
            for fold, scores in self.report.folds.items():
                found = self.learned.folds.get(fold)
                content = scores | ({"frontend": found} if found else {})
                write_json(partial / "folds" / f"fold-{fold}.json", content)
        write_json(folder / "summary.json", self.report.headline, sort_keys=False)  # of the columns of `dvc exp show`

    def write_models(self, trained: Path, models: Path, speakers: Path | None = None) -> None:
        """Write, all or none, the trained models with what they were evaluated with into the folder `models`.

        Where a network makes vectors of speakers, it comes along, with what the report decides by.
        """
        with complete_folder(models) as partial:
            for fold, evaluated in self.evaluated.items():
                folder = partial / f"fold-{fold}"
                shutil.copytree(trained / f"fold-{fold}", folder)
                save_evaluated(folder, evaluated)
                if speakers is not None and has_network(speakers / f"fold-{fold}"):
                    copy_network(speakers / f"fold-{fold}", folder / SPEAKER)
                    write_vectors(folder / SPEAKER / COHORT, self.cohorts[fold])
                    self.report.write_decision(fold, folder / SPEAKER)

    def lines(self) -> list[str]:
        """What a terminal shows."""
        return [*self.report.lines(), *self.learned.lines()]


def evaluate(
    clips: pd.DataFrame,
    folds: pd.DataFrame,
    config: Config,
    features: Path,
    models: Path,
    speakers: Path | None = None,
    asv_scores: pd.DataFrame | None = None,
    verification_trials: pd.DataFrame | None = None,
) -> Evaluation:
    """Evaluate all folds.

    Parameters
    ----------
    clips, folds : DataFrame
        clips.csv and folds.csv.
    config : Config
        Of which `engine`, `evaluate`, `seed`, `train.device` and `train.threads_per_fold` count; the models know the
        rest.
    features, models : Path
        Outputs of the stages `features` and `train`.
    speakers : Path, optional
        Output of the stage `embed`, for models that take the claimed speaker's vector and for speaker verification.
    asv_scores, verification_trials : DataFrame, optional
        Outputs of the stage `prepare`, for reports that need them.
    """
    used = labelled_rows(clips, folds, clips.columns.drop(["clip_id", "fold"]).tolist())
    trained = {int(str(fold)): load(models / f"fold-{fold}") for fold in sorted(used["fold"].unique())}
    labels = next(iter(trained.values())).labels
    report = REPORTS[task_name(labels)]
    rows = used[used["role"].isin(report.roles)]
    speaking = {fold: Speaking(None if speakers is None else speakers / f"fold-{fold}") for fold in trained}
    tried = pd.DataFrame(columns=VERIFICATION_COLUMNS) if verification_trials is None else verification_trials
    of_clips = clips.rename(columns={"speaker": "spoken_by"}).drop(columns=["fold", "subset"])
    described = tried.merge(of_clips, on="clip_id", how="left")
    of_folds = [speaking[fold].trials(described, used[used["fold"] == fold]).assign(fold=fold) for fold in trained]
    folders, n_claimed = {fold: models / f"fold-{fold}" for fold in trained}, next(iter(trained.values())).n_claimed
    scored, trials = _scored(rows, pd.concat(of_folds), folders, n_claimed, speaking, config, features)
    thresholds = report.thresholds(scored)
    for fold, rows in scored.groupby("fold"):
        probabilities = rows[[score_column(label) for label in labels]].to_numpy()
        scored.loc[rows.index, "predicted"] = decide(probabilities, labels, thresholds.get(int(str(fold))))
    settings: dict[str, Any] = config.evaluate.model_dump(include={"vote", "overlap"})
    evidence = Evidence(scored, used[used["role"] == "train"], labels, config.evaluate, config.seed, asv_scores, trials)
    shown = [name for name in (*PREDICTED_COLUMNS, *map(score_column, labels)) if name in scored]
    return Evaluation(
        report=report(evidence),
        learned=Learned(trained),
        predictions=scored.loc[scored["role"] == "test", shown].reset_index(drop=True),
        cohorts={fold: who.cohort for fold, who in speaking.items()},
        evaluated={fold: Evaluated(**settings, threshold=thresholds.get(fold)) for fold in trained},
        histories={fold: pd.DataFrame(read_history(models / f"fold-{fold}")) for fold in trained},
    )


def _scored(
    rows: pd.DataFrame,
    trials: pd.DataFrame,
    models: dict[int, Path],
    n_claimed: int,
    speaking: dict[int, Speaking],
    config: Config,
    features: Path,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows and verification trials with what the model of their fold says, `score_LABEL`.

    Trials also get the score of speaker verification, `asv_score`.
    """
    # Each recording once, or once for each speaker whom it is claimed to be of.
    key, voting = ["clip_id", "speaker"] if n_claimed else ["clip_id"], config.evaluate
    asked, owned, tried, tasks = [], [], [], []
    for fold, folder in models.items():
        own, who = rows[rows["fold"] == fold].reset_index(drop=True), speaking[fold]
        owned.append(who.asked(own) if n_claimed else own)
        tried.append(trials[trials["fold"] == fold].reset_index(drop=True))
        asked.append(pd.concat([owned[-1][key], tried[-1][key]]).drop_duplicates(ignore_index=True))
        claimed = who.claimed(asked[-1]["speaker"]) if n_claimed else None
        tasks.append((folder, list(asked[-1]["clip_id"]), claimed, config, features))
    few = config.engine.backend == "local" and sum(map(len, asked)) < MANY
    needs = Needs(config.train.threads_per_fold, gpu=config.train.device == "auto")
    wanted = 1 if few else config.engine.parallel_folds
    tables, of_trials = [], []
    scored = run_tasks(_score_fold, tasks, config.engine, needs, wanted=wanted, n_tasks=len(tasks))
    for scores, each, own, trial, who in zip(scored, asked, owned, tried, speaking.values(), strict=True):
        answers = pd.concat([each, scores], axis=1)
        tables.append(own.merge(answers, on=key, how="left"))
        if len(trial):
            answered = trial.merge(answers, on=key, how="left")
            of_trials.append(answered.assign(asv_score=who.verify(trial, voting.cohort)))
    return pd.concat(tables, ignore_index=True), pd.concat(of_trials, ignore_index=True) if of_trials else trials


def _score_fold(
    folder: Path, clip_ids: list[str], claimed: torch.Tensor | None, config: Config, features: Path
) -> pd.DataFrame:
    """What a fold's model says of clips, `score_LABEL`."""
    # As many threads as in training: their number decides the last bits, and so the bytes of predictions.csv.
    compute_alike(config.train.threads_per_fold)
    model = load(folder).to(torch_device(config.train.device))
    store = FeatureStore(features, feature_contract(model.config))
    scores = score_clips(model, clip_ids, store, config.evaluate.vote, config.evaluate.overlap, claimed)
    return pd.DataFrame(scores.numpy(), columns=[score_column(label) for label in model.labels])
