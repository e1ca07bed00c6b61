"""Scores of verification under spoofing, by hand, by independent implementations and by published figures."""

import json
import os
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_curve

from adaspec.cli import Blending, Costs
from adaspec.errors import InputError
from adaspec.evaluation.scores.likelihood import likelihoods
from adaspec.evaluation.scores.speaker_aware import COSTS, t_eer, verified
from adaspec.evaluation.trials.blends import BLENDS
from adaspec.evaluation.trials.detector import TrialScores
from adaspec.evaluation.trials.speaker_aware import report
from adaspec.evaluation.trials.text import report as detector_report
from adaspec.runtime.table import TableForm

SHARED = Path(os.environ.get("ADASPEC_SHARED", Path(__file__).parents[3] / "shared")) / "data"
TRIALS = SHARED / "sasv_scores/dev_scores_label.csv"
needs_trials = pytest.mark.skipif(not TRIALS.exists(), reason="needs shared/data/sasv_scores; set ADASPEC_SHARED")
LA = SHARED / "asvspoof2019_la_scores"
needs_la = pytest.mark.skipif(not LA.exists(), reason="needs shared/data/asvspoof2019_la_scores; set ADASPEC_SHARED")


def trials(seed: int = 0, n_trials: int = 300, decimals: int = 6) -> pd.DataFrame:
    """Verification tells speakers apart, the countermeasure spoofs; with few decimals there are ties."""
    rng = np.random.default_rng(seed)
    label = np.array(["target", "nontarget", "spoof"], dtype=object)[rng.integers(0, 3, n_trials)]
    label[:3] = ["target", "nontarget", "spoof"]
    asv = rng.normal(size=n_trials) + 3.0 * (label == "target") + 2.0 * (label == "spoof")
    cm = rng.normal(size=n_trials) + 3.0 * (label != "spoof")
    table = pd.DataFrame({"label": label, "asv_score": asv.round(decimals), "cm_score": cm.round(decimals)})
    return table.assign(attack=np.where(label == "spoof", "A07", "-"), speaker="")


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.parametrize("decimals", [6, 0])
@pytest.mark.parametrize("costs", list(COSTS))
def test_scores_agree_with_a_search_over_thresholds(decimals: int, costs: str) -> None:
    chosen = COSTS[costs]
    for seed in range(20):
        table = trials(seed, 60, decimals)
        scores, label = table["asv_score"].to_numpy(), table["label"].to_numpy()
        found = verified(scores, label, chosen).values()
        best = np.inf
        for threshold in [*np.unique(scores), np.inf]:
            accepted = {kind: (scores[label == kind] >= threshold).mean() for kind in ("target", "nontarget", "spoof")}
            cost = chosen.p_target * chosen.miss * (1 - accepted["target"])
            cost += chosen.p_nontarget * chosen.fa_nontarget * accepted["nontarget"]
            cost += chosen.p_spoof * chosen.fa_spoof * accepted["spoof"]
            best = min(best, cost)
        least = min(
            chosen.p_target * chosen.miss, chosen.p_nontarget * chosen.fa_nontarget + chosen.p_spoof * chosen.fa_spoof
        )
        assert found["a_dcf"] == pytest.approx(best / least, abs=1e-9)
        for name, kinds in {"sv_eer": ["nontarget"], "spf_eer": ["spoof"], "sasv_eer": ["nontarget", "spoof"]}.items():
            used = np.isin(label, ["target", *kinds])
            p_fa, p_hit, _ = roc_curve(label[used] == "target", scores[used], drop_intermediate=False)
            crossing = np.interp(0, p_fa + p_hit - 1, p_fa)
            assert found[name] == pytest.approx(crossing, abs=1e-9)


def test_t_eer_is_where_targets_are_rejected_as_often_as_both_others_are_accepted() -> None:
    """Independent Gaussian scores, whose thresholds are those of a grid."""
    rng = np.random.default_rng(0)
    kinds = np.repeat(np.array(["target", "nontarget", "spoof"], dtype=object), 4000)
    asv = rng.normal(size=12_000) + np.repeat([3.0, 0.0, 2.5], 4000)
    cm = rng.normal(size=12_000) + np.repeat([3.0, 3.0, 0.0], 4000)
    best = np.inf
    for asv_threshold in np.linspace(0, 3, 61):
        for cm_threshold in np.linspace(0, 3, 61):
            accepted = (asv >= asv_threshold) & (cm >= cm_threshold)
            miss, other, spoof = (1 - accepted[:4000].mean(), accepted[4000:8000].mean(), accepted[8000:].mean())
            distance = max(miss, other, spoof) - min(miss, other, spoof)
            if distance < best:
                best, expected = distance, (miss + other + spoof) / 3
    assert t_eer(asv, cm, kinds) == pytest.approx(expected, abs=0.006)
    order = rng.permutation(len(kinds))
    assert t_eer(asv[order], cm[order], kinds[order]) == t_eer(asv, cm, kinds)


def test_cllr_of_known_likelihood_ratios() -> None:
    scores, is_bonafide = np.array([0.0, 0.0, np.log(3)]), np.array([True, False, True])
    expected = ((1 + np.log2(1 + 1 / 3)) / 2 + 1) / 2
    assert likelihoods(scores, is_bonafide).values()["cllr"] == pytest.approx(expected)


def test_calibrated_blends_do_not_depend_on_scale_and_offset_of_the_scores() -> None:
    table = trials()
    moved = table.assign(asv_score=7 * table["asv_score"] - 3, cm_score=0.1 * table["cm_score"] + 5)
    for name in ("linear", "nonlinear"):
        one, other = BLENDS[name](table, table), BLENDS[name](moved, moved)
        np.testing.assert_allclose(one, other, atol=0.05)
        scores = verified(one, table["label"]).values()
        alone = [verified(table[column], table["label"]).values() for column in ("asv_score", "cm_score")]
        assert scores["sasv_eer"] < 0.7 * min(each["sasv_eer"] for each in alone)


