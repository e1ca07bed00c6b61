import dataclasses
import json
import math
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaspec.errors import InputError
from adaspec.evaluation.scores import SCORES
from adaspec.experiments.compare import Compared, Comparison, Difference, Folds, Verdict, compare
from adaspec.experiments.compare_page import as_html, as_json
from adaspec.experiments.compare_table import format_table
from adaspec.experiments.knobs_of_runs import as_text, differing_knobs
from adaspec.experiments.runs import Setting, read_metrics, read_predictions, read_setting
from adaspec.experiments.statistics import Bayes, Paired

N_RESAMPLES = 500


def table(hits: Any, n_folds: int = 2, labels: Any = "ab", clips_per_group: int = 1) -> pd.DataFrame:
    """Predictions that are right where `hits` is: clips in turn of each class, folds one after the other."""
    hits = np.asarray(hits, dtype=bool)
    true = np.arange(len(hits)) % len(labels)
    predicted = np.where(hits, true, (true + 1) % len(labels))
    columns = {
        "clip_id": [f"clip-{index:03}" for index in range(len(hits))],
        "fold": [str(1 + index * n_folds // len(hits)) for index in range(len(hits))],
        "group": [f"group-{index // clips_per_group}" for index in range(len(hits))],
        "label": [labels[index] for index in true],
        "predicted": [labels[index] for index in predicted],
    }
    scores = np.where(predicted[:, None] == np.arange(len(labels)), 0.9, 0.1 / (len(labels) - 1))
    return pd.DataFrame(columns | {f"score_{label}": scores[:, index] for index, label in enumerate(labels)})


def setting(name: str, *runs: Any, **knobs: Any) -> Setting:
    return Setting(name, {f"{name}-{number}": table(hits, **knobs) for number, hits in enumerate(runs, start=1)})


def drawn(accuracy: float, n_clips: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random(n_clips) < accuracy


def second_of(*pair: Setting, n_resamples: int = N_RESAMPLES, seed: int = 0) -> Difference:
    found = compare(list(pair), seed=seed, n_resamples=n_resamples).rows[1].difference
    assert found is not None
    return found


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Setting, Setting]:
    """Two settings of the same clips, with up to three runs each."""
    n_clips = draw(st.integers(4, 20))
    run = st.lists(st.booleans(), min_size=n_clips, max_size=n_clips)
    first, second = (draw(st.lists(run, min_size=1, max_size=3)) for _ in range(2))
    return setting("first", *first), setting("second", *second)


def numbers(one: Any) -> list[float]:
    """All figures of a comparison; what is not known is -1."""
    flat: list[Any] = []
    for value in dataclasses.astuple(one):
        flat += value if isinstance(value, list | tuple) else [value]
    return [-1.0 if each is None or each != each else each for each in flat if not isinstance(each, str | tuple)]


@settings(max_examples=25, deadline=None)
@given(pairs())
def test_swapping_settings_negates_the_difference(pair: tuple[Setting, Setting]) -> None:
    first, second = pair
    there, back = second_of(first, second), second_of(second, first)
    assert there.paired.difference == -back.paired.difference
    assert there.paired.low == pytest.approx(-back.paired.high, abs=1e-9)
    assert there.paired.p_value == pytest.approx(back.paired.p_value, abs=1e-9)
    assert there.folds.t == pytest.approx(-back.folds.t, abs=1e-6)
    assert there.folds.bayes.below == pytest.approx(back.folds.bayes.above, abs=1e-6)
    assert there.only_right == back.only_right[::-1]
    opposite = {Verdict.BETTER: Verdict.WORSE, Verdict.WORSE: Verdict.BETTER}
    assert there.verdict == opposite.get(back.verdict, back.verdict)


@settings(max_examples=25, deadline=None)
@given(pairs())
def test_identical_runs_are_practically_equal(pair: tuple[Setting, Setting]) -> None:
    first, _ = pair
    same = second_of(first, replace(first, name="same"))
    assert (same.paired.difference, same.paired.low, same.paired.high, same.p_holm) == (0, 0, 0, 1)
    assert (same.only_right, same.p_mcnemar) == ((0, 0), 1)
    assert same.verdict is Verdict.EQUAL


@settings(max_examples=25, deadline=None)
@given(pairs(), st.integers(0, 2**32 - 1))
def test_order_of_rows_changes_nothing(pair: tuple[Setting, Setting], seed: int) -> None:
    rng = np.random.default_rng(seed)
    shuffled = [
        replace(each, runs={name: run.iloc[rng.permutation(len(run))] for name, run in each.runs.items()})
        for each in pair
    ]
    assert numbers(second_of(*shuffled)) == numbers(second_of(*pair))


def test_comparison_of_a_pair_depends_on_others_in_its_corrected_p_alone() -> None:
    first, second, third = (setting(name, *(drawn(0.6, 60, seed + k) for k in range(n))) for name, seed, n in (
        ("first", 0, 2), ("second", 10, 3), ("third", 20, 5)
    ))  # fmt: skip
    both = compare([first, second, third], n_resamples=N_RESAMPLES)
    for row, alone in zip(both.rows[1:], (second_of(first, second), second_of(first, third)), strict=True):
        assert row.difference.paired == alone.paired
        assert row.difference.folds == alone.folds
        assert row.difference.p_holm >= alone.p_holm == alone.paired.p_value
    assert min(row.difference.p_holm / row.difference.paired.p_value for row in both.rows[1:]) <= 2
    assert both.rows[0].difference is None


def test_comparison_repeats_and_its_seed_changes_the_interval_alone() -> None:
    pair = setting("first", drawn(0.6, 61, 1)), setting("second", drawn(0.7, 61, 2))
    assert second_of(*pair) == second_of(*pair)
    other = second_of(*pair, seed=1)
    assert other.paired.groups_variance != second_of(*pair).paired.groups_variance
    assert other.paired.difference == second_of(*pair).paired.difference


def test_score_and_std_are_over_folds_and_runs() -> None:
    runs = [drawn(0.7, 90, seed) for seed in range(3)]
    one = compare([setting("one", *runs, n_folds=5), setting("two", *runs, n_folds=5)], n_resamples=N_RESAMPLES).rows[0]
    frames = [table(run, 5) for run in runs]
    scores = [(rows["label"] == rows["predicted"]).mean() for frame in frames for _, rows in frame.groupby("fold")]
    assert len(scores) == 15
    assert one.score == pytest.approx(np.mean(scores))
    assert one.std == pytest.approx(np.std(scores, ddof=1))
    assert one.per_run == pytest.approx([np.mean(scores[start : start + 5]) for start in (0, 5, 10)])


def test_folds_count_alike_whatever_their_size() -> None:
    frame = table([1, 0, 0, 0, 1, 1])
    frame["fold"] = ["1"] * 4 + ["2"] * 2
    one = compare([Setting("one", {"one": frame}), Setting("two", {"two": frame})], n_resamples=2000).rows[0]
    assert one.score == pytest.approx((1 / 4 + 1) / 2)
    assert (one.low, one.high) == (0.5, 0.875)  # the second fold is always right, the first at best 3 of 4


def test_mcnemar_test_looks_at_the_mean_of_the_scores() -> None:
    # Clip 0: one run is sure of the truth, two lean to the other class. Clip 1: the other way round.
    sure, leaning = table([1, 0]), table([0, 1])
    sure[["score_a", "score_b"]] = [[0.95, 0.05], [0.9, 0.1]]
    leaning[["score_a", "score_b"]] = [[0.45, 0.55], [0.45, 0.55]]
    several = Setting("several", {"1": sure, "2": leaning, "3": leaning.copy()})
    assert several.joint_hits.tolist() == [True, False]
    assert second_of(setting("first", [0, 1]), several).only_right == (1, 1)


def test_mcnemar_test_looks_at_what_was_predicted_where_that_is_not_the_highest_score() -> None:
    # Votes may tie; what was predicted then is in the file. A detector decides at a threshold.
    tied = table([1, 1])
    tied[["score_a", "score_b"]] = 0.5
    assert Setting("tied", {"tied": tied}).joint_hits.tolist() == [True, True]
    frames = [table(hits, labels=("bonafide", "spoof")) for hits in ([1, 1, 0], [1, 0, 0], [0, 1, 1])]
    for frame in frames:
        frame[["score_bonafide", "score_spoof"]] = [0.6, 0.4]
    assert Setting("detector", dict(zip("abc", frames, strict=True))).joint_hits.tolist() == [True, True, False]


def test_interval_of_a_score_holds_clips_and_runs() -> None:
    n_clips, n_runs = 80, 4
    runs = [drawn(p, n_clips, 10 + k) for k, p in enumerate((0.5, 0.6, 0.7, 0.8))]
    one = compare([setting("one", *runs, n_folds=1)] * 2, n_resamples=5000).rows[0]
    rng, hits = np.random.default_rng(3), np.array(runs, dtype=float)
    means = [hits[rng.integers(0, n_runs, n_runs)][:, rng.integers(0, n_clips, n_clips)].mean() for _ in range(5000)]
    assert (one.low, one.high) == pytest.approx(np.percentile(means, [2.5, 97.5]), abs=0.012)


def test_clips_of_a_group_are_drawn_together() -> None:
    first, second = (np.repeat(drawn(0.5, 60, seed), 4) for seed in (1, 2))  # alike within a group of four
    one, four = (
        second_of(setting("first", first, clips_per_group=n), setting("second", second, clips_per_group=n)).paired
        for n in (1, 4)
    )
    assert four.groups_variance == pytest.approx(4 * one.groups_variance, rel=0.2)


def test_pairing_finds_what_the_scores_alone_would_not() -> None:
    # Both are right about nearly the same clips, so their difference is known far better than either accuracy.
    first = np.arange(400) % 10 < 6
    second = first | (np.arange(400) % 20 == 7)
    found = compare([setting("first", first, first), setting("second", second, second)], n_resamples=4000)
    row = found.rows[1]
    assert row.difference.paired.difference == pytest.approx(0.05)
    assert row.difference.paired.groups_variance == pytest.approx(0.05 * 0.95 / 400, rel=0.1)
    assert row.high - row.low == pytest.approx(2 * 1.96 * math.sqrt(0.65 * 0.35 / 400), rel=0.1)
    assert row.difference.verdict is Verdict.BETTER


def test_large_data_sets_are_resampled_in_portions() -> None:
    hits = np.arange(60_000) % 10 < 7
    one = compare([setting("large", hits), setting("same", hits)], n_resamples=300).rows[0]
    assert one.high - one.low == pytest.approx(2 * 1.96 * math.sqrt(0.7 * 0.3 / 60_000), rel=0.15)


def trials(shift: float, seed: int, n_speakers: int = 20, n_folds: int = 1) -> pd.DataFrame:
    """Scores of 200 trials, of which spoofs are `shift` below; decided at log-odds of 1."""
    rng = np.random.default_rng(seed)
    odds = np.random.default_rng(0).normal(size=200) + 0.5 * rng.normal(size=200)
    is_bonafide = np.arange(200) % 2 == 0
    odds = odds + np.where(is_bonafide, shift, 0) + 1 - shift / 2
    frame = table(is_bonafide == (odds >= 1), n_folds, ("bonafide", "spoof"))
    frame["score_bonafide"] = 1 / (1 + np.exp(-odds))
    frame["score_spoof"] = 1 - frame["score_bonafide"]
    speakers = [f"speaker-{index % n_speakers}" for index in range(200)]
    return frame.assign(speaker=speakers, attack=np.where(is_bonafide, "-", "A01"))


def detectors(**knobs: Any) -> list[Setting]:
    return [
        Setting(name, {f"{name}-{seed}": trials(shift, 10 * number + seed, **knobs) for seed in range(3)})
        for number, (name, shift) in enumerate((("weak", 0.8), ("strong", 3.0)))
    ]


@pytest.mark.parametrize("score", [None, "eer", "auc", "min_dcf", "cllr", "brier", "p_fa_at_threshold", "eer_in_steps"])
def test_detectors_are_compared_by_their_scores_and_lower_may_be_better(score: str | None) -> None:
    found = compare(detectors(), score, n_resamples=N_RESAMPLES)
    assert found.score == (score or "eer")
    assert found.lower_is_better == (score != "auc")
    one = found.rows[1].difference
    assert one.verdict is Verdict.BETTER
    assert (one.paired.difference < 0) == found.lower_is_better
    assert one.folds is None
    assert one.only_right is None


def test_every_score_of_predictions_is_what_evaluation_says() -> None:
    [weak, _] = detectors()
    frame = weak.tables[0]
    accepted = frame["predicted"] == "bonafide"
    spoof = frame["label"] == "spoof"
    single = Setting("one", {"one": frame})
    found = {name: compare([single, single], name, n_resamples=100).rows[0].score for name in (
        "accuracy", "p_fa_at_threshold", "eer", "recall_macro"
    )}  # fmt: skip
    assert found["accuracy"] == pytest.approx((accepted != spoof).mean())
    assert found["p_fa_at_threshold"] == pytest.approx(accepted[spoof].mean())
    assert found["recall_macro"] == pytest.approx((accepted[~spoof].mean() + (~accepted[spoof]).mean()) / 2)
    assert 0 < found["eer"] < 0.5
    assert set(SCORES["classification"]) <= set(_known("nothing", single))


def _known(name: str, one: Setting) -> list[str]:
    with pytest.raises(InputError) as caught:
        compare([one, one], name)
    told = str(caught.value)
    assert told.startswith(f"predictions of bonafide, spoof tell no score '{name}'")
    return re.search(r"known: (.*)\)", told)[1].split(", ")


def test_speakers_are_drawn_where_there_are_ten_else_trials() -> None:
    many, few = (compare(detectors(n_speakers=n), n_resamples=N_RESAMPLES).rows[1].difference for n in (10, 9))
    unknown = [
        replace(each, runs={name: run.drop(columns=["speaker", "attack"]) for name, run in each.runs.items()})
        for each in detectors()
    ]
    assert few.paired.groups_variance != many.paired.groups_variance
    alone = compare(unknown, n_resamples=N_RESAMPLES).rows[1].difference
    assert alone.paired.groups_variance == few.paired.groups_variance


def test_score_that_a_fold_leaves_undefined_is_refused() -> None:
    frame = trials(2.0, 1, n_folds=2).assign(fold=lambda rows: np.where(rows["label"] == "spoof", "1", "2"))
    one = Setting("one", {"one": frame})
    for score in ("eer", "p_fa_at_threshold"):
        with pytest.raises(InputError, match=rf"^{score} is not defined in fold [12] \(.*\); choose another --score$"):
            compare([one, one], score, n_resamples=10)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda rows: rows.iloc[:-2],
            "clip clip-004 is in first-1 only (one of 2 such); compare runs of one data set",
        ),
        (
            lambda rows: rows.replace({"clip_id": {"clip-001": "other"}}),
            "clip clip-001 is in first-1 only (one of 2 such); compare runs of one data set",
        ),
        (
            lambda rows: rows.replace({"fold": {"2": "3"}}),
            "clip clip-003 has fold 2 in one, 3 in the other (one of 3 such); compare runs of one split: clips without "
            "folds of their own are split anew with every seed",
        ),
        (
            lambda rows: rows.assign(label=["a"] * 6),
            "clip clip-001 has label b in one, a in the other (one of 3 such); compare runs of one data set",
        ),
        (
            lambda rows: rows.assign(score_c=0.0),
            "class c is in second-1 only (one of 1 such); compare runs of one data set",
        ),
    ],
)
def test_runs_of_other_clips_are_refused(change: Any, message: str) -> None:
    other = Setting("second", {"second-1": change(table([1, 0, 1, 0, 1, 1]))})
    with pytest.raises(InputError) as caught:
        compare([setting("first", [1, 0, 1, 0, 1, 1]), other])
    assert str(caught.value) == f"first-1 and second-1 cannot be compared: {message}"


