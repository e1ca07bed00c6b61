from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from adaspec.errors import InputError
from adaspec.evaluation.scores.speaker_aware import verified
from adaspec.evaluation.trials.speaker_aware import report
from adaspec.evaluation.trials.verification import VerificationScores
from adaspec.evaluation.trials.verification_figures import draw_verification
from adaspec.runtime.table import TableForm


def trials(n_folds: int = 1, n_speakers: int = 12, roles: tuple[str, ...] = ("validation", "test")) -> pd.DataFrame:
    """Verification tells speakers apart and no spoofs, the countermeasure spoofs and no speakers."""
    rng = np.random.default_rng(0)
    rows = []
    for fold in range(1, n_folds + 1):
        for role in roles:
            for index in range(40 * n_speakers // 4):
                key = ("target", "nontarget", "spoof", "spoof")[index % 4]
                attack = f"A0{index % 3 + 1}" if key == "spoof" else "-"
                asv, cm = 3.0 * (key != "nontarget"), 9.0 * (key != "spoof")
                speaker = f"s{index // 4 % n_speakers}"
                scores = (asv + rng.standard_normal(), cm + rng.standard_normal())
                rows.append((fold, role, f"c{index}", speaker, key, "bonafide", attack, *scores))
    columns = ["fold", "role", "clip_id", "speaker", "key", "label", "attack", "asv_score", "cm_score"]
    return pd.DataFrame(rows, columns=columns)


def scores_of(table: pd.DataFrame) -> VerificationScores:
    return VerificationScores(table, "default", cohort=0, seen={"A01"}, n_bootstrap=100, seed=1)


def test_the_blend_that_is_best_on_validation_decides_better_than_either_system_alone() -> None:
    found = scores_of(trials())
    eers = {name: summary["sasv_eer"]["mean"] for name, summary in found.systems.items()}
    assert eers["blended"] == eers[found.chosen[1]]
    assert eers["blended"] < 0.3 * min(eers["asv_score"], eers["cm_score"])
    test = found.test[1]
    own = verified(test["blended"].to_numpy(), test["label"].to_numpy()).values()
    assert found.summary["a_dcf"]["mean"] == pytest.approx(own["a_dcf"], abs=1e-6)
    assert found.summary["sv_eer"]["ci_low"] <= found.summary["sv_eer"]["mean"] <= found.summary["sv_eer"]["ci_high"]
    assert found.rates["target"] > 0.85 > 0.15 > max(found.rates["nontarget"], found.rates["spoof"])
    assert 0 <= found.summary["t_eer"]["mean"] < 0.1


def test_test_trials_choose_nothing() -> None:
    """Scores of test trials that would make another blend the best change neither blend nor threshold."""
    table = trials()
    found = scores_of(table)
    of_test = table["role"] == "test"
    other = scores_of(table.assign(cm_score=table["cm_score"].where(~of_test, 0.0)))
    assert (other.chosen, other.thresholds) == (found.chosen, found.thresholds)


def test_without_validation_trials_there_is_no_calibration_and_the_sum_decides_at_zero() -> None:
    found = scores_of(trials(roles=("test",)))
    assert found.chosen == {1: "sum"}
    assert found.thresholds == {1: 0.0}
    assert set(found.systems) == {"asv_score", "cm_score", "sum", "product", "blended"}


def test_scores_over_folds_are_means_and_intervals_resample_speakers_where_there_are_ten() -> None:
    table = trials(n_folds=2)
    both, alone = scores_of(table), [scores_of(table[table["fold"] == fold]) for fold in (1, 2)]
    for name in ("asv_score", "nonlinear"):
        values = [each.systems[name]["sasv_eer"]["mean"] for each in alone]
        assert both.systems[name]["sasv_eer"]["mean"] == pytest.approx(np.mean(values), abs=1e-6)
        assert both.systems[name]["sasv_eer"]["std"] == pytest.approx(np.std(values, ddof=1), abs=2e-6)
    assert both.by_speaker
    assert not scores_of(trials(n_speakers=9)).by_speaker


def test_attacks_tell_whether_they_were_trained_on() -> None:
    found = scores_of(trials()).attacks.set_index("attack")
    assert found["seen"].to_dict() == {"A01": "yes", "A02": "no", "A03": "no"}
    assert found["n_trials"].sum() == (trials()["role"] == "test").sum() / 2
    assert (found["spf_eer_cm_score"] < 0.01).all()
    assert (found["spf_eer_asv_score"] > 0.3).all()


def test_what_is_written_is_scored_alike_by_the_command(tmp_path: Path) -> None:
    found = scores_of(trials())
    found.write(tmp_path)
    told = report(tmp_path / "verification_trials.csv", "product", n_bootstrap=100).json()
    for system in ("asv_score", "cm_score"):
        for name, values in found.systems[system].items():
            assert told[system][name]["value"] == pytest.approx(values["mean"], abs=1e-6)
    assert told["sasv_eer"]["value"] == pytest.approx(found.systems["product"]["sasv_eer"]["mean"], abs=1e-6)
    assert told["t_eer"] == pytest.approx(found.summary["t_eer"]["mean"], abs=1e-6)
    lines = "\n".join(found.lines())
    assert f"{found.chosen[1]} *" in lines
    assert report(tmp_path / "verification_trials.csv", "sum", n_bootstrap=100).text(TableForm.TEXT)


@pytest.mark.parametrize("n_folds", [1, 2])
def test_figures_are_drawn_twice_to_the_same_bytes(n_folds: int, tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        draw_verification(scores_of(trials(n_folds)), tmp_path / name)
    drawn = sorted(path.name for path in (tmp_path / "first").iterdir())
    assert drawn == ["verification_attacks.svg", "verification_det.svg", "verification_plane.svg"]
    for name in drawn:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


def test_few_validation_trials_calibrate_nothing_but_choose(tmp_path: Path) -> None:
    table = trials()
    kept = (table["role"] == "test") | (table.groupby(["role", "key"]).cumcount() < 9)
    found = scores_of(table[kept])
    assert set(found.systems) == {"asv_score", "cm_score", "sum", "product", "blended"}
    assert found.chosen[1] in ("sum", "product")
    assert found.decision(1) is not None
    found.write(tmp_path)
    few = tmp_path / "few.csv"
    pd.read_csv(tmp_path / "verification_trials.csv").groupby("label").head(9).to_csv(few, index=False)
    with pytest.raises(
        InputError, match="a calibrated blend needs 10 trials of each kind to be fitted on, got 9 target"
    ):
        report(tmp_path / "verification_trials.csv", "linear", few, n_bootstrap=100)


def test_without_validation_trials_nothing_is_decided_on_new_recordings() -> None:
    found = scores_of(trials(roles=("test",)))
    assert found.decision(1) is None
    assert "* not chosen: a fold has no validation trials" in "\n".join(found.lines())


def test_an_attack_that_one_of_two_folds_has_counts_once() -> None:
    table = trials(n_folds=2)
    table = table[~((table["fold"] == 2) & (table["attack"] == "A02"))]
    row = scores_of(table).attacks.set_index("attack").loc["A02"]
    assert row["spf_eer_ci_low"] <= row["spf_eer_blended"] <= row["spf_eer_ci_high"]
