import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from toydata import make_toy

from adaspec.config import EvaluateConfig
from adaspec.evaluation.evaluate import evaluate
from adaspec.evaluation.reports import Evidence
from adaspec.evaluation.reports.spoofing import SpoofingReport
from adaspec.evaluation.scores.error_curve import error_curve
from adaspec.evaluation.scores.tandem import AsvErrors
from adaspec.evaluation.trials.attacks import per_attack
from adaspec.evaluation.trials.detector import TrialScores
from adaspec.evaluation.trials.text import describe, report
from adaspec.models.evaluated import log_odds
from adaspec.runtime.table import TableForm
from adaspec.tables.score_files import read_scores
from adaspec.training.fit import fit_fold

ASV = AsvErrors(p_fa=0.0246047, p_miss=0.0245810, p_fa_spoof=0.7606525)


def trials(n_speakers: int = 4, seed: int = 0, shift: float = 2.0, fold: int = 1) -> pd.DataFrame:
    """Gaussian scores: A01 is `shift` below bona fide speech, A07 half as far."""
    rng = np.random.default_rng([seed, fold])
    rows = []
    for role in ("validation", "test"):
        for attack, mean in (("-", 0.0), ("A01", -shift), ("A07", -shift / 2)):
            for index, score in enumerate(rng.normal(mean, size=120)):
                label = "bonafide" if attack == "-" else "spoof"
                speaker = f"s{index % n_speakers}"
                rows.append((fold, role, f"{role}/{attack}{index}.flac", label, attack, speaker, score))
    return pd.DataFrame(rows, columns=["fold", "role", "path", "label", "attack", "speaker", "score"])


def detection(
    table: pd.DataFrame, asv: AsvErrors | None = ASV, seen: frozenset[str] = frozenset({"A01"})
) -> TrialScores:
    return TrialScores(table, asv, seen=set(seen), n_bootstrap=200, seed=1)


def attacks(table: pd.DataFrame, seen: str = "A01") -> pd.DataFrame:
    return per_attack(detection(table, seen=frozenset({seen}))).set_index("attack")


def text(found: TrialScores) -> str:
    return "\n".join(describe(found, per_attack(found)))


def eer_interval(found: TrialScores) -> tuple[float, float]:
    return found.summary["eer"]["ci_low"], found.summary["eer"]["ci_high"]


def test_scores_are_those_of_the_test_trials_at_the_validation_threshold() -> None:
    table = trials()
    found = detection(table).folds[1]
    parts = {role: rows for role, rows in table.groupby("role")}
    curves = {role: error_curve(rows["score"], rows["label"] == "bonafide") for role, rows in parts.items()}
    assert found["eer"] == pytest.approx(float(curves["test"].eer()), abs=1e-6)
    assert found["validation_eer"] == pytest.approx(float(curves["validation"].eer()), abs=1e-6)
    assert found["threshold"] == pytest.approx(curves["validation"].eer_threshold(), abs=1e-6)
    test = parts["test"]
    accepted, bonafide = test["score"] >= found["threshold"], test["label"] == "bonafide"
    assert found["p_fa_at_threshold"] == pytest.approx(accepted[~bonafide].mean(), abs=1e-6)
    assert found["p_miss_at_threshold"] == pytest.approx((~accepted[bonafide]).mean(), abs=1e-6)
    assert found["threshold"] != pytest.approx(curves["test"].eer_threshold(), abs=1e-6)


def test_threshold_is_even_odds_without_validation_trials() -> None:
    table = trials()
    found = detection(table[table["role"] == "test"])
    assert found.folds[1]["threshold"] == 0
    assert "validation_eer" not in found.folds[1]
    assert "without validation clips" in text(found)


def test_interval_holds_the_true_eer_in_most_draws() -> None:
    """Of Gaussians at distance 2: Phi(-1), by attack A01 alone."""
    hits = 0
    for seed in range(40):
        table = trials(seed=seed)
        low, high = eer_interval(detection(table[table["attack"] != "A07"]))
        hits += low <= norm.cdf(-1) <= high
    assert hits >= 34


def test_speakers_are_resampled_where_there_are_ten() -> None:
    few, many = detection(trials(9)), detection(trials(10))
    assert (few.by_speaker, many.by_speaker) == (False, True)
    assert "speakers resampled" in text(many).splitlines()[0]
    assert "trials resampled" in text(few).splitlines()[0]
    # All trials of a speaker alike: what matters is how many speakers there are, not how many trials.
    table = trials(12)
    alike = table.assign(score=table.groupby(["role", "speaker", "attack"])["score"].transform("first"))
    low, high = eer_interval(detection(alike))
    few_low, few_high = eer_interval(detection(alike.assign(speaker="one")))
    assert high - low > 2 * (few_high - few_low)