def test_runs_of_one_setting_must_agree_too() -> None:
    runs = {"one": table([1, 0, 1, 0]), "two": table([1, 0, 1, 0, 1])}
    with pytest.raises(
        InputError, match=r"^one and two cannot be compared: clip clip-004 is in two only \(one of 1 such\)"
    ):
        compare([Setting("both", runs), setting("other", [1, 0, 1, 0])])


def write(folder: Path, content: pd.DataFrame | str | bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "predictions.csv"
    if isinstance(content, pd.DataFrame):
        content.to_csv(path, index=False)
    else:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def test_predictions_are_read_as_they_were_written(tmp_path: Path) -> None:
    frame = table([1, 0, 1, 0])
    frame["clip_id"] = ["007", "NA", "1e5", "true"]
    pd.testing.assert_frame_equal(read_predictions(str(write(tmp_path, frame))), frame)


HEADER = "clip_id,fold,group,label,predicted,score_a,score_b\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is not a table: No columns to parse from file"),
        (HEADER + 'x,1,g,"a\n', "is not a table: Error tokenizing data."),
        (HEADER.replace("fold", "ford") + "x,1,g,a,b,0.4,0.6\n", "lacks the columns fold; 'dvc repro' writes them"),
        ("clip_id,fold,group,label,predicted\nx,1,g,a,b\n", "lacks the columns score_LABEL; 'dvc repro' writes them"),
        (HEADER, "holds no clip; 'dvc repro' writes one row per clip"),
        (HEADER + "x,1,g,a,b,0.4,0.6\nx,2,g,a,b,0.4,0.6\n", "has clip x more than once; a clip is tested in one fold"),
        (HEADER + "x,1,g,a,b,0.4,0.6\ny,1,g,a,b,high,0.6\n", "has a score of clip y that is not a number"),
        (HEADER + "x,1,g,a,b,0.4,\n", "has a score of clip x that is not a number"),
        (HEADER + "x,1,g,a,b,0.4,nan\n", "has a score of clip x that is not a number"),
        (HEADER + "x,1,g,c,b,0.4,0.6\n", "has no column score_c, but clips of that class"),
        (HEADER + "x,1,g,a,c,0.4,0.6\n", "has no column score_c, but clips of that class"),
    ],
)
def test_predictions_that_cannot_be_used_are_refused(tmp_path: Path, content: str, message: str) -> None:
    folder = write(tmp_path, content)
    with pytest.raises(InputError) as caught:
        read_predictions(str(folder))
    assert str(caught.value).startswith(f"{folder}: predictions.csv {message}")
    assert "\n" not in str(caught.value)


