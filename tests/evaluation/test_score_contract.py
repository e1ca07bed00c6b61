"""What holds for every score: a new one is tested by being listed in its registry."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from adaspec.evaluation.scores import SCORES, Score, Scored, speaker_aware
from adaspec.evaluation.scores.calibration import calibrated
from adaspec.evaluation.scores.classification import classified
from adaspec.evaluation.scores.decisions import decided
from adaspec.evaluation.scores.detection import detected, stepped
from adaspec.evaluation.scores.error_curve import Accepted, ranked
from adaspec.evaluation.scores.likelihood import likelihoods
from adaspec.evaluation.scores.speaker_aware import Verification
from adaspec.evaluation.scores.tandem import AsvErrors

ASV = AsvErrors(p_fa=0.0246047, p_miss=0.0245810, p_fa_spoof=0.7606525)
N_CLASSES = 2


def verification(is_target: np.ndarray, scores: np.ndarray) -> Scored[Verification]:
    """Trials of which every one that is no target is both a nontarget and a spoof."""
    kinds = {"target": is_target, "nontarget": ~is_target, "spoof": ~is_target}
    ranking, components = ranked(scores, kinds)
    costs = speaker_aware.COSTS["default"]
    return Scored(
        components,
        lambda summed: Verification(Accepted(ranking, summed), costs),
        speaker_aware.SCORES,
    )


# What is right (0 or 1) and how sure the system is of 1, from 0 to 1 -> clips with all that their scores need.
Build = Callable[[np.ndarray, np.ndarray], Scored[Any]]
BUILDS: dict[str, Build] = {
    "classification": lambda truth, sure: classified(truth, (sure >= 0.5).astype(int), N_CLASSES),
    "detection": lambda truth, sure: detected(sure, truth == 1),
    "tandem": lambda truth, sure: detected(sure, truth == 1, ASV),
    "steps": lambda truth, sure: stepped(sure, truth == 1),
    "calibration": lambda truth, sure: calibrated(sure, truth == 1),
    "decisions": lambda truth, sure: decided(sure, truth == 1, 0.5),
    "likelihood": lambda truth, sure: likelihoods(100 * (sure - 0.5), truth == 1),
    "speaker-aware": lambda truth, sure: verification(truth == 1, sure),
}
ALL = [(family, name) for family, scores in SCORES.items() for name in scores]
every_score = pytest.mark.parametrize(("family", "name"), ALL)


@st.composite
def clips(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Both classes, and answers with ties."""
    truth = np.array(draw(st.lists(st.integers(0, 1), min_size=2, max_size=30)))
    assume(0 < truth.sum() < len(truth))
    answers = st.lists(st.integers(0, 8), min_size=len(truth), max_size=len(truth))
    return truth, np.array(draw(answers)) / 8


def value(family: str, name: str, scored: Scored[Any], counts: np.ndarray | None = None) -> np.ndarray:
    return np.asarray(scored.values(counts)[name])


def test_every_family_is_tested_and_no_name_is_used_twice() -> None:
    assert set(BUILDS) == set(SCORES)
    names = [name for _, name in ALL]
    assert len(set(names)) == len(names)


@every_score
@given(clips())
@settings(max_examples=15)
def test_score_lies_in_its_range(family: str, name: str, case: tuple[np.ndarray, np.ndarray]) -> None:
    found = value(family, name, BUILDS[family](*case))
    assert found.shape == ()
    score = SCORES[family][name]
    assert score.low - 1e-12 <= found <= score.high + 1e-12


@every_score
@given(clips(), st.data())
@settings(max_examples=15)
def test_sums_of_parts_give_the_score_of_the_whole(
    family: str, name: str, case: tuple[np.ndarray, np.ndarray], data: st.DataObject
) -> None:
    scored = BUILDS[family](*case)
    is_first = np.array(data.draw(st.lists(st.booleans(), min_size=len(case[0]), max_size=len(case[0]))), dtype=float)
    first, second = scored.summed(is_first), scored.summed(1 - is_first)
    prepared = scored.prepare({part: first[part] + second[part] for part in first})
    np.testing.assert_allclose(scored.scores[name].value(prepared), value(family, name, scored), atol=1e-12)


@every_score
@given(clips(), st.data())
@settings(max_examples=15)
def test_counts_are_repetitions(
    family: str, name: str, case: tuple[np.ndarray, np.ndarray], data: st.DataObject
) -> None:
    truth, sure = case
    counts = np.array(data.draw(st.lists(st.integers(0, 3), min_size=len(truth), max_size=len(truth))))
    repeated = np.repeat(truth, counts)
    assume(0 < repeated.sum() < len(repeated))
    found = value(family, name, BUILDS[family](truth, sure), counts)
    expected = value(family, name, BUILDS[family](repeated, np.repeat(sure, counts)))
    np.testing.assert_allclose(found, expected, atol=1e-12)


@every_score
@given(clips(), st.integers(0, 100))
@settings(max_examples=15)
def test_many_resamples_at_once_are_each_of_them(
    family: str, name: str, case: tuple[np.ndarray, np.ndarray], seed: int
) -> None:
    truth, sure = case
    scored = BUILDS[family](truth, sure)
    counts = np.random.default_rng(seed).integers(1, 4, (5, len(truth)))
    counts[0] = 1
    together = value(family, name, scored, counts)
    assert together.shape == (5,)
    alone = [value(family, name, scored, row) for row in counts]
    np.testing.assert_allclose(together, alone, atol=1e-12)
    assert together[0] == pytest.approx(float(value(family, name, scored)), abs=1e-12)


@every_score
@given(clips())
@settings(max_examples=15)
def test_order_of_the_clips_changes_nothing(family: str, name: str, case: tuple[np.ndarray, np.ndarray]) -> None:
    truth, sure = case
    backwards = value(family, name, BUILDS[family](truth[::-1], sure[::-1]))
    assert float(backwards) == pytest.approx(float(value(family, name, BUILDS[family](truth, sure))), abs=1e-12)


@every_score
def test_score_of_what_is_perfect(family: str, name: str) -> None:
    truth = np.array([0, 1, 1, 0, 1])
    found, score = value(family, name, BUILDS[family](truth, truth.astype(float))), SCORES[family][name]
    if np.isfinite(score.perfect):
        assert float(found) == pytest.approx(score.perfect, abs=1e-12)
        worst = value(family, name, BUILDS[family](truth, 1.0 - truth))
        assert abs(float(worst) - score.perfect) > 0.3


@every_score
@pytest.mark.parametrize("answer", [0.0, 0.5, 1.0])
def test_score_of_one_answer_for_all_is_finite(family: str, name: str, answer: float) -> None:
    truth = np.array([0, 1, 1, 0, 1])
    assert np.isfinite(value(family, name, BUILDS[family](truth, np.full(5, answer))))


@every_score
def test_resample_of_one_class_is_scored_or_undefined_without_a_warning(family: str, name: str) -> None:
    truth, sure = np.array([0, 1, 1, 0, 1]), np.array([0.1, 0.4, 0.9, 0.4, 0.6])
    counts = np.stack([truth, 1 - truth, np.ones(5, dtype=int)])
    found = value(family, name, BUILDS[family](truth, sure), counts)
    defined, score = found[np.isfinite(found)], SCORES[family][name]
    assert ((defined >= score.low) & (defined <= score.high)).all()
    assert np.isfinite(found[2])


@every_score
def test_score_says_what_is_perfect(family: str, name: str) -> None:
    score = SCORES[family][name]
    assert isinstance(score, Score)
    assert score.low < score.high
    assert np.isnan(score.perfect) or score.perfect in (score.low, score.high)