def test_attacks_are_told_apart_and_seen_ones_from_unseen_ones() -> None:
    table = attacks(trials())
    assert table.index.tolist() == ["A01", "A07", "seen", "unseen", "all"]
    assert table["seen"].tolist() == ["yes", "no", "-", "-", "-"]
    assert table["n_trials"].tolist() == [120, 120, 120, 120, 240]
    assert table.loc["A07", "eer"] > table.loc["A01", "eer"] + 0.05
    assert table.loc["seen", "eer"] == table.loc["A01", "eer"]
    assert (table["eer_ci_low"] <= table["eer"]).all()
    assert (table["eer"] <= table["eer_ci_high"]).all()


def test_attacks_that_are_a_seen_system_under_another_name_are_seen() -> None:
    table = trials().replace({"attack": {"A07": "A16"}})
    found = attacks(table, seen="A04")
    assert found.loc[["A01", "A16"], "seen"].tolist() == ["no", "yes"]


def test_folds_are_averaged() -> None:
    both = pd.concat([trials(fold=1), trials(fold=2, shift=1.0)])
    found = detection(both)
    summary = found.summary
    assert summary["eer"]["mean"] == pytest.approx((found.folds[1]["eer"] + found.folds[2]["eer"]) / 2, abs=1e-6)
    assert summary["eer"]["std"] > 0
    assert summary["eer"]["ci_low"] < summary["eer"]["mean"] < summary["eer"]["ci_high"]
    assert found.thresholds[1] != found.thresholds[2]


def test_a_wrong_direction_is_told() -> None:
    table = trials()
    right, wrong = detection(table), detection(table.assign(score=-table["score"]))
    assert wrong.folds[1]["eer"] == pytest.approx(1 - right.folds[1]["eer"], abs=1e-6)
    assert "warning: an EER above 50 %" in text(wrong)
    assert "warning" not in text(right)


def test_no_tandem_cost_without_an_asv_system() -> None:
    assert "min_tdcf_2019" in detection(trials()).summary
    assert "min_tdcf_2019" not in detection(trials(), asv=None).summary


def test_log_odds_are_finite_and_rise() -> None:
    p = np.array([0.0, 1e-30, 0.25, 0.5, 1.0], dtype=np.float32)
    found = log_odds(p, 1 - p)
    assert np.isfinite(found).all()
    assert (np.diff(found) > 0).all()
    assert found[3] == 0


def test_score_files_name_trials_by_their_files(tmp_path: Path) -> None:
    table = trials().assign(path=lambda rows: [f"flac/LA E_{index}.flac" for index in range(len(rows))])
    detection(table).write(tmp_path)
    scores = read_scores(tmp_path / "scores.txt")
    test = table[table["role"] == "test"]
    assert scores["file"].tolist() == [f"LA_E_{index}" for index in test.index]
    np.testing.assert_allclose(scores["score"], test["score"], rtol=1e-8)


def test_report_of_score_files(tmp_path: Path) -> None:
    found = detection(trials())
    found.write(tmp_path)
    read = report(tmp_path / "scores.txt", None, tmp_path / "scores_validation.txt", 200)
    told, eer = read.text(TableForm.TEXT), found.folds[1]["eer"]
    assert re.search(rf"^EER, % +{100 * eer:.2f} ", told, re.MULTILINE)
    balanced = found.folds[1]["balanced_accuracy_at_threshold"]
    assert re.search(rf"^balanced accuracy \*, % +{100 * balanced:.2f}$", told, re.MULTILINE)
    assert "min t-DCF" not in told
    (tmp_path / "asv.txt").write_text("- target 3\n- target 1\n- nontarget 0\n- nontarget 2\nA01 spoof 2.5\n")
    with_asv = report(tmp_path / "scores.txt", tmp_path / "asv.txt", None, 200)
    assert "| min t-DCF, 2019 |" in with_asv.text(TableForm.MARKDOWN)
    values = json.loads(json.dumps(with_asv.json()))
    assert values["eer"]["value"] == pytest.approx(eer, abs=1e-6)
    assert (
        values["attacks"]["A01"]["ci_low"] <= values["attacks"]["A01"]["value"] <= values["attacks"]["A01"]["ci_high"]
    )
    assert {"min_tdcf_2019", "min_tdcf_2021", "act_dcf", "cllr"} <= set(values)


def test_spoofed_trials_of_no_told_attack_are_an_attack_of_their_own(tmp_path: Path) -> None:
    """A07 scores far below bona fide speech, the trials whose attack the file does not tell far above."""
    lines = [f"b{i} bonafide bonafide {i / 10}\na{i} A07 spoof {-5 - i}\nu{i} - spoof {5 + i}" for i in range(9)]
    (tmp_path / "scores.txt").write_text("\n".join(lines))
    found = report(tmp_path / "scores.txt", None, None, 100).attacks.set_index("attack")
    assert found["n_trials"].to_dict() == {"A07": 9, "unknown": 9, "all": 18}
    assert found["eer"].to_dict() == {"A07": 0, "unknown": 1, "all": pytest.approx(0.5)}