def test_folder_without_readable_predictions_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"^{tmp_path}/predictions\.csv cannot be read \(.*No such file"):
        read_predictions(str(tmp_path))
    write(tmp_path, b"clip_id\n\xff\n")
    with pytest.raises(InputError, match=rf"^{tmp_path}/predictions\.csv cannot be read \(.*decode"):
        read_predictions(str(tmp_path))


def test_setting_is_read_from_runs_joined_by_commas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("one", "two", "out/rate=0.1", "out/rate=0.2", "a,b=c"):
        write(tmp_path / name, table([1, 0, 1]))
    expected = {
        "one": ("one", ["one"]),
        "one,two": ("one,two", ["one", "two"]),
        "both=one,two": ("both", ["one", "two"]),
        "out/rate=0.1,out/rate=0.2": ("out/rate=0.1,out/rate=0.2", ["out/rate=0.1", "out/rate=0.2"]),
        "slow=out/rate=0.1": ("slow", ["out/rate=0.1"]),
        "a,b=c": ("a,b=c", ["a,b=c"]),
        str(tmp_path / "one"): (str(tmp_path / "one"), [str(tmp_path / "one")]),
    }
    for argument, (name, runs) in expected.items():
        found = read_setting(argument)
        assert (found.name, list(found.runs)) == (name, runs)


