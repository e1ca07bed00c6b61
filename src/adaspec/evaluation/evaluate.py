"""Score every fold's test clips with the model that never saw them, and summarise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from adaspec.config import Config
from adaspec.evaluation.figures import draw_confusion, draw_curves
from adaspec.evaluation.learned import Learned
from adaspec.evaluation.reports.spoofing import ATTACK_COLUMNS, SpoofingDetection, asv_errors_of, is_spoofing, log_odds
from adaspec.evaluation.scores.classification import (
    bootstrap_interval,
    classification_scores,
    confusion_matrix,
    per_class_scores,
)
from adaspec.features.representation import feature_contract
from adaspec.features.store import FeatureStore
from adaspec.models.history import read_history
from adaspec.models.saved import load
from adaspec.models.scoring import score_clips
from adaspec.runtime.engine import torch_device
from adaspec.runtime.files import complete_folder, write_csv, write_json
from adaspec.runtime.seeding import generator
from adaspec.tables import BONAFIDE, SPOOF

__all__ = ["Evaluation", "evaluate"]

N_WORST = 100
NO_TRIALS = "no trials: the labels are not bonafide and spoof\n"


class Evaluation:
    """What `evaluate` found, as it is written to `metrics/` and logged.

    Parameters
    ----------
    predictions : DataFrame
        `clip_id`, `fold`, `path`, `label`, `predicted`, `score_LABEL` of each test clip.
    labels : list of str
    histories : dict of int to DataFrame
        Fold -> rows of `read_history`.
    config : Config
        Resolved.
    learned : Learned, optional
        What the front end learned.
    spoofing : SpoofingDetection, optional
        Where the classes are bona fide and spoofed speech.

    Attributes
    ----------
    summary : dict of str to dict
        Score -> mean, std (over folds, n - 1), ci_low, ci_high (95 %).
    folds : dict of int to dict
        Fold -> score -> value.
    """

    def __init__(
        self,
        predictions: pd.DataFrame,
        labels: list[str],
        histories: dict[int, pd.DataFrame],
        config: Config,
        learned: Learned | None = None,
        spoofing: SpoofingDetection | None = None,
    ) -> None:
        self.predictions, self.labels, self.histories, self.spoofing = predictions, labels, histories, spoofing
        self.learned = Learned({}) if learned is None else learned
        index = {label: position for position, label in enumerate(labels)}
        pairs = {
            int(str(fold)): (rows["label"].map(index).to_numpy(), rows["predicted"].map(index).to_numpy())
            for fold, rows in predictions.groupby("fold")
        }
        confusions = {fold: confusion_matrix(*pair, len(labels)) for fold, pair in pairs.items()}
        self.confusion = np.sum(list(confusions.values()), axis=0)
        self.folds = {
            fold: {name: round(float(value), 6) for name, value in classification_scores(confusion).items()}
            for fold, confusion in confusions.items()
        }
        rng = generator(config.seed, "bootstrap")
        intervals = bootstrap_interval(list(pairs.values()), len(labels), config.evaluate.n_bootstrap, rng)
        self.summary: dict[str, dict[str, float]] = {}
        for name, (low, high) in intervals.items():
            values = np.array([scores[name] for scores in self.folds.values()])
            spread = {"std": round(float(values.std(ddof=1)), 6)} if len(values) > 1 else {}
            interval = {"ci_low": round(low, 6), "ci_high": round(high, 6)}
            self.summary[name] = {"mean": round(float(values.mean()), 6), **spread, **interval}
        if spoofing is not None:
            self.summary |= spoofing.summary()
            for fold, scores in spoofing.folds.items():
                self.folds[fold] |= scores

    def write(self, folder: Path) -> None:
        """Write summary.json, folds/, figures/ and the tables; those of other tasks without rows."""
        write_json(folder / "summary.json", self.summary)
        with complete_folder(folder / "folds") as partial:
            for fold, scores in self.folds.items():
                found = self.learned.folds.get(fold)
                write_json(partial / f"fold-{fold}.json", scores | ({"frontend": found} if found else {}))
        write_csv(folder / "predictions.csv", self.predictions.drop(columns="path"))
        write_csv(folder / "per_class.csv", pd.DataFrame({"label": self.labels, **per_class_scores(self.confusion)}))
        curves = pd.concat(self.histories.values()).groupby("epoch", as_index=False).mean()
        write_csv(folder / "curves.csv", curves)
        write_csv(folder / "worst_errors.csv", self.worst_errors())
        self.learned.write(folder)
        with complete_folder(folder / "figures") as partial:
            draw_confusion(self.confusion, self.labels, partial / "confusion.png")
            draw_curves(self.histories, partial / "curves.png")
            self.learned.draw(partial)
            if self.spoofing is not None:
                self.spoofing.draw(partial)
        if self.spoofing is not None:
            self.spoofing.write(folder)
        else:
            write_csv(folder / "attacks.csv", pd.DataFrame(columns=ATTACK_COLUMNS))
            for name in ("scores.txt", "scores_validation.txt"):
                (folder / name).write_text(NO_TRIALS, encoding="utf-8")  # DVC warns of empty files

    def worst_errors(self) -> pd.DataFrame:
        """Test clips that were taken for something else: fold, path, label, predicted, own_score; the worst first."""
        wrong = self.predictions[self.predictions["label"] != self.predictions["predicted"]]
        own = [row[f"score_{row['label']}"] for row in wrong.to_dict("records")]
        ranked = wrong.assign(own_score=own).sort_values(["own_score", "path"], kind="stable")
        return ranked[["fold", "path", "label", "predicted", "own_score"]].head(N_WORST)

    def table(self) -> str:
        """Accuracy and F1 of the folds and over them, and what the front end learned, for a terminal."""
        lines = [f"{'':10}{'accuracy':>10}{'F1 macro':>10}"]
        for fold, scores in self.folds.items():
            lines.append(f"{f'fold {fold}':10}{scores['accuracy']:>10.3f}{scores['f1_macro']:>10.3f}")
        for statistic, title in (("mean", "mean"), ("std", "std"), ("ci_low", "95 % from"), ("ci_high", "95 % to")):
            values = [self.summary[name].get(statistic) for name in ("accuracy", "f1_macro")]
            cells = (f"{value:>10.3f}" if value is not None else f"{'-':>10}" for value in values)
            lines.append(f"{title:10}{''.join(cells)}")
        return "\n".join([*lines, *self.learned.lines(), *(["", *self.spoofing.lines()] if self.spoofing else [])])


def evaluate(
    clips: pd.DataFrame,
    folds: pd.DataFrame,
    config: Config,
    features: Path,
    models: Path,
    asv_scores: pd.DataFrame | None = None,
) -> Evaluation:
    """Evaluate all folds.

    Parameters
    ----------
    clips, folds : DataFrame
        clips.csv and folds.csv.
    config : Config
        Resolved.
    features, models : Path
        Outputs of the stages `features` and `train`.
    asv_scores : DataFrame, optional
        Output of the stage `prepare`, for anti-spoofing.
    """
    labels = sorted(clips["label"].unique())
    spoofing = is_spoofing(labels)
    used = folds[folds["weight"] > 0].merge(clips.drop(columns="fold"), on="clip_id")
    scored = used[used["role"].isin(["validation", "test"] if spoofing else ["test"])]
    trained = {int(str(fold)): load(models / f"fold-{fold}") for fold in sorted(scored["fold"].unique())}
    tables = []
    for fold, model in trained.items():
        rows = scored[scored["fold"] == fold].reset_index(drop=True)
        # As many threads as in training: their number decides the last bits, and so the bytes of predictions.csv.
        torch.set_num_threads(config.train.threads_per_fold)
        store = FeatureStore(features, feature_contract(model.config))
        model.to(torch_device(config.train.device))
        clip_ids, voting = list(rows["clip_id"]), config.evaluate
        scores = score_clips(model, clip_ids, store, voting.vote, voting.overlap).numpy()
        rows["predicted"] = [labels[index] for index in scores.argmax(axis=1)]
        tables.append(pd.concat([rows, pd.DataFrame(scores, columns=[f"score_{label}" for label in labels])], axis=1))
    table = pd.concat(tables, ignore_index=True)
    shown = ["clip_id", "fold", "path", "label", "predicted", *(f"score_{label}" for label in labels)]
    predictions = table.loc[table["role"] == "test", shown].reset_index(drop=True)
    histories = {fold: pd.DataFrame(read_history(models / f"fold-{fold}")) for fold in trained}
    detection = None
    if spoofing:
        trials = table.assign(score=log_odds(*(table[f"score_{label}"].to_numpy() for label in (BONAFIDE, SPOOF))))
        for column in ("attack", "speaker"):  # a manifest does not tell them
            if column not in trials:
                trials[column] = np.where(trials["label"] == BONAFIDE, "-", SPOOF) if column == "attack" else ""
        seen = set(used.loc[used["role"] == "train", "attack"]) if "attack" in used else {SPOOF}
        asv, n_bootstrap = asv_errors_of(asv_scores, config), config.evaluate.n_bootstrap
        detection = SpoofingDetection(trials, seen, asv, n_bootstrap=n_bootstrap, seed=config.seed)
    return Evaluation(predictions, labels, histories, config, Learned(trained), detection)