def test_report_of_one_score_and_of_two(tmp_path: Path) -> None:
    table = trials()
    table.to_csv(tmp_path / "two.csv", index=False)
    table.assign(score=table["asv_score"] * 2)[["label", "score"]].to_csv(tmp_path / "one.csv", index=False)
    two = report(tmp_path / "two.csv", "product", n_bootstrap=100)
    found = json.loads(json.dumps(two.json()))
    assert found["score"] == "product"
    assert set(found["attacks"]) == {"A07"}
    assert found["attacks"]["A07"] == found["spf_eer"]
    for name in ("sv_eer", "spf_eer", "sasv_eer", "a_dcf"):
        assert found[name]["ci_low"] <= found[name]["value"] <= found[name]["ci_high"]
    assert 0 < found["t_eer"] < 0.5
    for form in TableForm:
        assert f"{100 * found['sasv_eer']['value']:.2f}" in two.text(form)
    one = report(tmp_path / "one.csv", n_bootstrap=100).json()
    assert one["sv_eer"]["value"] == pytest.approx(found["asv_score"]["sv_eer"]["value"])
    assert "t_eer" not in one


def test_claimed_speakers_are_resampled_where_there_are_ten(tmp_path: Path) -> None:
    table = trials()
    for n_speakers, by_speaker in ((9, False), (10, True)):
        speakers = [f"s{index % n_speakers}" for index in range(len(table))]
        table.assign(speaker=speakers).to_csv(tmp_path / "trials.csv", index=False)
        found = report(tmp_path / "trials.csv", n_bootstrap=100)
        assert found.by_speaker == by_speaker
        assert ("claimed speakers resampled" in found.text(TableForm.TEXT)) == by_speaker


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("label,score\ntarget,1\nnontarget,0\nspoof,0\n", {"blend": "sum"}, "has one score, 'score'; blends are for"),
        ("asv_score,cm_score,sasv_label\n1,1,1\n0,0,2\n0,1,0\n", {"blend": "linear"}, "calibrated on labelled trials"),
        ("asv_score,cm_score,sasv_label\n1,1,1\n0,0,2\n0,1,0\n", {"fitted_on": Path("x.csv")}, "fits nothing"),
    ],
)
def test_report_refuses_what_does_not_go_together(
    text: str, options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        report(write(tmp_path / "trials.csv", text), **options)


def test_command_line_offers_all_blends_and_costs() -> None:
    assert get_args(Blending) == tuple(BLENDS)
    assert get_args(Costs) == tuple(COSTS)


@needs_trials
@pytest.mark.parametrize(
    ("blend", "eers", "a_dcf", "a_dcf_asvspoof5"),
    [
        ("sum", (36.590, 0.0674, 13.851), 0.507065, 0.156670),
        ("product", (1.9542, 0.2695, 1.0782), 0.028513, 0.022910),
        ("linear", (2.1563, 0.2695, 1.2129), 0.033177, 0.026629),
        ("nonlinear", (1.9071, 0.2695, 1.0547), 0.028808, 0.022318),
    ],
)
def test_scores_of_published_trials(
    blend: str, eers: tuple[float, ...], a_dcf: float, a_dcf_asvspoof5: float, tmp_path: Path
) -> None:
    """Figures of the official implementations; of the same trials in another order."""
    shuffled = tmp_path / "trials.csv"
    pd.read_csv(TRIALS).sample(frac=1, random_state=1).to_csv(shuffled, index=False)
    fitted_on = TRIALS if BLENDS[blend].calibrated else None
    found = report(shuffled, blend, fitted_on, n_bootstrap=100).json()
    for name, expected in zip(("sv_eer", "spf_eer", "sasv_eer"), eers, strict=True):
        assert float(f"{100 * found[name]['value']:.5g}") == pytest.approx(
            expected, abs=1.01 * 10 ** -(4 - len(str(int(expected))))
        )
    assert found["a_dcf"]["value"] == pytest.approx(a_dcf, abs=1e-6)
    assert found["t_eer"] == pytest.approx(0.0198970, abs=1e-6)
    countermeasure = found["countermeasure"]
    assert countermeasure["eer_in_steps"] == pytest.approx(0.00619732, abs=1e-8)
    for name, value in {"min_dcf": 0.0163198, "cllr": 0.0281906, "act_dcf": 0.0180242}.items():
        assert countermeasure[name] == pytest.approx(value, abs=1e-6)
    other = report(shuffled, blend, fitted_on, "asvspoof5", n_bootstrap=100).json()
    assert other["a_dcf"]["value"] == pytest.approx(a_dcf_asvspoof5, abs=1e-6)


@needs_la
def test_scores_of_published_detectors() -> None:
    asv_scores = LA / "asv_scores/ASVspoof2019.LA.asv.eval.gi.trl.scores.txt"
    for name, eer, min_tdcf in (("lfcc_gmm_highres", 0.035056, 0.0934), ("rawnet2_repo_soumyashaw", 0.052208, 0.1294)):
        found = detector_report(LA / f"cm_scores/{name}.LA.cm.eval.txt", asv_scores, None, 100).trials
        assert isinstance(found, TrialScores)
        assert found.folds[1]["eer_in_steps"] == pytest.approx(eer, abs=1e-6)
        assert found.folds[1]["min_tdcf_2019"] == pytest.approx(min_tdcf, abs=5e-5)