@pytest.mark.parametrize("argument", ["", "one,", ",one", "name=", "name=one,,two"])
def test_run_without_a_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argument: str) -> None:
    monkeypatch.chdir(write(tmp_path, table([1, 0])))
    with pytest.raises(InputError) as caught:
        read_setting(argument)
    assert str(caught.value) == f"{argument!r} has a run without a name; write RUN, or RUN,RUN without blanks"


def test_run_named_twice_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        read_setting("x=one,two,one")
    assert str(caught.value) == "'x=one,two,one' names one twice; name runs that differ in their seed, each once"


def difference(paired: Paired, verdict: Verdict, **knobs: Any) -> Difference:
    folds = Folds(1.25, 0.28, Bayes(0.1, 0.2, 0.7))
    return Difference(paired, verdict, paired.p_value, folds, (3, 12), 0.03515625, **knobs)


def told(runs: int | None, clips: float) -> dict[str, Any]:
    return {"more_runs": runs, "more_clips": clips}


def compared() -> Compared:
    rows = [Comparison("fixed|1", 3, 0.8, 0.02, 0.75, 0.85, [0.8])]
    for name, std, paired, verdict, knobs in (
        ("learned", math.nan, Paired(0.05, 1e-4, 0, 1e-4, 0.0125, 0.0875, 0.012), Verdict.BETTER, {}),
        ("smaller", 0.03, Paired(-0.1, 1e-4, 0, 1e-4, -0.15, -0.05, 6.1e-6), Verdict.WORSE, {}),
        ("same", 0.03, Paired(-1e-17, 1e-6, 0, 1e-6, -0.004, 0.004, 0.9), Verdict.EQUAL, {}),
        (
            "seeds",
            0.03,
            Paired(0.02, 1e-4, 0, 1e-4, -0.004, 0.044, 0.1),
            Verdict.OPEN,
            told(4, 2.5),
        ),
        (
            "clips",
            0.03,
            Paired(0.01, 1e-4, 0, 1e-4, -0.01, 0.03, 0.3),
            Verdict.OPEN,
            told(None, 30),
        ),
        ("holm", 0.03, Paired(0.03, 1e-4, 0, 1e-4, 0.004, 0.056, 0.07), Verdict.OPEN, told(1, 1.04)),
        ("blank", 0.03, Paired(0.01, 1e-4, 0, math.nan, -math.inf, math.inf, 1.0), Verdict.OPEN, {"more_runs": 1}),
    ):
        row = Comparison(name, 3, 0.8 + paired.difference, std, 0.7, 0.9, [0.8], difference(paired, verdict, **knobs))
        rows.append(row)
    return Compared("accuracy", False, 0.01, 5, 400, rows)


