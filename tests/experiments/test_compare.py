import math
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from adaspec.errors import InputError
from adaspec.experiments.compare import Comparison, compare
from adaspec.experiments.compare_table import format_table
from adaspec.experiments.runs import Setting, read_metrics, read_predictions, read_setting

N_RESAMPLES = 500


def table(hits: Any, n_folds: int = 2, labels: str = "ab") -> pd.DataFrame:
    """Predictions that are right where `hits` is: clips in turn of each class, folds one after the other."""
    hits = np.asarray(hits, dtype=bool)
    true = np.arange(len(hits)) % len(labels)
    predicted = np.where(hits, true, (true + 1) % len(labels))
    columns = {
        "clip_id": [f"clip-{index:03}" for index in range(len(hits))],
        "fold": [str(1 + index * n_folds // len(hits)) for index in range(len(hits))],
        "label": [labels[index] for index in true],
        "predicted": [labels[index] for index in predicted],
    }
    scores = np.where(predicted[:, None] == np.arange(len(labels)), 0.9, 0.1 / (len(labels) - 1))
    return pd.DataFrame(columns | {f"score_{label}": scores[:, index] for index, label in enumerate(labels)})


def setting(name: str, *runs: Any, n_folds: int = 2) -> Setting:
    return Setting(name, {f"{name}-{number}": table(hits, n_folds) for number, hits in enumerate(runs, start=1)})


def drawn(accuracy: float, n_clips: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random(n_clips) < accuracy


def second_of(*pair: Setting, n_resamples: int = N_RESAMPLES, seed: int = 0) -> Comparison:
    return compare(list(pair), seed=seed, n_resamples=n_resamples)[1]


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Setting, Setting]:
    """Two settings of the same clips, with up to three runs each."""
    n_clips = draw(st.integers(2, 20))
    run = st.lists(st.booleans(), min_size=n_clips, max_size=n_clips)
    first, second = (draw(st.lists(run, min_size=1, max_size=3)) for _ in range(2))
    return setting("first", *first), setting("second", *second)


def numbers(one: Comparison) -> list[float]:
    return [
        getattr(one, name) for name in ("accuracy", "low", "high", "difference", "difference_low", "difference_high")
    ]


@settings(max_examples=25, deadline=None)
@given(pairs())
def test_swapping_settings_negates_the_difference(pair: tuple[Setting, Setting]) -> None:
    first, second = pair
    there, back = second_of(first, second), second_of(second, first)
    assert there.difference == -back.difference
    assert there.difference_low == pytest.approx(-back.difference_high, abs=1e-9)
    assert there.difference_high == pytest.approx(-back.difference_low, abs=1e-9)
    assert (there.n_only_baseline, there.n_only_this) == (back.n_only_this, back.n_only_baseline)
    assert there.p_value == back.p_value
    opposite = {"better": "worse", "worse": "better", "no difference shown": "no difference shown"}
    assert there.verdict == opposite[back.verdict]


@settings(max_examples=25, deadline=None)
@given(pairs())
def test_identical_runs_show_no_difference(pair: tuple[Setting, Setting]) -> None:
    first, _ = pair
    same = second_of(first, replace(first, name="same"))
    assert (same.difference, same.difference_low, same.difference_high) == (0, 0, 0)
    assert (same.n_only_baseline, same.n_only_this, same.p_value) == (0, 0, 1)
    assert same.verdict == "no difference shown"


def test_the_same_run_several_times_shows_no_difference() -> None:
    # The mean of three equal numbers may be off by a rounding error, which is no difference.
    hits = drawn(0.7, 97, 1)
    for repeated in range(2, 8):
        same = second_of(setting("once", hits), setting("often", *[hits] * repeated))
        assert (same.difference, same.difference_low, same.difference_high) == (0, 0, 0)
        assert same.verdict == "no difference shown"


@settings(max_examples=25, deadline=None)
@given(pairs(), st.integers(0, 2**32 - 1))
def test_order_of_rows_changes_nothing(pair: tuple[Setting, Setting], seed: int) -> None:
    rng = np.random.default_rng(seed)
    shuffled = [
        replace(each, runs={name: run.iloc[rng.permutation(len(run))] for name, run in each.runs.items()})
        for each in pair
    ]
    ordered, other = second_of(*pair), second_of(*shuffled)
    assert numbers(other) == numbers(ordered)
    assert other == ordered or math.isnan(ordered.std)


@settings(max_examples=25, deadline=None)
@given(pairs())
def test_intervals_contain_no_impossible_number(pair: tuple[Setting, Setting]) -> None:
    for one in compare(list(pair), n_resamples=N_RESAMPLES):
        assert 0 <= one.low <= one.high <= 1
        assert -1 <= one.difference_low <= one.difference_high <= 1
        assert 0 <= one.p_value <= 1


def test_comparison_of_a_pair_does_not_depend_on_other_settings() -> None:
    first, second, third = (setting(name, *(drawn(0.6, 60, seed + k) for k in range(n))) for name, seed, n in (
        ("first", 0, 2), ("second", 10, 3), ("third", 20, 5)
    ))  # fmt: skip
    both = compare([first, second, third], n_resamples=N_RESAMPLES)
    assert both[1] == second_of(first, second)
    assert both[2] == second_of(first, third)
    assert both[0].name == "first"
    assert both[0].difference == 0


def test_comparison_repeats_and_its_seed_changes_the_interval_alone() -> None:
    pair = setting("first", drawn(0.6, 61, 1)), setting("second", drawn(0.7, 61, 2))
    assert second_of(*pair) == second_of(*pair)
    other = second_of(*pair, seed=1)
    assert other.difference_low != second_of(*pair).difference_low
    assert other.difference == second_of(*pair).difference


def test_accuracy_and_std_are_over_folds_and_runs() -> None:
    runs = [drawn(0.7, 90, seed) for seed in range(3)]
    one = compare([setting("one", *runs, n_folds=5)], n_resamples=N_RESAMPLES)[0]
    frames = [table(run, 5) for run in runs]
    scores = [(rows["label"] == rows["predicted"]).mean() for frame in frames for _, rows in frame.groupby("fold")]
    assert len(scores) == 15
    assert one.accuracy == pytest.approx(np.mean(scores))
    assert one.std == pytest.approx(np.std(scores, ddof=1))


def test_folds_count_alike_whatever_their_size() -> None:
    frame = table([1, 0, 0, 0, 1, 1])
    frame["fold"] = ["1"] * 4 + ["2"] * 2
    one = compare([Setting("one", {"one": frame})], n_resamples=2000)[0]
    assert one.accuracy == pytest.approx((1 / 4 + 1) / 2)
    assert (one.low, one.high) == (0.5, 0.875)  # the second fold is always right, the first at best 3 of 4


@pytest.mark.parametrize(
    ("only_baseline", "only_this", "p_value"),
    [
        (10, 2, 158 / 4096),  # 2 (C(12,0) + C(12,1) + C(12,2)) / 2^12 = 0.0385742
        (2, 10, 158 / 4096),
        (0, 0, 1),
        (5, 5, 1),
        (0, 1, 1),
        (0, 5, 2 / 32),
        (0, 6, 2 / 64),
        (3, 9, 2 * 299 / 4096),
    ],
)
def test_mcnemar_test_is_exact(only_baseline: int, only_this: int, p_value: float) -> None:
    shared = [1] * 7 + [0] * 4
    first = setting("first", [1] * only_baseline + [0] * only_this + shared)
    second = setting("second", [0] * only_baseline + [1] * only_this + shared)
    one = second_of(first, second)
    assert (one.n_only_baseline, one.n_only_this) == (only_baseline, only_this)
    assert one.p_value == pytest.approx(p_value, abs=1e-12)


def test_mcnemar_test_looks_at_the_mean_of_the_scores() -> None:
    # Clip 0: one run is sure of the truth, two lean to the other class. Clip 1: the other way round.
    sure, leaning = table([1, 0]), table([0, 1])
    sure[["score_a", "score_b"]] = [[0.95, 0.05], [0.9, 0.1]]
    leaning[["score_a", "score_b"]] = [[0.45, 0.55], [0.45, 0.55]]
    several = Setting("several", {"1": sure, "2": leaning, "3": leaning.copy()})
    assert several.mean_score_hits.tolist() == [True, False]
    one = second_of(setting("first", [0, 1]), several)
    assert (one.n_only_baseline, one.n_only_this) == (1, 1)


def test_mcnemar_test_of_one_run_looks_at_what_it_predicted() -> None:
    # Votes may tie; what was predicted then is in the file.
    tied = table([1, 1])
    tied[["score_a", "score_b"]] = 0.5
    assert Setting("tied", {"tied": tied}).mean_score_hits.tolist() == [True, True]


def test_interval_of_one_run_agrees_with_a_direct_paired_bootstrap() -> None:
    n_clips, n_folds = 150, 5
    first, second = drawn(0.6, n_clips, 1), drawn(0.7, n_clips, 2)
    one = second_of(setting("first", first, n_folds=5), setting("second", second, n_folds=5), n_resamples=5000)
    rng = np.random.default_rng(3)
    change = (second.astype(float) - first).reshape(n_folds, -1)
    accuracies = second.astype(float).reshape(n_folds, -1)
    clips = rng.integers(0, n_clips // n_folds, (5000, n_folds, n_clips // n_folds))
    differences, direct = (
        np.take_along_axis(np.broadcast_to(values, clips.shape), clips, axis=2).mean(axis=(1, 2))
        for values in (change, accuracies)
    )
    expected = np.percentile(differences, [2.5, 97.5])
    assert (one.difference_low, one.difference_high) == pytest.approx(expected, abs=0.012)
    assert (one.low, one.high) == pytest.approx(np.percentile(direct, [2.5, 97.5]), abs=0.012)


def test_interval_of_several_runs_agrees_with_a_direct_bootstrap_of_clips_and_runs() -> None:
    n_clips, n_runs = 80, 4
    first, second = ([drawn(p, n_clips, s + k) for k in range(n_runs)] for p, s in ((0.5, 10), (0.7, 50)))
    pair = setting("first", *first, n_folds=1), setting("second", *second, n_folds=1)
    one = second_of(*pair, n_resamples=5000)
    rng = np.random.default_rng(3)
    change = np.array(second, dtype=float) - first
    differences = [
        change[rng.integers(0, n_runs, n_runs)][:, rng.integers(0, n_clips, n_clips)].mean() for _ in range(5000)
    ]
    expected = np.percentile(differences, [2.5, 97.5])
    assert (one.difference_low, one.difference_high) == pytest.approx(expected, abs=0.012)


def test_runs_of_equal_number_are_paired() -> None:
    # Seeds make runs good or bad, but the second setting is better at every one of them, on the same two clips.
    n_clips = 200
    first = [np.arange(n_clips) < n for n in (80, 120, 160)]
    second = [np.arange(n_clips) < n for n in (90, 130, 170)]
    paired = second_of(setting("first", *first), setting("second", *second))
    assert paired.verdict == "better"
    unpaired = second_of(setting("first", *first), setting("second", *second, second[1]))
    assert unpaired.verdict == "no difference shown"
    assert unpaired.difference == pytest.approx(paired.difference)


def test_runs_that_differ_widen_the_interval() -> None:
    runs = [np.arange(100) % 10 < n for n in (5, 7, 9)]
    alike = compare([setting("alike", runs[1], runs[1], runs[1])], n_resamples=2000)[0]
    differing = compare([setting("differing", *runs)], n_resamples=2000)[0]
    assert alike.accuracy == pytest.approx(differing.accuracy)
    assert differing.high - differing.low > 1.3 * (alike.high - alike.low)


def test_pairing_narrows_the_interval() -> None:
    # Both are right about nearly the same clips, so their difference is known far better than either accuracy.
    first = np.arange(400) % 10 < 6
    second = first | (np.arange(400) % 20 == 7)
    one = second_of(setting("first", first), setting("second", second), n_resamples=4000)
    assert one.difference == pytest.approx(0.05)
    assert one.high - one.low == pytest.approx(2 * 1.96 * math.sqrt(0.65 * 0.35 / 400), rel=0.1)
    width = one.difference_high - one.difference_low
    assert width == pytest.approx(2 * 1.96 * math.sqrt(0.05 * 0.95 / 400), rel=0.1)
    assert one.verdict == "better"


@pytest.mark.parametrize("true_difference", [0.0, 0.1])
def test_interval_covers_the_true_difference_about_95_percent_of_the_time(true_difference: float) -> None:
    n_clips, n_trials = 160, 100
    rng = np.random.default_rng(5)
    covered = 0
    for trial in range(n_trials):
        luck = rng.random(n_clips)  # shared: some clips are hard for both
        first = luck + 0.2 * rng.random(n_clips) < 0.7
        second = luck + 0.2 * rng.random(n_clips) < 0.7 + true_difference
        one = second_of(setting("first", first), setting("second", second), n_resamples=400, seed=trial)
        covered += one.difference_low <= true_difference <= one.difference_high
    low, high = scipy.stats.binom.ppf([0.001, 0.999], n_trials, 0.94)  # percentile intervals are a little narrow
    assert low <= covered <= high


def test_large_data_sets_are_resampled_in_portions() -> None:
    hits = np.arange(60_000) % 10 < 7
    one = compare([setting("large", hits)], n_resamples=300)[0]
    assert one.high - one.low == pytest.approx(2 * 1.96 * math.sqrt(0.7 * 0.3 / 60_000), rel=0.15)


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


HEADER = "clip_id,fold,label,predicted,score_a,score_b\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is not a table: No columns to parse from file"),
        (HEADER + 'x,1,"a\n', "is not a table: Error tokenizing data."),
        (HEADER.replace("fold", "ford") + "x,1,a,b,0.4,0.6\n", "lacks the columns fold; 'dvc repro' writes them"),
        ("clip_id,fold,label,predicted\nx,1,a,b\n", "lacks the columns score_LABEL; 'dvc repro' writes them"),
        (HEADER, "holds no clip; 'dvc repro' writes one row per clip"),
        (HEADER + "x,1,a,b,0.4,0.6\nx,2,a,b,0.4,0.6\n", "has clip x more than once; a clip is tested in one fold"),
        (HEADER + "x,1,a,b,0.4,0.6\ny,1,a,b,high,0.6\n", "has a score of clip y that is not a number"),
        (HEADER + "x,1,a,b,0.4,\n", "has a score of clip x that is not a number"),
        (HEADER + "x,1,a,b,0.4,nan\n", "has a score of clip x that is not a number"),
        (HEADER + "x,1,c,b,0.4,0.6\n", "has no column score_c, but clips of that class"),
        (HEADER + "x,1,a,c,0.4,0.6\n", "has no column score_c, but clips of that class"),
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


def compared() -> list[Comparison]:
    base = Comparison("fixed|1", 0.8, 0.02, 0.75, 0.85, 0.0, 0.0, 0.0, 0, 0, 1.0)
    up = Comparison("learned", 0.85, math.nan, 0.8, 0.9, 0.05, 0.0125, 0.0875, 3, 12, 0.03515625)
    down = Comparison("smaller", 0.7, 0.03, 0.65, 0.75, -0.1, -0.15, -0.05, 30, 4, 6.1e-6)
    same = Comparison("other", 0.79, 0.03, 0.74, 0.84, -0.01, -0.04, 0.02, 9, 8, 1.0)
    return [base, up, down, same]


SENTENCES = [
    "learned is better than fixed|1: accuracy +0.0500 (95 % interval +0.0125 to +0.0875).",
    "smaller is worse than fixed|1: accuracy -0.1000 (95 % interval -0.1500 to -0.0500).",
    "other against fixed|1: no difference shown, accuracy -0.0100 (95 % interval -0.0400 to +0.0200).",
]


def test_table_is_aligned() -> None:
    lines = format_table(compared(), markdown=False).splitlines()
    assert lines[:5] == [
        "setting  accuracy  std     95 % interval     difference  paired 95 % interval  only right  p",
        "fixed|1  0.8000    0.0200  0.7500 to 0.8500",
        "learned  0.8500    -       0.8000 to 0.9000  +0.0500     +0.0125 to +0.0875    12 : 3      0.0352",
        "smaller  0.7000    0.0300  0.6500 to 0.7500  -0.1000     -0.1500 to -0.0500    4 : 30      6.1e-06",
        "other    0.7900    0.0300  0.7400 to 0.8400  -0.0100     -0.0400 to +0.0200    8 : 9       1",
    ]
    assert lines[-3:] == SENTENCES


def test_table_is_markdown() -> None:
    lines = format_table(compared(), markdown=True).splitlines()
    assert lines[0].startswith("| setting | accuracy | std | 95 % interval | difference | ")
    assert lines[1] == "| --- | --- | --- | --- | --- | --- | --- | --- |"
    assert lines[2] == "| fixed\\|1 | 0.8000 | 0.0200 | 0.7500 to 0.8500 |  |  |  |  |"
    assert lines[3].startswith(
        "| learned | 0.8500 | - | 0.8000 to 0.9000 | +0.0500 | +0.0125 to +0.0875 | 12 : 3 | 0.0352 |"
    )
    assert lines[-3:] == [f"- {sentence}" for sentence in SENTENCES]
    assert lines[6] == ""


@pytest.mark.parametrize("markdown", [False, True])
def test_difference_that_is_nothing_but_rounding_has_no_minus(markdown: bool) -> None:
    base, _, _, same = compared()
    told = format_table([base, replace(same, difference=-1e-17, difference_low=-1e-17)], markdown=markdown)
    assert "-0.0000" not in told
    assert told.count("+0.0000") == 4  # in the table and in the sentence


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
    assert read_setting("both=seed-1,seed-2").hits.shape == (2, 40)
    assert not (repository / "metrics/details/predictions.csv").exists()


def test_other_files_of_a_run_are_read(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "curves.csv").write_text("epoch\n1\n")
    assert read_metrics(str(tmp_path), "curves.csv") == "epoch\n1\n"
    monkeypatch.chdir(repository)
    assert read_metrics("seed-1", "predictions.csv").startswith("clip_id,fold,")
    with pytest.raises(InputError, match=r"^seed-1 is neither .* with metrics/details/curves\.csv \("):
        read_metrics("seed-1", "curves.csv")


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