def test_evaluation_of_a_detector_writes_scores_attacks_and_figures(tmp_path: Path) -> None:
    knobs = {"train.epochs": 6, "augment.mix.name": "none", "train.optimizer.learning_rate": 0.01}
    toy = make_toy(tmp_path, {"bonafide": 9, "spoof": 15}, **knobs)
    clips = toy.clips.assign(
        attack=["-" if label == "bonafide" else f"A0{index % 2 + 1}" for index, label in enumerate(toy.clips["label"])],
        speaker=[f"s{index % 3}" for index in range(len(toy.clips))],
    )
    for fold in (1, 2):
        folder = tmp_path / f"checkpoints-{fold}"
        fit_fold(fold, toy.rows(fold), toy.labels, toy.config, toy.features, folder, tmp_path / f"models/fold-{fold}")
    asv_scores = pd.DataFrame({"key": ["target", "nontarget", "spoof"], "score": [3.0, 1.0, 2.9]})
    found = evaluate(clips, toy.folds, toy.config, toy.features, tmp_path / "models", asv_scores=asv_scores)
    found.write(tmp_path / "metrics")
    details = tmp_path / "metrics/details"
    drawn = ("attacks", "calibration", "confusion", "costs", "curves", "det", "scores")
    assert {path.name for path in (details / "figures").iterdir()} == {f"{name}.svg" for name in drawn}
    assert {"attacks.csv", "scores.txt", "scores_validation.txt"} <= {path.name for path in details.iterdir()}
    summary = json.loads((details / "summary.json").read_text())
    assert {"accuracy", "eer", "min_tdcf_2019", "brier", "calibration_error"} <= set(summary)
    headline = json.loads((tmp_path / "metrics/summary.json").read_text())
    assert headline == {"eer": summary["eer"], "min_tdcf_2019": {"mean": summary["min_tdcf_2019"]["mean"]}}
    scores = read_scores(details / "scores.txt")
    assert len(scores) == (toy.folds["role"] == "test").sum()
    assert scores["file"].str.fullmatch(r"fold-[12]/(bonafide|spoof)/\d\d\.wav").all()
    table = pd.read_csv(details / "predictions.csv")
    told = [name for name in ("speaker", "attack") if name in toy.clips]
    assert list(table)[: 3 + len(told)] == ["clip_id", "fold", "group", *told]
    odds = np.log(table["score_bonafide"] / table["score_spoof"])
    np.testing.assert_allclose(np.sort(scores["score"]), np.sort(odds), rtol=1e-4, atol=1e-3)
    assert "balanced accuracy *" in "\n".join(found.lines())
    assert pd.read_csv(details / "attacks.csv")["attack"].tolist() == ["A01", "A02", "seen", "all"]


def evidence(asv_scores: pd.DataFrame | None = None, rates: Any = None, columns: tuple[str, ...] = ()) -> Evidence:
    """Trials as clips that were scored, without the columns that the data set does not tell."""
    p = 1 / (1 + np.exp(-trials()["score"]))
    table = trials().assign(score_bonafide=p, score_spoof=1 - p, group=range(len(p)))
    table["predicted"] = np.where(p >= 0.5, "bonafide", "spoof")
    config = EvaluateConfig(vote="mean", overlap=0.0, cohort=0, costs="default", n_bootstrap=100, asv_error_rates=rates)
    table = table.drop(columns=["score", *columns])
    trained = table[table["role"] == "validation"].assign(role="train")
    return Evidence(table, trained, ["bonafide", "spoof"], config, 1, asv_scores=asv_scores)


def test_asv_errors_are_the_configured_ones_or_of_the_data_set() -> None:
    asv_scores = pd.DataFrame({"key": ["target", "nontarget", "spoof"], "score": [3.0, 1.0, 2.9]})
    configured = SpoofingReport(evidence(asv_scores, (0.1, 0.2, 0.9))).trials.asv
    assert configured == AsvErrors(0.1, 0.2, 0.9)
    assert SpoofingReport(evidence(asv_scores)).trials.asv == AsvErrors(0, 0, 1)
    without = SpoofingReport(evidence(asv_scores[:0]))
    assert without.trials.asv is None
    assert without.headline == {"eer": without.summary["eer"]}


def test_data_set_that_tells_no_attacks_has_one() -> None:
    found = SpoofingReport(evidence(columns=("attack", "speaker"))).attacks
    assert found["attack"].tolist() == ["spoof", "seen", "all"]
    assert found["seen"].tolist() == ["yes", "-", "-"]


def test_no_scores_of_validation_trials_where_there_are_none(tmp_path: Path) -> None:
    table = trials()
    detection(table[table["role"] == "test"]).write(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["scores.txt"]