SENTENCES = [
    "learned is better than fixed|1: accuracy +0.0500 (95 % interval +0.0125 to +0.0875).",
    "smaller is worse than fixed|1: accuracy -0.1000 (95 % interval -0.1500 to -0.0500).",
    "same and fixed|1 are practically equal: accuracy +0.0000 (95 % interval -0.0040 to +0.0040), nothing beyond 0.01.",
    "Not enough data to tell seeds from fixed|1: accuracy +0.0200 (95 % interval -0.0040 to +0.0440); about 4 more "
    "seeds of each, or 2.5 times as many clips (about 1,000), would tell.",
    "Not enough data to tell clips from fixed|1: accuracy +0.0100 (95 % interval -0.0100 to +0.0300); more seeds alone "
    "would hardly tell, more than 20 times as many clips would.",
    "Not enough data to tell holm from fixed|1: accuracy +0.0300 (95 % interval +0.0040 to +0.0560), p 0.07 for 7 "
    "comparisons; about 1 more seed of each would tell.",
    "Not enough data to tell blank from fixed|1: accuracy +0.0100 (95 % interval not known); one run each in one fold "
    "tells no setting from its seed: name runs of at least one more seed for each.",
]
KNOBS = {"seed": ["1", "2", "2", "2", "2", "2", "2", "2"]}


