import numpy as np
import pandas as pd
import pytest
import sklearn.metrics

from adaspec.robustness.measures import ALL, first_flips, measure


def predictions(right: dict[tuple[str, int], list[bool]]) -> pd.DataFrame:
    """Ten clips of two labels in one fold; where it is wrong the other label has the higher score."""
    rows = []
    for (change, level), each in right.items():
        for number, ok in enumerate(each):
            label = "ab"[number % 2]
            own = 0.9 - 0.01 * number if ok else 0.3
            scores = {f"score_{label}": own, f"score_{'ab'[1 - number % 2]}": 1 - own}
            about = {"change": change, "level": level, "change_db": float(level), "clip_id": f"c{number}", "fold": 1}
            chosen = max(scores, key=lambda name: scores[name])[-1]
            rows.append(about | {"group": f"g{number}", "label": label, "predicted": chosen, **scores})
    columns = ["change", "level", "change_db", "clip_id", "fold", "group", "label", "predicted", "score_a", "score_b"]
    return pd.DataFrame(rows)[columns]


FIRST = 10 * [True]
TABLE = predictions(
    {
        ("clean", 0): FIRST,
        ("mp3", 1): [*9 * [True], False],
        ("mp3", 2): [False, *9 * [True]],
        ("gain", 1): FIRST,
        ("gain", 2): 10 * [False],
    }
)


def test_measures_by_hand() -> None:
    found = measure(TABLE, 500, 1)
    assert found.score == "accuracy"
    conditions = found.conditions.set_index(["change", "level"])
    assert conditions["accuracy"].to_dict() == {
        ("clean", 0): 1.0, ("mp3", 1): 0.9, ("mp3", 2): 0.9, ("gain", 1): 1.0, ("gain", 2): 0.0
    }  # fmt: skip
    assert conditions.loc[("mp3", 1), "difference"] == pytest.approx(-0.1)
    assert conditions.loc[("mp3", 1), "difference_low"] < -0.1 < conditions.loc[("mp3", 1), "difference_high"] <= 0
    assert conditions.loc[("gain", 1), ["difference_low", "difference_high"]].to_list() == [0, 0]
    changes = found.changes.set_index("change")
    assert changes["accuracy"].to_dict() == pytest.approx({"clean": 1.0, "mp3": 0.9, "gain": 0.5, ALL: 0.7})
    # mp3 hits another clip at each level, gain all at the second.
    assert changes["worst_level"].to_dict() == pytest.approx({"clean": 1.0, "mp3": 0.8, "gain": 0.0, ALL: 0.4})
    assert changes["flip_rate"].to_dict() == pytest.approx({"clean": 0.0, "mp3": 0.1, "gain": 0.5, ALL: 0.3})


def test_calibration_agrees_with_scikit_learn() -> None:
    row = measure(TABLE, 100, 1).conditions.set_index(["change", "level"]).loc[("mp3", 1)]
    own = TABLE[(TABLE["change"] == "mp3") & (TABLE["level"] == 1)]
    expected = 2 * sklearn.metrics.brier_score_loss(own["label"] == "a", own["score_a"])
    assert row["brier"] == pytest.approx(expected, abs=1e-6)
    confidence = own[["score_a", "score_b"]].max(axis=1)
    right = own["label"] == own["predicted"]
    shares, means = [], []
    for low in np.arange(15) / 15:
        inside = (confidence >= low) & (confidence < low + 1 / 15)
        shares.append(inside.mean())
        means.append(abs(confidence[inside].mean() - right[inside].mean()) if inside.any() else 0)
    assert row["ece"] == pytest.approx(np.dot(shares, means), abs=1e-6)


def test_detectors_are_measured_by_their_eer() -> None:
    rng = np.random.default_rng(1)
    rows = []
    for change, level, shift in (("clean", 0, 4.0), ("mp3", 1, 1.0)):
        for number in range(60):
            label = "bonafide" if number % 2 else "spoof"
            p = 1 / (1 + np.exp(-(shift if number % 2 else -shift) / 2 - rng.standard_normal()))
            about = {"change": change, "level": level, "change_db": 0.0, "clip_id": f"c{number:02d}", "fold": 1}
            about |= {"group": f"g{number}", "label": label, "predicted": "bonafide" if p > 0.5 else "spoof"}
            rows.append(about | {"score_bonafide": p, "score_spoof": 1 - p})
    found = measure(pd.DataFrame(rows), 200, 1)
    assert found.score == "eer"
    clean, changed, _ = found.changes["eer"]
    assert clean < 0.1 < 0.2 < changed < 0.45


def test_first_flips_have_the_lowest_level() -> None:
    flips = first_flips(TABLE, 3)
    assert flips[["clip_id", "change", "level"]].to_numpy().tolist()[0] == ["c9", "mp3", 1]
    assert len(flips) == flips["clip_id"].nunique() == 3
    assert set(flips["level"].iloc[1:]) == {2}
