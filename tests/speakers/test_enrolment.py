import numpy as np
import pandas as pd
import pytest

from adaspec.errors import InputError
from adaspec.speakers.enrolment import claimed, claimed_in_training, cohort_of, enrolled, verification_scores
from adaspec.speakers.vectors import Vectors


def unit(*values: float) -> np.ndarray:
    return np.float32(np.array(values) / np.linalg.norm(values))


VECTORS: Vectors = {"a1": unit(1, 0, 0), "a2": unit(0, 1, 0), "b1": unit(0, 0, 1), "x": unit(1, 1, 1)}


def clips(**columns: list[str]) -> pd.DataFrame:
    return pd.DataFrame(columns)


def test_a_speaker_is_the_mean_of_what_enrols_and_of_nothing_else() -> None:
    table = clips(clip_id=list(VECTORS), speaker=["A", "A", "B", "A"], use=[*["enrolment"] * 3, "trial"])
    found = enrolled(table, VECTORS)
    np.testing.assert_allclose(found["A"], unit(1, 1, 0), rtol=1e-6)
    np.testing.assert_allclose(found["B"], VECTORS["b1"], rtol=1e-6)
    assert enrolled(table.drop(columns="use"), VECTORS) == {}
    np.testing.assert_array_equal(claimed(["B", "A", "B"], found)[2], found["B"])
    with pytest.raises(InputError, match="speaker C is claimed, but no recording enrols that speaker"):
        claimed(["A", "C"], found)


def test_in_training_the_other_clips_of_a_speaker_enrol() -> None:
    table = clips(
        clip_id=["a1", "a2", "x", "b1"],
        speaker=["A", "A", "A", "B"],
        label=["bonafide", "bonafide", "spoof", "bonafide"],
    )
    found = claimed_in_training(table, {}, VECTORS)
    np.testing.assert_allclose(found, [unit(0, 1, 0), unit(1, 0, 0), unit(1, 1, 0), unit(0, 0, 1)], atol=1e-6)
    known = claimed_in_training(table, {"A": unit(0, 0, 1)}, VECTORS)
    np.testing.assert_allclose(known, [unit(0, 0, 1)] * 4, atol=1e-6)
    with pytest.raises(InputError, match="speaker A has spoofed training clips, but neither enrolment nor bona fide"):
        claimed_in_training(table[table["clip_id"] == "x"], {}, VECTORS)


def test_the_cohort_is_bona_fide_speech_of_training_speakers() -> None:
    table = clips(clip_id=["a1", "x", "b1"], speaker=["A", "A", "B"], label=["bonafide", "spoof", "bonafide"])
    found = cohort_of(table, VECTORS)
    np.testing.assert_allclose(found["A"], VECTORS["a1"])
    assert list(found) == ["A", "B"]


def test_verification_scores_are_cosines_normalised_by_the_nearest_of_the_cohort() -> None:
    rng = np.random.default_rng(0)
    vectors = {f"u{index}": unit(*rng.standard_normal(5)) for index in range(6)}
    known, cohort = {"A": unit(*rng.standard_normal(5))}, {f"c{k}": unit(*rng.standard_normal(5)) for k in range(9)}
    trials = clips(clip_id=list(vectors), speaker=["A"] * 6)
    cosines = np.array([known["A"] @ vector for vector in vectors.values()])
    np.testing.assert_allclose(verification_scores(trials, known, vectors, cohort, 0), cosines, rtol=1e-5)
    found = verification_scores(trials, known, vectors, cohort, 4)
    for score, cosine, vector in zip(found, cosines, vectors.values(), strict=True):
        sides = []
        for side in (known["A"], vector):
            nearest = sorted(float(side @ other) for other in cohort.values())[-4:]
            sides.append((cosine - np.mean(nearest)) / np.std(nearest))
        assert score == pytest.approx(np.mean(sides), rel=1e-4)
    # More are asked for than there are: all count.
    all_of_them = verification_scores(trials, known, vectors, cohort, 9)
    np.testing.assert_array_equal(verification_scores(trials, known, vectors, cohort, 99), all_of_them)