def test_table_is_aligned() -> None:
    lines = format_table(compared(), markdown=False, knobs=KNOBS).splitlines()
    assert lines[:4] == [
        "setting  runs  accuracy  std     95 % interval     difference  95 % interval       p        verdict",
        "fixed|1  3     0.8000    0.0200  0.7500 to 0.8500",
        "learned  3     0.8500    -       0.7000 to 0.9000  +0.0500     +0.0125 to +0.0875  0.012    better",
        "smaller  3     0.7000    0.0300  0.7000 to 0.9000  -0.1000     -0.1500 to -0.0500  6.1e-06  worse",
    ]
    assert "learned            +1.25       0.28  10 % : 20 % : 70 %      12 : 3      0.0352" in lines
    assert "seed  1        2        2        2     2      2      2     2" in lines
    assert lines[-7:] == SENTENCES


def test_table_is_markdown() -> None:
    lines = format_table(compared(), markdown=True).splitlines()
    assert lines[0].startswith("| setting | runs | accuracy | std | 95 % interval | difference | ")
    assert lines[2] == "| fixed\\|1 | 3 | 0.8000 | 0.0200 | 0.7500 to 0.8500 |  |  |  |  |"
    assert lines[-7:] == [f"- {sentence}" for sentence in SENTENCES]
    assert "-0.0000" not in "".join(lines)


