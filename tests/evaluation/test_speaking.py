from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from adaspec.errors import InputError
from adaspec.evaluation.speaking import Speaking
from adaspec.speakers.vectors import write_vectors


@pytest.fixture
def speaking(tmp_path: Path) -> Speaking:
    vectors = {f"{name}{index}": np.float32([1, index]) for name in "abcd" for index in range(2)}
    write_vectors(tmp_path / "vectors.parquet", vectors)
    write_vectors(tmp_path / "enrolled.parquet", {name: np.float32([1, 0]) for name in "abc"})
    return Speaking(tmp_path)


def used(**roles: str) -> pd.DataFrame:
    """Two clips of each speaker, in these roles."""
    rows = [(f"{name}{index}", role, "bonafide", name) for name, role in roles.items() for index in range(2)]
    return pd.DataFrame(rows, columns=["clip_id", "role", "label", "speaker"])


def trials(*rows: tuple[str, str, str, str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["clip_id", "speaker", "spoken_by", "subset", "use"])


def test_trials_have_the_role_of_their_clip_and_nobody_of_another_role_takes_part(speaking: Speaking) -> None:
    own = used(a="validation", b="test", c="test", d="train")
    found = speaking.trials(
        trials(
            ("a0", "a", "a", "", "trial"),
            ("b0", "b", "b", "", "trial"),
            ("b0", "c", "b", "", "trial"),
            ("a0", "b", "a", "", "trial"),  # chosen by, against somebody who is tested
            ("b0", "a", "b", "", "trial"),
            ("b1", "d", "b", "", "trial"),  # against somebody who is trained with
            ("d0", "b", "d", "", "trial"),  # of a training clip
        ),
        own,
    )
    assert found[["clip_id", "speaker", "role"]].to_numpy().tolist() == [
        ["a0", "a", "validation"],
        ["b0", "b", "test"],
        ["b0", "c", "test"],
    ]


def test_a_training_speaker_in_another_group_is_in_no_trial(speaking: Speaking) -> None:
    own = used(b="test", d="train").assign(clip_id=["b0", "x", "d0", "d1"], speaker=["b", "d", "d", "d"])
    assert speaking.trials(trials(("x", "b", "d", "", "trial")), own).empty


def test_clips_that_no_fold_lists_have_the_role_of_their_part_if_only_verification_lists_them(
    speaking: Speaking,
) -> None:
    found = speaking.trials(
        trials(("v", "b", "", "dev", "verification"), ("w", "b", "", "eval", "trial")), used(a="train")
    )
    assert found[["clip_id", "role"]].to_numpy().tolist() == [["v", "validation"]]


def test_without_vectors_there_is_nothing_to_try() -> None:
    assert Speaking(None).trials(trials(("b0", "b", "b", "eval", "trial")), used(b="test")).empty


def test_a_detector_that_asks_is_not_asked_of_speakers_who_are_not_enrolled(
    speaking: Speaking, capsys: pytest.CaptureFixture[str]
) -> None:
    found = speaking.asked(used(a="test", d="test"))
    assert found["clip_id"].tolist() == ["a0", "a1"]
    assert "2 of 4 clips are left out, as no recording enrols their speaker" in capsys.readouterr().err


def test_one_training_speaker_is_too_few_to_normalise_by(speaking: Speaking) -> None:
    speaking.trials(trials(), used(a="test", d="train"))
    tried = trials(("a0", "a", "a", "", "trial"))
    with pytest.raises(InputError, match=r"evaluate\.cohort=40 normalises by training speakers, of whom there are 1"):
        speaking.verify(tried, 40)
    assert speaking.verify(tried, 0).tolist() == [1.0]