def test_lower_scores_are_told_as_better_where_they_are() -> None:
    turned = replace(compared(), score="eer", lower_is_better=True)
    told = format_table(turned, markdown=False)
    assert "70 % : 20 % : 10 %" in told
    assert "eer: lower is better; 400 clips, 5 folds" in told


def test_json_holds_every_figure_and_no_infinity() -> None:
    found = json.loads(as_json(compared(), KNOBS), parse_constant=lambda name: pytest.fail(name))
    assert found["sentences"] == SENTENCES
    assert found["knobs"] == KNOBS
    assert (found["score"], found["rope"], found["n_clips"]) == ("accuracy", 0.01, 400)
    learned, blank = found["rows"][1], found["rows"][-1]
    assert learned["accuracy"] == pytest.approx(0.85)
    assert (learned["std"], learned["p_holm"], learned["verdict"]) == (None, 0.012, "better")
    assert (learned["n_only_baseline"], learned["n_only_this"]) == (3, 12)
    assert (blank["difference_low"], blank["more_runs"]) == (None, 1)


class Page(HTMLParser):
    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.text: list[str] = []
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "onerror", "onload")]

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_page_needs_nothing_else_and_shows_hostile_names_as_text() -> None:
    hostile = "<script>alert(1)</script>\"'&\x1b[31m"
    rows = [replace(row, name=hostile if row.name == "learned" else row.name) for row in compared().rows]
    content = as_html(replace(compared(), rows=rows), {"frontend.<b>": ["<i>"] * 8})
    page = Page(content)
    assert "script" not in page.tags
    assert not page.addresses
    assert "url(" not in content
    assert "\x1b" not in content
    told = "".join(page.text)
    assert "<script>alert(1)</script>\"'&\\x1b[31m is better than fixed|1" in told
    assert "frontend.<b>" in told
    assert page.tags.count("table") == 3
    assert page.tags.count("circle") == 7
    assert len(content) < 20_000


def test_values_of_knobs_are_equal_where_they_mean_the_same() -> None:
    same = [(None, "None"), (True, "True"), (1e-3, "0.001"), (3, "3.0"), (["kaiser", 14.0], "('kaiser', 14.0)")]
    same += [([8, 16], "[8, 16]"), ((1,), "[1]"), ("mean", "mean"), ([], "()")]
    for here, there in same:
        assert as_text(here) == as_text(there)
    assert len({as_text(value) for value in (None, True, 1, "mean", [1], 1.5)}) == 6


def test_knobs_that_differ_are_shown_and_no_others() -> None:
    common = {"train.epochs": "3", "engine.workers": "1", "frontend.n_mels": "64"}
    first = {"a": common | {"seed": "1", "audio.sample_rate": "null"}, "b": common | {"seed": "2"}}
    second = {"c": common | {"seed": "1", "engine.workers": "2", "frontend.n_mels": "80"}}
    recorded = {"mlflow:d": common | {"audio.sample_rate": "22050", "seed": "1"}}
    assert differing_knobs([first, second, recorded, {}]) == {
        "frontend.n_mels": ["64", "80", "64", "-"],
        "seed": ["1, 2", "1", "1", "-"],
    }


STAGE = """
stages:
  evaluate:
    cmd: mkdir -p metrics/details && cp runs/${seed}.csv metrics/details/predictions.csv
    deps: [runs]
    params: [seed]
    outs: [metrics/details/predictions.csv]
"""


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with the experiments seed-1, seed-2 and lost, whose predictions are not in the cache any more."""
    folder = tmp_path_factory.mktemp("repository")
    (folder / "runs").mkdir()
    for seed in (1, 2, 3):
        table(drawn(0.5 + 0.1 * seed, 40, seed)).to_csv(folder / "runs" / f"{seed}.csv", index=False)
    (folder / "params.yaml").write_text("seed: 0\n")
    (folder / "dvc.yaml").write_text(STAGE)
    environment = os.environ | {"DVC_NO_ANALYTICS": "1", "GIT_CONFIG_GLOBAL": os.devnull}

    def run(*command: str) -> None:
        subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)

    dvc = (sys.executable, "-m", "dvc")
    run("git", "init", "--quiet")
    run("git", "config", "user.name", "Test")
    run("git", "config", "user.email", "test@example.org")
    run(*dvc, "init", "--quiet")
    run("git", "add", "--all")
    run("git", "commit", "--quiet", "--message", "Start")
    for seed, name in ((3, "lost"), (1, "seed-1"), (2, "seed-2")):
        run(*dvc, "exp", "run", "--name", name, "--set-param", f"seed={seed}")
        if name == "lost":
            shutil.rmtree(folder / ".dvc" / "cache")
    run("git", "checkout", "--quiet", ".")
    (folder / "metrics/details/predictions.csv").unlink()
    return folder


def test_predictions_of_experiments_are_read(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository)
    for seed in (1, 2):
        pd.testing.assert_frame_equal(read_predictions(f"seed-{seed}"), table(drawn(0.5 + 0.1 * seed, 40, seed)))
    both = read_setting("both=seed-1,seed-2")
    assert both.hits.shape == (2, 40)
    assert both.knobs == {"seed-1": {"seed": "1"}, "seed-2": {"seed": "2"}}
    assert not (repository / "metrics/details/predictions.csv").exists()


def test_other_files_of_a_run_are_read(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "curves.csv").write_text("epoch\n1\n")
    assert read_metrics(str(tmp_path), "curves.csv") == "epoch\n1\n"
    monkeypatch.chdir(repository)
    assert read_metrics("seed-1", "predictions.csv").startswith("clip_id,fold,")
    with pytest.raises(InputError, match=r"^seed-1 is neither .* with metrics/details/curves\.csv \("):
        read_metrics("seed-1", "curves.csv")


def test_workspace_and_folders_tell_the_knobs_that_belong_to_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = table([1, 0, 1])
    write(tmp_path / "metrics/details", frame)
    (tmp_path / "params.yaml").write_text("seed: 7\ntrain: {epochs: 1.0e+1}\n")
    write(tmp_path / "elsewhere", frame)
    monkeypatch.chdir(tmp_path)
    found = {name: read_setting(name) for name in ("workspace", "metrics/details", "elsewhere")}
    assert {name: each.knobs for name, each in found.items()} == {
        "workspace": {"workspace": {"seed": "7", "train.epochs": "10"}},
        "metrics/details": {"metrics/details": {"seed": "7", "train.epochs": "10"}},
        "elsewhere": {},
    }
    for each in found.values():
        pd.testing.assert_frame_equal(each.tables[0], frame)
    (tmp_path / "params.yaml").write_text("seed: [\n")
    with pytest.raises(InputError, match=r"params\.yaml cannot be read \(while parsing.*compare folders of metrics$"):
        read_setting("workspace")
    (tmp_path / "metrics/details/predictions.csv").unlink()
    with pytest.raises(InputError, match=r"predictions\.csv cannot be read \(.*; 'dvc repro' writes it$"):
        read_predictions("workspace")


@pytest.mark.parametrize(
    ("run", "reason"),
    [
        ("nothing", r"unknown Git revision 'nothing'"),
        ("HEAD", r"The path 'metrics/details/predictions\.csv' does not exist .*"),
        ("lost", r".*metrics/details/predictions\.csv.*"),
    ],
)
def test_revision_without_predictions_is_refused(
    repository: Path, monkeypatch: pytest.MonkeyPatch, run: str, reason: str
) -> None:
    monkeypatch.chdir(repository)
    expected = (
        rf"^{run} is neither a folder nor an experiment or commit with metrics/details/predictions\.csv \({reason}\); "
    )
    with pytest.raises(InputError, match=expected) as caught:
        read_predictions(run)
    assert "\n" not in str(caught.value)


def test_revision_outside_a_repository_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"^seed-1 is neither a folder nor .* is not a git repository\); "):
        read_predictions("seed-1")
